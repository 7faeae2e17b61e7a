"""What the rows of a table are of: the file that each one names, and the columns that are numbers."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from amiss.data.tables import Table
from amiss.errors import DataError

__all__ = ["Finder", "column_of_files", "finite", "further", "no_column"]

_FILE = ("file", "filename", "file_name", "path", "image", "image_id", "id", "name")
_LONGEST, _SHOWN, _TRIED, _DEEP = 200, 20, 1000, 4


@dataclass(frozen=True)
class Finder:
    """Files by what a row may call them.

    Attributes:
        base: The folder that rows are relative to.
        exact: The files by their whole name.
        loose: The file of each other name; None where that fits several.
    """

    base: str
    exact: frozenset[str]
    loose: dict[str, str | None]

    @classmethod
    def of(cls, files: Sequence[str], base: str) -> "Finder":
        """The finder of some files; of two that go by one name, the one whose whole path it is comes first."""
        loose: dict[str, str | None] = {}
        for whole, ending in ((True, True), (True, False), (False, True), (False, False)):
            tier: dict[str, str | None] = {}
            for file in files:
                parts = _normal(file.removeprefix(f"{base}/") if base else file).split("/")
                if not ending:
                    parts[-1] = parts[-1].rpartition(".")[0]
                for start in [0] if whole else range(max(0, len(parts) - _DEEP), len(parts)):
                    key = "/".join(parts[start:])
                    tier[key] = None if tier.get(key, file) != file else file
            loose = {**tier, **loose}
        return cls(base, frozenset(files), loose)

    def find(self, given: str) -> str | None:
        """The file that a row names, or None."""
        name = f"{self.base}/{given}" if self.base else given
        if name in self.exact:
            return name
        inside = _inside(given)
        return self.loose.get(inside) if inside else None

    def why_not(self, given: str) -> str:
        """Why `find` found nothing."""
        inside = _inside(given)
        if not given or inside is None:
            return "a path that leaves the folder" if given else "it names no file"
        return "fits more than one file" if inside in self.loose else "there is no such file"


def _normal(text: str) -> str:
    """One spelling of each accented letter: Macs name files in another than most programs write."""
    return unicodedata.normalize("NFC", text)


def _inside(given: str) -> str | None:
    """A path as the finder spells it; None where it is absolute or climbs."""
    parts = _normal(given).replace("\\", "/").split("/")
    if not parts[0] or re.match("[A-Za-z]:", given) or ".." in parts:
        return None
    return "/".join(part for part in parts if part not in ("", "."))


def column_of_files(table: Table, finder: Finder) -> int:
    """The column of a table that names files.

    Raises:
        DataError: No column does.
    """
    by_name = [i for word in _FILE for i, text in enumerate(table.head) if text.lower() == word]
    for i in by_name:
        if any(map(finder.find, table.columns[i])):
            return i
    for i, column in enumerate(table.columns):
        if any(map(finder.find, column[:_TRIED])):
            return i
    example = next((text for i in by_name for text in table.columns[i] if text), "")
    raise no_column(
        f"No column of {table.name} names image files of the folder.",
        table,
        f"; {example[:_LONGEST]!r} is no file" if example else "",
        "a column of paths, relative to the folder that the table lies in",
        "name the column 'file', and look whether the images lie beside the table",
    )


def further(table: Table, rows: Sequence[int], used: set[int | None]) -> dict[str, list[float]]:
    """The columns that are finite numbers in every row, those of -1 and 1 as 0 and 1.

    Args:
        table: The table.
        rows: Positions of the rows.
        used: Positions of columns that are something else.
    """
    found: dict[str, list[float]] = {}
    for i, (name, column) in enumerate(zip(table.head, table.columns, strict=True)):
        if i in used or not name or name in found:
            continue
        numbers: list[float] = []
        for row in rows:
            if (number := finite(column[row])) is None:
                break
            numbers.append(number)
        else:
            signs = -1.0 in numbers and set(numbers) <= {-1.0, 1.0}
            found[name] = [(number + 1) / 2 for number in numbers] if signs else numbers
    return found


def finite(text: str) -> float | None:
    """A finite number in words, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def no_column(what: str, table: Table, more: str, needed: str, hint: str) -> DataError:
    """The error of a table that lacks a column.

    Args:
        what: What failed.
        table: The table.
        more: What was seen beside the names of its columns.
        needed: What is missing.
        hint: The one thing to do.
    """
    shown = ", ".join(text[:_LONGEST] for text in table.head[:_SHOWN])
    rest = len(table.head) - _SHOWN
    return DataError(
        what,
        slug="data-csv-columns",
        seen=f"columns {shown}{f' and {rest} more' if rest > 0 else ''}{more}",
        needed=needed,
        hint=hint,
    )
