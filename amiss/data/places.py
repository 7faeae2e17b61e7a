"""Trees of files that are looked at by name: what a folder and a zip archive have in common, and the folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from amiss.data.guards import MAX_FILE, open_plain
from amiss.errors import DataError

__all__ = ["TABLES", "Folder", "Place", "Shelf", "by_parts", "hidden", "refused"]

TABLES = (".csv", ".tsv")


@dataclass(frozen=True)
class Shelf:
    """What lies directly in a folder, by full name, in order; hidden files are not there.

    Attributes:
        folders: Names of its folders.
        files: Names of all else.
        refused: (name, reason) of what is not even looked at.
    """

    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class Place(Protocol):
    """A tree of files. Names have forward slashes and begin at its root, whose own name is ""."""

    @property
    def name(self) -> str:
        """What errors call it."""

    @property
    def top(self) -> str:
        """The folder in which the data begin."""

    def look(self, at: str) -> Shelf:
        """What lies directly in the folder `at`."""

    def open(self, name: str, most: int = MAX_FILE) -> BinaryIO:
        """Open a file that `look` named.

        Raises:
            DataError: It is not a plain file inside the place, has more than `most` bytes, or cannot be opened.
        """


@dataclass(frozen=True)
class Folder:
    """A folder on disk. Links to folders are not entered; links to files are followed as long as they stay inside.

    Attributes:
        root: The folder; it may itself be a link.
    """

    root: Path
    top: str = ""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.root.name.strip(".") or self.root.resolve().name or str(self.root)

    def look(self, at: str) -> Shelf:
        """What lies directly in the folder `at`.

        Raises:
            DataError: The root itself cannot be listed.
        """
        folder = self.root / at
        if at and folder.is_symlink():
            return Shelf(refused=((at, "a link to a folder, which is not entered"),))
        try:
            there = [entry for entry in os.listdir(folder) if not hidden(entry)]
        except OSError as error:
            if not at:
                raise refused(self.name, error.strerror or str(error)) from error
            return Shelf(refused=((at, error.strerror or str(error)),))
        names = sorted(f"{at}/{entry}" if at else entry for entry in there)
        folders = [name for name in names if os.path.isdir(self.root / name)]
        within = set(folders)
        return Shelf(tuple(folders), tuple(name for name in names if name not in within))

    def open(self, name: str, most: int = MAX_FILE) -> BinaryIO:
        """Open a file inside the folder for reading.

        Raises:
            DataError: It leads out of the folder, is not a plain file, or has more than `most` bytes.
        """
        try:
            path = (self.root / name).resolve(strict=True)
            if not path.is_relative_to(self.root.resolve()):
                raise refused(name, "a link that leaves the folder")
            return open_plain(path, most, follow=False)
        except (OSError, RuntimeError) as error:
            raise refused(name, str(getattr(error, "strerror", None) or error)) from error


def hidden(entry: str) -> bool:
    """Whether a file is not for people: a dot file, or what a Mac adds to archives."""
    return entry.startswith(".") or entry == "__MACOSX"


def by_parts(name: str) -> list[str]:
    """Sorts names folder by folder."""
    return name.split("/")


def refused(name: str, seen: str) -> DataError:
    """The error of a file that is not read, whatever it holds."""
    return DataError(
        f"{name.rpartition('/')[2]} is not read.",
        slug="data-refused",
        seen=seen,
        needed="a plain file inside the folder or archive",
        why="a link, a pipe, a locked or an oversized file",
        hint="copy the file itself to where its name stands",
    )
