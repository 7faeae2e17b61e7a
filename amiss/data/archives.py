"""Zip archives that may come from anyone, read in memory: nothing is ever unpacked to disk."""

import contextlib
import io
import re
import stat
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, BinaryIO, cast

from amiss.data.files import SUFFIXES
from amiss.data.guards import MAX_FILE
from amiss.data.places import TABLES, Shelf, hidden, refused
from amiss.errors import DataError

__all__ = ["MAX_MEMBERS", "MAX_RATIO", "MAX_TOTAL", "Archive", "open_archive", "open_zip"]

MAX_MEMBERS = 200_000
"""Members that an archive may have."""

MAX_TOTAL = 16 * 2**30
"""Bytes that all members together may have, unpacked."""

MAX_RATIO = 200
"""A member of over a megabyte may be packed this tightly; pictures that anyone looks at are not."""

_SMALL, _STEP, _LONGEST, _DEEPEST = 2**20, 2**22, 1024, 16
_MAX_DIRECTORY = 32 * 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound


@dataclass(frozen=True)
class Archive:
    """A zip archive as a place. The first member of a name counts; what is wrong with others stands in `refused`.

    Attributes:
        name: The archive's file name.
        top: The one folder that all members lie in, or "".
        shelves: What lies in each folder.
        members: Each file's entry, by name.
        archive: The open file.
    """

    name: str
    top: str
    shelves: Mapping[str, Shelf]
    members: Mapping[str, zipfile.ZipInfo]
    archive: zipfile.ZipFile
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, at: str) -> Shelf:
        """What lies directly in the folder `at`."""
        return self.shelves.get(at, Shelf())

    def open(self, name: str, most: int = MAX_FILE) -> BinaryIO:
        """A member, unpacked into memory.

        Raises:
            DataError: It has more than `most` bytes, or is damaged.
        """
        member = self.members[name]
        if member.file_size > most:
            raise refused(name, f"more than {most / 2**20:.0f} MB")
        try:
            # Read in steps: a read without a size would unpack what is there, and not what the entry admits to.
            with self._lock, self.archive.open(member) as file:
                whole = b"".join(iter(lambda: file.read(_STEP), b""))
        except Exception as error:  # as with images: hostile bytes may raise anything, and cost one file
            raise refused(name, str(error) or type(error).__name__) from error
        if len(whole) != member.file_size:
            raise refused(name, f"{len(whole)} bytes where the archive says {member.file_size}")
        return io.BytesIO(whole)


@contextlib.contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose list of members fits the caps, and whose members do not overlap.

    Raises:
        DataError: It is not a zip file, is damaged, or built to fill the memory.
    """
    try:
        file = _Short(path)
    except OSError as error:
        raise _not_whole(path, error.strerror or str(error)) from error
    with file:
        try:
            archive = zipfile.ZipFile(cast(IO[bytes], file))
        except Exception as error:  # a damaged list may raise anything
            raise _not_whole(path, str(error) or type(error).__name__) from error
        with archive:
            entries = archive.infolist()
            if len(entries) > MAX_MEMBERS:
                raise _not_whole(path, f"{len(entries):,} members, where {MAX_MEMBERS:,} are the most")
            if sum(entry.compress_size for entry in entries) > path.stat().st_size:
                raise _not_whole(path, "members that overlap, so that one piece is unpacked many times")
            yield archive


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip archive of images. Members that are refused are listed, and the others can be read.

    Raises:
        DataError: As `open_zip`, or all members together are more than 16 GB.
    """
    with open_zip(path) as archive:
        folders: list[str] = []
        members: dict[str, zipfile.ZipInfo] = {}
        bad: list[tuple[str, str]] = []
        for entry in archive.infolist():
            name, reason = entry.filename, _reason(entry)
            parts = re.split(r"[/\\]", name.removesuffix("/"))
            if any(hidden(part) for part in parts if part.strip(".")):
                continue
            if entry.is_dir():
                folders += [] if reason else [name.removesuffix("/")]
            elif reason or name in members:
                # Of what is no picture, nothing is lost.
                lost = name.lower().endswith((*SUFFIXES, *TABLES))
                bad += [(name[:_LONGEST], reason or "a second member of this name")] if lost else []
            else:
                members[name] = entry
        total = sum(entry.file_size for entry in members.values())
        if total > MAX_TOTAL:
            raise _not_whole(path, f"{total / 2**30:.0f} GB unpacked, where {MAX_TOTAL / 2**30:.0f} GB are the most")
        shelves = _shelves(folders, list(members))
        first = shelves[""]
        top = first.folders[0] if len(first.folders) == 1 and not first.files else ""
        shelves[top] = replace(shelves[top], refused=tuple(bad))  # they belong to no class
        yield Archive(path.name, top, shelves, members, archive)


class _Short(io.FileIO):
    """A file that reads no more at once than a list of members may be long."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            raise OSError(f"a list of members of {size / 2**20:.0f} MB")
        return super().read(size) or b""


def _reason(entry: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, or None."""
    name, mode = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    if len(name) > _LONGEST or len(parts) > _DEEPEST:
        return f"a name of more than {_LONGEST:,} characters or {_DEEPEST} folders"
    if "\\" in name or "\0" in name or re.match("/|[A-Za-z]:", name) or not {"", ".", ".."}.isdisjoint(parts):
        return "a name that could lead out of the archive"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or a device"
    if entry.flag_bits & 0x1:
        return "encrypted"
    if entry.compress_type not in _METHODS:
        return "packed by another method than deflate"
    if entry.file_size > _SMALL and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
        return f"packed more than {MAX_RATIO} times, as what is built to fill the memory"
    return None


def _shelves(folders: list[str], files: list[str]) -> dict[str, Shelf]:
    """What lies in each folder, with the folders that no entry names."""
    inner: dict[str, set[str]] = {"": set()}
    held: dict[str, list[str]] = {}
    for name in files:
        held.setdefault(name.rpartition("/")[0], []).append(name)
    for at in {*folders, *held} - {""}:
        while at:
            inner.setdefault(at, set())
            above = at.rpartition("/")[0]
            inner.setdefault(above, set()).add(at)
            at = above
    return {at: Shelf(tuple(sorted(there)), tuple(sorted(held.get(at, ())))) for at, there in inner.items()}


def _not_whole(path: Path, seen: str) -> DataError:
    return DataError(
        f"{path.name} is not an archive that can be read.",
        slug="data-archive",
        seen=seen,
        needed="a whole zip file",
        why="the download broke off, the file is of another kind, or it is built to fill the memory",
        hint="fetch it again; if you trust it, unpack it yourself and pass the folder",
    )
