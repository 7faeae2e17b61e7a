"""Class folders, on disk or in an archive: what is there, which class each file is of, and nothing opened yet."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from amiss.data.files import SUFFIXES
from amiss.data.guards import check_split
from amiss.data.places import Folder, Place, by_parts
from amiss.errors import DataError

__all__ = ["Listing", "are_images", "check_index", "has_classes", "list_classes", "read_index", "walk"]

_SPLITS = ("train", "training", "val", "valid", "validation", "test")
_INDEX, _INDEX_BYTES = "class_index.json", 16 * 2**20


@dataclass(frozen=True)
class Listing:
    """The image files of a place.

    Attributes:
        place: The folder or archive that names are relative to.
        names: Name of each file.
        labels: Label of each file, or None where there are no classes.
        classes: Name of each label.
        strays: (name, reason) of image files that cannot take part.
        table: Further knowledge: a number for each file, by attribute.
    """

    place: Place
    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    classes: tuple[str, ...]
    strays: tuple[tuple[str, str], ...] = ()
    table: Mapping[str, Sequence[float]] = field(default_factory=dict)


def list_classes(place: Place, split: str = "test") -> Listing:
    """Find the images of class folders.

    Sub-folders are classes, in the order of their names, and may themselves hold one level of folders. Where
    `class_index.json` ({number: [folder, name]}) lies beside them, or beside the folder of their split, it
    gives numbers and names instead. A folder whose sub-folders are all splits (train, val, test) is entered
    first; a wish for "test" is met by "val" where there is no test. A folder without sub-folders is a set
    without labels.

    Args:
        place: The folder or archive.
        split: Which split, where there are splits.

    Raises:
        DataError: There is no image, no such split, or `class_index.json` does not fit.
    """
    base, shelf = place.top, place.look(place.top)
    splits = _splits(shelf.folders)
    if splits:
        base = splits[check_split(split, tuple(splits), place.name, "val" if split == "test" else None)]
        shelf = place.look(base)
    strays = list(shelf.refused)
    deep: list[tuple[str, str]] = []
    members: dict[str, list[str]] = {}
    for folder in shelf.folders:
        inner = [place.look(folder)]
        inner += [place.look(name) for name in inner[0].folders]
        strays += [bad for part in inner for bad in part.refused]
        for files, refused in (walk(place, name) for part in inner[1:] for name in part.folders):
            deep += [*refused, *((name, "lies more than one folder below its class") for name in files)]
        members[_last(folder)] = sorted(are_images(n for part in inner for n in part.files), key=by_parts)
    loose = are_images(shelf.files)
    if not any(members.values()):
        if not loose and not strays:
            raise _empty(place, base)
        return Listing(place, loose, None, (), (*strays, *deep))

    number, classes = _numbers(place, base, tuple(members))
    pairs = [(name, number[folder]) for folder, names in members.items() for name in names]
    strays += [*deep, *((name, "lies beside the class folders, so it has no label") for name in loose)]
    return Listing(place, tuple(n for n, _ in pairs), tuple(label for _, label in pairs), classes, tuple(strays))


def has_classes(place: Place) -> bool:
    """Whether two folders or more side by side hold images, as classes do."""
    first = place.look(place.top)
    for shelf in [place.look(base) for base in _splits(first.folders).values()] or [first]:
        held = 0
        for folder in shelf.folders:
            inner = place.look(folder)
            held += any(are_images(part.files) for part in (inner, *map(place.look, inner.folders)))
            if held == 2:
                return True
    return False


def walk(place: Place, base: str) -> tuple[list[str], list[tuple[str, str]]]:
    """All image files below a folder, in order, and what is not looked at."""
    files: list[str] = []
    refused: list[tuple[str, str]] = []
    front = [base]
    while front:
        shelf = place.look(front.pop())
        files += are_images(shelf.files)
        refused += shelf.refused
        front += shelf.folders
    return sorted(files, key=by_parts), refused


def are_images(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that end as image files do."""
    return tuple(name for name in names if name.lower().endswith(SUFFIXES))


def read_index(place: Place, base: str) -> tuple[dict[str, int], tuple[str, ...]] | None:
    """Number of each class folder and name of each number, by `class_index.json`; None where there is no such file.

    It lies in the folder `base`, or where that is a split, beside it.

    Raises:
        DataError: The file does not have the form {number: [folder, name]}.
    """
    places: list[tuple[Place, str]] = [(place, base)]
    if _last(base or place.name).lower() in _SPLITS:
        if base:
            places.append((place, base.rpartition("/")[0]))
        elif isinstance(place, Folder):
            places.append((Folder(place.root.resolve().parent), ""))
    for where, at in places:
        name = f"{at}/{_INDEX}" if at else _INDEX
        if name not in where.look(at).files:
            continue
        try:
            with where.open(name, _INDEX_BYTES) as file:
                table = json.load(file)
            rows = [table[str(i)] for i in range(len(table))]
            number = {str(folder): i for i, (folder, _) in enumerate(rows)}
            if len(number) < len(rows):
                raise ValueError("one folder has two numbers")
            return number, tuple(str(name) for _, name in rows)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _bad_index(f"{type(error).__name__}: {error}") from error
    return None


def check_index(number: Mapping[str, int], classes: Sequence[str]) -> None:
    """Refuse an index that lacks one of the classes.

    Raises:
        DataError: It does.
    """
    if unknown := [name for name in classes if name not in number]:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise _bad_index(f"no entry for {unknown[0]}{more}")


def _bad_index(seen: str) -> DataError:
    return DataError(
        "class_index.json does not fit the classes.",
        slug="data-class-index",
        seen=seen,
        needed='{"0": [folder, name], "1": ...}, numbers without a gap, every class among them',
        hint="mend class_index.json, or take it away to number the classes by name",
    )


def _splits(folders: Sequence[str]) -> dict[str, str]:
    """Folders by split, if all of them are splits."""
    there = {_last(folder).lower(): folder for folder in folders}
    return there if there and len(there) == len(folders) and set(there) <= set(_SPLITS) else {}


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _numbers(place: Place, base: str, folders: tuple[str, ...]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Number of each class folder and name of each number."""
    index = read_index(place, base)
    if index is None:
        return {folder: i for i, folder in enumerate(folders)}, folders
    check_index(index[0], folders)
    return index


def _empty(place: Place, base: str) -> DataError:
    there = place.look(base).files
    others = sorted(
        {"." + _last(name).rpartition(".")[2].lower() if "." in _last(name) else "(none)" for name in there}
    )
    return DataError(
        f"There is no image in {_last(base) or place.name}.",
        slug="data-empty",
        seen=f"files ending in {', '.join(others[:8])}" if others else "no files at all",
        needed=f"files ending in {', '.join(SUFFIXES)}, in the folder or in class folders one level down",
        why="the folder is one level too high or too low",
        hint="pass the folder whose sub-folders are the classes",
    )
