"""What is known of images beside their label: read from a table of its own, and made the label itself."""

import difflib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from amiss.data.celeba import read_list
from amiss.data.guards import readable
from amiss.data.images import Images
from amiss.data.places import Place
from amiss.data.rows import Finder, column_of_files, further, no_column
from amiss.data.tables import Table
from amiss.errors import DataError

__all__ = ["attributes", "join_table", "labeled_by"]

_NO_ATTRIBUTES = ("label", "class", "target", "split", "partition")
_SPLITS = ("train/", "val/", "test/")  # how the names of images in arrays begin
_FEW, _LONGEST = 3, 100


def attributes(images: Images, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """The attributes of images: each 0 or 1, one tensor [n] a name, int64.

    A column of the table is one where all its numbers lie in [0, 1]; above 0.5 it is there. So is the label where
    its two classes are "not NAME" and "NAME".

    Args:
        images: Images with a table.
        names: Which ones; by default all that tell some of the images from others.

    Raises:
        DataError: There is none, or not the one that is asked for.
    """
    known = {name: _there(column) for name, column in images.table.items() if _unit(column)}
    if images.labels is not None and _is_attribute(images.classes):
        known = {images.classes[1]: images.labels, **known}
    telling = {name: column for name, column in known.items() if bool((column != column[0]).any())}
    if names is None and telling:
        return telling
    missing = [name for name in names or () if name not in known]
    if names and not missing:
        return {name: known[name] for name in names}
    wanted = repr(missing[0][:_LONGEST]) if missing else ""
    near = difflib.get_close_matches(missing[0], known, n=3) if missing else []
    shown = ", ".join(name[:_LONGEST] for name in near or list(known)[:_FEW])
    if not near and len(known) > _FEW:
        shown += f" and {len(known) - _FEW} more"
    raise DataError(
        f"The images have no attribute {wanted}." if wanted else "The images have no attributes to tell apart.",
        slug="data-attributes",
        seen=f"{len(images.table)} columns in their table, {len(known)} of them attributes",
        needed="columns of 0 and 1, of -1 and 1, or of numbers in [0, 1]",
        hint=f"choose among {shown}" if shown else "put a CSV beside the images, or name one by --table",
    )


def labeled_by(images: Images, name: str) -> Images:
    """The same images with one of their attributes for a label: 0 is "not NAME", 1 is "NAME".

    The label that they had goes into the table, where it was an attribute itself.

    Args:
        images: Images with a table.
        name: The attribute.

    Raises:
        DataError: There is no such attribute.
    """
    label = attributes(images, [name])[name]
    if images.classes == (f"not {name}", name) and images.labels is not None:
        return images
    table = {key: column for key, column in images.table.items() if key != name}
    if images.labels is not None and _is_attribute(images.classes):
        table[images.classes[1]] = images.labels.to(torch.float32)
    return replace(images, labels=label, classes=(f"not {name}", name), table=table)


def join_table(images: Images, place: Place, name: str, files: Sequence[str] | None = None) -> Images:
    """The same images with the columns of numbers of a table beside their labels.

    A row names its image as in `amiss.data.labeled.list_table`. Every image needs a row, and every row an image:
    one of this split, of another one, or a file of the set that could not be read or was not drawn.

    Args:
        images: The images.
        place: The folder that the table lies in.
        name: The table.
        files: All files of the set, where it consists of files.

    Raises:
        DataError: The table cannot be read, names other images, leaves some out, or tells nothing new of them.
    """
    table = read_list(place, name)
    finder = Finder.of(images.names if files is None else [readable(file) for file in files], "")
    of_file = column_of_files(table, finder)
    at = {file: i for i, file in enumerate(images.names)}
    row_of: dict[int, int] = {}
    twice, unknown = [], []
    for row, given in enumerate(table.columns[of_file]):
        found = finder.find(given)
        if found is None:
            if files is not None or not given.startswith(_SPLITS):
                unknown.append(f"{given[:_LONGEST]!r} ({finder.why_not(given)})")
        elif found in at and row_of.setdefault(at[found], row) != row:
            twice.append(found)
    left = [file for file, i in at.items() if i not in row_of]
    rows = "one row for each image"
    _refuse(
        table, "names images that are not there", unknown, "rows", rows, "take these rows out, or mend their names"
    )
    _refuse(table, "has more than one row for an image", twice, "images", rows, "take all but one of these rows out")
    _refuse(table, "leaves images out", left, "images", rows, "write a row for each of them, or move them away")
    _refuse(
        table,
        "has rows of another length than its head",
        [": ".join(b) for b in table.bad],
        "rows",
        rows,
        "mend them",
    )
    used = {of_file, *(i for i, head in enumerate(table.head) if head.lower() in _NO_ATTRIBUTES)}
    more = further(table, [row_of[i] for i in range(len(images))], {*used})
    if known := sorted(images.table.keys() & more.keys()):
        hint = "rename the column in one of the two tables"
        raise no_column(
            f"{table.name} has a column that the images have already.",
            table,
            f"; {known[0]} is there already",
            "names of its own",
            hint,
        )
    if not more:
        needed, hint = "a column with a finite number in every row", "write attributes as 0 and 1, or as -1 and 1"
        raise no_column(f"{table.name} tells nothing of the images.", table, "", needed, hint)
    return replace(images, table={**images.table, **{key: torch.tensor(column) for key, column in more.items()}})


def _is_attribute(classes: Sequence[str]) -> bool:
    """Whether classes are "not NAME" and "NAME"."""
    return len(classes) == 2 and classes[0] == f"not {classes[1]}"


def _unit(column: Tensor) -> bool:
    """Whether all numbers of a column lie in [0, 1]."""
    return bool(((column >= 0) & (column <= 1)).all())


def _there(column: Tensor) -> Tensor:
    return (column > 0.5).to(torch.int64)


def _refuse(table: Table, what: str, rows: Sequence[str], called: str, needed: str, hint: str) -> None:
    """Refuse a table for some of its rows: how many, and the first of them."""
    if rows:
        raise DataError(
            f"{table.name} {what}.",
            slug="data-table-rows",
            seen=f"{len(rows):,} {called}: {', '.join(rows[:_FEW])}{', ...' * (len(rows) > _FEW)}",
            needed=needed,
            why="a table for another set of images, or for another version of this one",
            hint=hint,
        )
