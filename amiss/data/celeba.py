"""CelebA's own lists: attributes in -1 and 1 beside a folder of images, and which image is of which split."""

import posixpath
from dataclasses import replace

from amiss.data.places import TABLES, Place
from amiss.data.tables import MAX_TABLE, Table, read_spaced, read_table
from amiss.errors import DataError

__all__ = ["find_attributes", "is_attributes", "is_table", "read_list"]

_ATTRIBUTES, _PARTITION = "list_attr_celeba", "list_eval_partition"
_FORMS = (".txt", ".csv")
_PLACES = ("anno", "eval")  # folders that its lists are handed out in
_SIGNS = {"1": "1", "-1": "-1", "0": "-1"}  # copies with 0 for -1 go about
_SPLIT, _SPLITS, _LONGEST = "partition", ("0", "1", "2"), 100


def is_attributes(name: str) -> bool:
    """Whether a file is called as CelebA's list of attributes is."""
    return posixpath.basename(name).lower() in [_ATTRIBUTES + form for form in _FORMS]


def is_table(name: str) -> bool:
    """Whether a file is called as one that holds a table: .csv, .tsv, or CelebA's list of attributes."""
    return name.lower().endswith(TABLES) or is_attributes(name)


def find_attributes(place: Place) -> str | None:
    """CelebA's list of attributes in a place, or in its folder Anno; None where there is none."""
    return _find(place, _ATTRIBUTES)


def read_list(place: Place, name: str) -> Table:
    """A table by its name; of CelebA's attributes with a column `partition`, where the list of splits lies there.

    In CelebA's lists a cell says -1 or 1 (or 0 for -1); a row that says anything else is set down in `bad`, and so
    is one whose split is not known, which is of none then.

    Args:
        place: The folder or archive.
        name: The table in it.

    Raises:
        DataError: It cannot be read, or no row of CelebA's attributes says -1 or 1 throughout.
    """
    table = _read(place, name)
    if not is_attributes(name):
        return table
    table = _of_signs(table)
    splits = _find(place, _PARTITION)
    return table if splits is None or _SPLIT in table.head else _parted(table, _read(place, splits))


def _find(place: Place, stem: str) -> str | None:
    """A list by its name, in a place or in the folders that lists are handed out in."""
    top = place.look(place.top)
    shelves = [top, *(place.look(name) for name in top.folders if posixpath.basename(name).lower() in _PLACES)]
    there = {posixpath.basename(name).lower(): name for shelf in shelves for name in shelf.files}
    return next((there[stem + form] for form in _FORMS if stem + form in there), None)


def _read(place: Place, name: str) -> Table:
    called = posixpath.basename(name)
    with place.open(name, MAX_TABLE) as file:
        if name.lower().endswith(".txt"):
            head = ("image_id", _SPLIT) if called.lower().startswith(_PARTITION) else ()
            return read_spaced(file, called, head)
        return read_table(file, called)


def _of_signs(table: Table) -> Table:
    """The rows in which every attribute is -1 or 1."""
    wrong: dict[int, str] = {}
    columns = [*table.columns]
    for i, (name, column) in enumerate(zip(table.head, table.columns, strict=True)):
        if i == 0 or name == _SPLIT:
            continue
        if not set(column) <= _SIGNS.keys():
            said = "{!r} for {}, where -1 or 1 is needed"
            odd = {row: said.format(text[:_LONGEST], name) for row, text in enumerate(column) if text not in _SIGNS}
            wrong = {**odd, **wrong}
        columns[i] = tuple(_SIGNS.get(text, "") for text in column)
    kept = [row for row in range(len(table.lines)) if row not in wrong]
    if not kept and wrong:  # else it would be said that no row names an image
        raise DataError(
            f"No row of {table.name} can be used.",
            slug="data-csv",
            seen=f"{table.row(0)}: {wrong[0]}",
            needed="-1 or 1 for every attribute",
            why="a table of another kind under the name of CelebA's list",
            hint="write attributes as -1 and 1, or give the file another name",
        )
    return replace(
        table,
        columns=tuple(tuple(column[row] for row in kept) for column in columns) if wrong else tuple(columns),
        lines=tuple(table.lines[row] for row in kept),
        bad=(*table.bad, *((table.row(row), wrong[row]) for row in sorted(wrong))),
    )


def _parted(table: Table, splits: Table) -> Table:
    """The table with the split of each row, which is empty where it is not known."""
    known = dict(zip(splits.columns[0], splits.columns[-1], strict=True))
    ids = table.columns[0]
    column = tuple(said if (said := known.get(name)) in _SPLITS else "" for name in ids)
    bad = [*table.bad, *splits.bad]
    for row, (name, said) in enumerate(zip(ids, column, strict=True)):
        if not said:
            why = f"{known[name][:_LONGEST]!r} is no split" if name in known else "has no row"
            bad.append((name[:_LONGEST], f"{table.row(row)}: {why} in {splits.name}"))
    if foreign := sorted(known.keys() - set(ids)):
        such = ", ".join(name[:_LONGEST] for name in foreign[:3])
        bad.append((splits.name, f"{len(foreign):,} of its rows have no whole row in {table.name}, such as {such}"))
    return replace(table, head=(*table.head, _SPLIT), columns=(*table.columns, column), bad=tuple(bad))
