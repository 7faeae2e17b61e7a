"""Folders of image files: what is there, which class each file is of, and nothing opened yet."""

import json
from dataclasses import dataclass
from pathlib import Path

from amiss.data.files import SUFFIXES
from amiss.data.guards import check_split
from amiss.errors import DataError

__all__ = ["Listing", "list_folder"]

_SPLITS = ("train", "training", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class Listing:
    """The image files of a folder.

    Attributes:
        root: The folder that names are relative to.
        names: Path of each file, with forward slashes.
        labels: Label of each file, or None for a folder without classes.
        classes: Name of each label.
        strays: (name, reason) of image files that belong to no class.
    """

    root: Path
    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    classes: tuple[str, ...]
    strays: tuple[tuple[str, str], ...] = ()


def list_folder(root: Path, split: str = "test") -> Listing:
    """Find the images of a folder.

    Sub-folders are classes, in the order of their names, and may themselves hold one level of folders. Where
    `class_index.json` ({number: [folder, name]}) lies beside them, or beside the folder of their split, it
    gives numbers and names instead. A folder whose sub-folders are all splits (train, val, test) is entered
    first; a wish for "test" is met by "val" where there is no test. A folder without sub-folders is a set
    without labels.

    Args:
        root: The folder.
        split: Which split, where there are splits.

    Raises:
        DataError: There is no image, no such split, or `class_index.json` does not fit.
    """
    base, folders = root, _folders(root)
    if folders and all(folder.name.lower() in _SPLITS for folder in folders):
        there = {folder.name.lower(): folder for folder in folders}
        base = there[check_split(split, tuple(there), root.name, "val" if split == "test" else None)]
        folders = _folders(base)

    loose = [_name(path, root) for path in _files(base)]
    members = {folder.name: [_name(path, root) for path in _files(folder, deep=True)] for folder in folders}
    if not any(members.values()):
        if not loose:
            raise _empty(base)
        return Listing(root, tuple(loose), None, ())

    number, classes = _class_index(base, tuple(members))
    pairs = [(name, number[folder]) for folder, names in members.items() for name in names]
    strays = tuple((name, "lies beside the class folders, so it has no label") for name in loose)
    return Listing(root, tuple(n for n, _ in pairs), tuple(label for _, label in pairs), classes, strays)


def _folders(base: Path) -> list[Path]:
    return sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(base: Path, deep: bool = False) -> list[Path]:
    """Image files of a folder by name, and with `deep` of its folders too."""
    found = [
        p for p in base.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and not p.is_dir()
    ]
    for folder in _folders(base) if deep else ():
        found += _files(folder)
    return sorted(found)


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _class_index(base: Path, folders: tuple[str, ...]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Number of each class folder and name of each number."""
    places = (base, base.parent) if base.name.lower() in _SPLITS else (base,)
    path = next((p for p in (place / "class_index.json" for place in places) if p.is_file()), None)
    if path is None:
        return {folder: i for i, folder in enumerate(folders)}, folders
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        rows = [table[str(i)] for i in range(len(table))]
        number = {str(folder): i for i, (folder, _) in enumerate(rows)}
        classes = tuple(str(name) for _, name in rows)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _bad_index(f"{type(error).__name__}: {error}") from error
    if unknown := [folder for folder in folders if folder not in number]:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise _bad_index(f"no entry for folder {unknown[0]}{more}")
    return number, classes


def _bad_index(seen: str) -> DataError:
    return DataError(
        "class_index.json does not fit the class folders.",
        slug="data-class-index",
        seen=seen,
        needed='{"0": [folder, name], "1": ...}, numbers without a gap, every class folder among them',
        hint="mend class_index.json, or take it away to number the folders by name",
    )


def _empty(base: Path) -> DataError:
    others = sorted({path.suffix.lower() or "(none)" for path in base.iterdir() if path.is_file()})
    return DataError(
        f"There is no image in {base.name}.",
        slug="data-empty",
        seen=f"files ending in {', '.join(others[:8])}" if others else "no files at all",
        needed=f"files ending in {', '.join(SUFFIXES)}, in the folder or in class folders one level down",
        why="the folder is one level too high or too low",
        hint="pass the folder whose sub-folders are the classes",
    )
