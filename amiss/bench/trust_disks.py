"""Disks on which the world ends: at the k-th call, by a kill, by a power cut, or because there is no room left."""

import errno
import os
import shutil
from pathlib import Path

from amiss.disk import Disk

__all__ = ["CountingDisk", "FullDisk", "KilledDisk", "PowerDisk", "Stopped"]


class Stopped(BaseException):
    """The process is gone: nothing may catch this, and nothing can be written after it."""


class CountingDisk(Disk):
    """Counts every call that changes the disk; flushing is only counted, for nothing here outlives the process.

    Attributes:
        calls: How many there were.
    """

    def __init__(self) -> None:
        self.calls = 0

    def _mkdir(self, folder: Path) -> None:
        self._count()
        super()._mkdir(folder)

    def _open(self, path: Path, flags: int) -> int:
        self._count()
        return super()._open(path, flags)

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            self._count()
        except BaseException:
            os.write(descriptor, data[: len(data) // 2])  # what fails has begun
            raise
        super()._write(descriptor, data)

    def _sync(self, descriptor: int) -> None:
        self._count()

    def _move(self, part: Path, path: Path) -> None:
        self._count()
        super()._move(part, path)

    def _truncate(self, descriptor: int, size: int) -> None:
        self._count()
        super()._truncate(descriptor, size)

    def _unlink(self, path: Path) -> None:
        self._count()
        super()._unlink(path)

    def _count(self) -> None:
        self.calls += 1


class KilledDisk(CountingDisk):
    """The process ends before its k-th call; of a write the first half is done. What was written stays.

    Args:
        at: k, from 1; 0 is never.
    """

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.at, self.over = at, False

    def revive(self, at: int = 0) -> None:
        """Work again, until the k-th call from now."""
        self.calls, self.at, self.over = 0, at, False

    def _write(self, descriptor: int, data: bytes) -> None:
        if self.over:
            raise Stopped
        super()._write(descriptor, data)

    def _count(self) -> None:
        super()._count()
        if self.over or self.calls == self.at:
            self.over = True
            raise Stopped


class PowerDisk(KilledDisk):
    """As `KilledDisk`, and `blackout` loses all that was not flushed: contents of files, and names in folders.

    Args:
        at: k, from 1; 0 is never.
    """

    def __init__(self, at: int = 0) -> None:
        super().__init__(at)
        self._files: dict[Path, int] = {}  # which file a name stands for, now
        self._open_at: dict[int, Path] = {}
        self._contents: dict[int, bytes] = {}  # of a file, as flushed
        self._names: dict[Path, dict[str, int | None]] = {}  # of a folder, as flushed; None is a folder
        self._made = 0

    def blackout(self, root: Path) -> None:
        """Leave of a folder what the disk holds once the power is back."""
        shutil.rmtree(root, ignore_errors=True)
        self._files = {}
        if root.name in self._names.get(root.parent, {}):
            self._restore(root)

    def _restore(self, folder: Path) -> None:
        folder.mkdir()
        for name, file in self._names.get(folder, {}).items():
            if file is None:
                self._restore(folder / name)
            else:
                self._files[folder / name] = file
                (folder / name).write_bytes(self._contents.get(file, b""))

    def _open(self, path: Path, flags: int) -> int:
        descriptor = super()._open(path, flags)
        if path not in self._files:
            self._made += 1
            self._files[path] = self._made
        self._open_at[descriptor] = path
        return descriptor

    def _sync(self, descriptor: int) -> None:
        super()._sync(descriptor)
        if (path := self._open_at.get(descriptor)) is not None:
            self._contents[self._files[path]] = path.read_bytes()

    def _move(self, part: Path, path: Path) -> None:
        super()._move(part, path)
        self._files[path] = self._files.pop(part)

    def _unlink(self, path: Path) -> None:
        super()._unlink(path)
        self._files.pop(path, None)

    def _sync_folder(self, folder: Path) -> None:
        self._open_at.clear()  # numbers of files are used again for folders
        super()._sync_folder(folder)
        there = {path.name: None if path.is_dir() else self._files.get(path, 0) for path in folder.iterdir()}
        self._names[folder] = there


class FullDisk(CountingDisk):
    """There is no room left from the k-th call on; of a write the first half is done. Files can be removed.

    Args:
        at: k, from 1; 0 is never.
    """

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.at = at

    def _unlink(self, path: Path) -> None:
        Disk._unlink(self, path)

    def _count(self) -> None:
        super()._count()
        if self.at and self.calls >= self.at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
