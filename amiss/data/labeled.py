"""Images whose labels stand in a table: which column says what, which row is of which file."""

import difflib
import posixpath
import re
from collections.abc import Mapping, Sequence

from amiss.data.celeba import find_attributes, is_attributes, read_list
from amiss.data.folders import Listing, check_index, read_index, walk
from amiss.data.guards import check_split
from amiss.data.places import TABLES, Place
from amiss.data.rows import Finder, column_of_files, finite, further, no_column
from amiss.data.tables import Table
from amiss.errors import DataError

__all__ = ["find_table", "list_table"]

_LABEL = ("label", "class", "target")
_SPLIT = ("split", "partition")
_NUMBERED = {"0": "train", "1": "val", "2": "test"}
_PREFERRED = ("labels.csv", "labels.tsv")
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0+)?")
_LONGEST, _MANY, _SHOWN = 200, 1_000_000, 20


def find_table(place: Place) -> str | None:
    """The table that lies beside the images: labels.csv, labels.tsv, CelebA's attributes, or the only one.

    Returns:
        Its name, or None where there is none.

    Raises:
        DataError: There are several, and none is called labels or as CelebA's is.
    """
    there = [name for name in place.look(place.top).files if name.lower().endswith(TABLES)]
    chosen = [name for name in there if posixpath.basename(name).lower() in _PREFERRED]
    if not chosen and (attributes := find_attributes(place)) is not None:
        return attributes
    chosen = chosen or there
    if len(chosen) > 1:
        raise DataError(
            f"{place.name} holds more than one table.",
            slug="data-csv-choice",
            seen=", ".join(chosen[:6]),
            needed="one, or one that is called labels.csv",
            hint=f"pass the one that has the labels: {posixpath.join(place.name, chosen[0])}",
        )
    return chosen[0] if chosen else None


def list_table(
    place: Place, name: str, *, label: str | None = None, split: str = "test", unlabeled: bool = False
) -> Listing:
    """Join the rows of a table with the image files beside it.

    A row names its file by its path, by the end of its path, and by either without its ending (.jpg), as long as
    that is one file under the folder; so no row can name a file elsewhere. Rows that fit no file, and files that fit
    no row, are set down in `strays`.

    Whole numbers are labels as they are. A column of -1 and 1 is an attribute: label 0 is "not NAME", label 1 is
    "NAME". All else are names of classes, numbered in alphabetical order or by `class_index.json`. Every other
    column of finite numbers goes into the table of the images; one of -1 and 1 as 0 and 1.

    Args:
        place: The folder or archive.
        name: The table in it.
        label: The column of labels; by default "label", "class" or "target".
        split: Which rows, where there is a column "split" or "partition" of train, val and test, or 0, 1 and 2; a
            wish for "test" is met by "val" where there is no test.
        unlabeled: Whether images without labels will do, where no column is asked for and none is called so.

    Raises:
        DataError: The table cannot be read, lacks a column, or has labels that are fractions.
    """
    base = place.top if is_attributes(name) else posixpath.dirname(name)  # CelebA's lie in a folder of their own
    table = read_list(place, name)
    files, refused = walk(place, base)
    finder = Finder.of(files, base)
    of_file = column_of_files(table, finder)
    of_label = _column_of_labels(table, label, of_file, unlabeled)
    of_split = next((i for i, text in enumerate(table.head) if text.lower() in _SPLIT), None)
    values: Sequence[str] = ["0"] * len(table.lines)  # one label for all, which is then not told
    numbers: Mapping[str, int] = {"0": 0}
    classes: tuple[str, ...] = ()
    if of_label is not None:
        values = table.columns[of_label]
        numbers, classes = _number(place, base, table.head[of_label], values)
    chosen = [True] * len(values) if of_split is None else _rows_of_split(table, of_split, split)

    strays = [*refused, *table.bad]
    named: dict[str, list[int]] = {}
    for row, given in enumerate(table.columns[of_file]):
        if found := finder.find(given):
            named.setdefault(found, []).append(row)
        elif chosen[row]:
            strays.append((given[:_LONGEST] or table.name, f"{table.row(row)}: {finder.why_not(given)}"))
    kept: dict[str, int] = {}
    for found, rows in named.items():
        mine = [row for row in rows if chosen[row]]
        if len({values[row] for row in rows}) > 1:
            strays += [(found, f"{table.row(row)}: it and other rows contradict each other") for row in mine[:1]]
        elif mine and not values[mine[0]]:
            strays.append((found, f"{table.row(mine[0])}: no label"))
        elif mine:
            kept[found] = mine[0]
            strays += [(found, f"{table.row(row)}: the same row once more") for row in mine[1:]]
    strays += [(found, f"has no row in {table.name}") for found in files if found not in named]
    labels = None if of_label is None else tuple(numbers[values[row]] for row in kept.values())
    more = further(table, list(kept.values()), {of_file, of_label, of_split})
    return Listing(place, tuple(kept), labels, classes, tuple(strays), more)


def _column_of_labels(table: Table, label: str | None, of_file: int, unlabeled: bool) -> int | None:
    """The column of labels; None where there is none and images without labels will do."""
    heads = [text.lower() for text in table.head]
    if label is not None:
        for option, there in ((label, list(table.head)), (label.lower(), heads)):
            if option in there:
                return there.index(option)
        close = difflib.get_close_matches(label, table.head, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "choose one of these columns"
        raise no_column(f"{table.name} has no column {label!r}.", table, "", "the column of the labels", hint)
    for word in _LABEL:
        if word in heads and heads.index(word) != of_file:
            return heads.index(word)
    if unlabeled:
        return None
    some = [text for i, text in enumerate(table.head) if i != of_file and text.lower() not in _SPLIT]
    example = (some or table.head)[-1][:_LONGEST]
    raise no_column(
        f"{table.name} does not say which column holds the labels.",
        table,
        "",
        f"a column called {', '.join(_LABEL[:-1])} or {_LABEL[-1]}",
        f"name it: --label-column {example!r}, or open_data(..., label={example!r})",
    )


def _rows_of_split(table: Table, of_split: int, split: str) -> list[bool]:
    """Whether each row is of the split that is wanted."""
    said = [text.lower() for text in table.columns[of_split]]
    if set(said) <= {*_NUMBERED, ""}:
        said = [_NUMBERED.get(text, "") for text in said]
    there = sorted({text for text in said if text}, key=lambda text: (text != split, text))
    wanted = check_split(
        split, [text[:_LONGEST] for text in there[:_SHOWN]], table.name, "val" if split == "test" else None
    )
    return [text == wanted for text in said]


def _number(place: Place, base: str, column: str, values: Sequence[str]) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Number of each label in a column, and the names of the classes."""
    distinct = sorted({text for text in values if text})
    index = read_index(place, base)
    if all(map(_WHOLE.fullmatch, distinct)):
        number = {text: int(text.partition(".")[0]) for text in distinct}
        if -1 in number.values() and set(number.values()) <= {-1, 1}:
            return {text: (n + 1) // 2 for text, n in number.items()}, (f"not {column}", column)
        top = max(number.values(), default=-1)
        # Labels that no classifier has are refused where the images are put together.
        return number, index[1] if index else tuple(map(str, range(top + 1 if top < _MANY else 0)))
    if all(finite(text) is not None for text in distinct):
        raise DataError(
            f"The column {column!r} holds no classes.",
            slug="data-csv-labels",
            seen=f"fractions, such as {next(t for t in distinct if not _WHOLE.fullmatch(t))[:_LONGEST]}",
            needed="whole numbers, or names",
            why="a score, a measurement or a probability",
            hint="name another column by --label-column, or open_data(..., label=...)",
        )
    if index:
        check_index(index[0], distinct)
        return index
    return {text: i for i, text in enumerate(distinct)}, tuple(distinct)
