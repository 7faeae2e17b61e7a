"""CSV files that may come from anyone: read row by row, under caps, into columns of text."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from amiss.errors import DataError

__all__ = ["MAX_TABLE", "Table", "read_spaced", "read_table"]

MAX_TABLE = 256 * 2**20
"""Bytes that a CSV file may have."""

_LINE, _ROWS, _COLUMNS, _CELLS = 2**20, 1_000_000, 4096, 16_000_000
_DELIMITERS = ",;\t"
_COUNT = re.compile(r"\d{1,18}")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        name: Of the file.
        head: Name of each column.
        columns: The cells of each column, without spaces around them.
        lines: Where in the file each row ends.
        bad: (row, reason) of rows that do not fit the head.
    """

    name: str
    head: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    bad: tuple[tuple[str, str], ...]

    def row(self, at: int) -> str:
        """How the row at position `at` is called."""
        return f"{self.name}, line {self.lines[at]}"


def read_table(file: BinaryIO, name: str) -> Table:
    """Read a CSV or TSV file, UTF-8 with or without a mark at its beginning, or UTF-16 with one.

    The delimiter is a comma, a semicolon or a tab: that of which the first line has most, outside of quotes.
    A row whose cells are not as many as the head's is set down in `bad`.

    Args:
        file: Its bytes.
        name: What errors call it.

    Raises:
        DataError: It is empty, is no text, is quoted wrongly, or has more than a million lines, 4,096 columns or
            16 million cells.
    """
    start = file.read(2)
    file.seek(0)
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return _read(file, name, encoding, _rows)


def read_spaced(file: BinaryIO, name: str, head: Sequence[str] = ()) -> Table:
    """Read a list whose cells stand between spaces, UTF-8.

    Without a head its first line counts the rows, and its second names all columns but the first. A count that is
    not that of the rows, and rows of another length than the head's, are set down in `bad`.

    Args:
        file: Its bytes.
        name: What errors call it.
        head: Name of each column, where the file has no such lines.

    Raises:
        DataError: It is empty, is no text, has no count where it needs one, or is as large as no table may be.
    """
    return _read(file, name, "utf-8-sig", lambda lines, name: _spaced(lines, name, tuple(head)))


def _read(file: BinaryIO, name: str, encoding: str, rows: Callable[[Iterator[str], str], Table]) -> Table:
    """Read a file as text, and say what is wrong with it where that fails."""
    try:
        with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            return rows(_lines(text), name)
    except UnicodeError as error:
        raise _unreadable(name, "bytes that are no UTF-8", "save it as CSV UTF-8") from error
    except (csv.Error, ValueError) as error:
        raise _unreadable(name, str(error), "look for a quote that is never closed, and save it again") from error


def _rows(lines: Iterator[str], name: str) -> Table:
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise _unreadable(name, "nothing in it", "write one line of column names, and one line for each image")
    outside = re.sub(r'"[^"]*"', "", first)
    delimiter = max(_DELIMITERS, key=outside.count)

    def whole() -> Iterator[str]:
        yield first
        yield from lines

    reader = csv.reader(whole(), delimiter=delimiter, skipinitialspace=True, strict=True)
    head = tuple(cell.strip() for cell in next(reader))
    return _table(name, head, ((reader.line_num, cells) for cells in reader))


def _spaced(lines: Iterator[str], name: str, head: tuple[str, ...]) -> Table:
    """Rows between spaces; without a head, after a line that counts them and a line of names."""
    first, count = 0, None
    if not head:
        said = next(lines, "").strip()
        if not _COUNT.fullmatch(said):
            raise ValueError(f"a first line of {said[:40]!r}, which is no count of rows" if said else "nothing in it")
        first, count, head = 2, int(said), ("image_id", *next(lines, "").split())
    table = _table(name, head, ((i, line.split()) for i, line in enumerate(lines, first + 1)))
    there = len(table.lines) + len(table.bad)
    if count is None or count == there:
        return table
    return replace(table, bad=((name, f"its first line counts {count:,} rows, and it has {there:,}"), *table.bad))


def _table(name: str, head: tuple[str, ...], found: Iterable[tuple[int, list[str]]]) -> Table:
    """The rows that fit the head, with where they end, as columns."""
    if len(head) > _COLUMNS:
        raise ValueError(f"{len(head):,} columns, where {_COLUMNS:,} are the most")
    rows: list[list[str]] = []
    kept: list[int] = []
    bad: list[tuple[str, str]] = []
    same: dict[str, str] = {}  # equal cells are kept once
    for at, cells in found:
        while len(cells) > len(head) and not cells[-1].strip():
            cells.pop()
        if not any(cells):
            continue
        if len(cells) != len(head):
            bad.append((f"{name}, line {at}", f"{len(cells)} cells, where the head has {len(head)}"))
            continue
        if (len(kept) + 1) * len(head) > _CELLS:
            raise ValueError(f"more than {_CELLS:,} cells")
        kept.append(at)
        rows.append([same.setdefault(cell, cell) for cell in map(str.strip, cells)])
    if not kept and not bad:
        raise ValueError("a line of column names, and no row")
    columns = tuple(zip(*rows, strict=True)) or ((),) * len(head)
    return Table(name, head, columns, tuple(kept), tuple(bad))


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text, none of them endless and not too many."""
    for _ in range(_ROWS + 1):
        line = text.readline(_LINE)
        if not line:
            return
        if len(line) == _LINE:
            raise ValueError(f"a line of more than {_LINE:,} characters")
        yield line
    raise ValueError(f"more than {_ROWS:,} lines")


def _unreadable(name: str, seen: str, hint: str) -> DataError:
    return DataError(
        f"{name} cannot be read as a table.",
        slug="data-csv",
        seen=seen,
        needed="text in lines of equally many cells, with commas, semicolons or tabs between them",
        why="it is empty, damaged, or not a CSV file",
        hint=hint,
    )
