"""Files that are whole or not there: every durable write of amiss goes through here.

Each system call that changes the disk is a method of its own, so that a test can stop the world at any of them.
"""

import errno
import os
import secrets
from pathlib import Path

from amiss.errors import DataError

__all__ = ["PART", "Disk"]

PART = ".part"
"""Ending of files that were not finished; nobody reads them, and the next run removes them."""


class Disk:
    """Atomic and durable writes, never through a link; errors of the system become errors of ours."""

    def folder(self, path: Path) -> None:
        """Make a folder, and those above it that are missing, so that they outlive a power cut.

        Raises:
            DataError: The disk refused.
        """
        try:
            self._make(path)
        except OSError as error:
            raise _refused(path, error) from error

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole file: beside its place first, then flushed, moved there, and the folder flushed.

        Args:
            path: The file; its folder is made where it is missing.
            data: All that it shall hold.

        Raises:
            DataError: The disk refused; what was there before is untouched.
        """
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
        try:
            self._make(path.parent)
            try:
                self._fill(part, data, os.O_CREAT | os.O_EXCL)
                self._move(part, path)
            except BaseException:
                self._unlink(part)
                raise
            self._sync_folder(path.parent)
        except OSError as error:
            raise _refused(path, error) from error

    def append(self, path: Path, data: bytes) -> None:
        """Append to a file and flush it. What a crash leaves of `data` is a beginning of it.

        Raises:
            DataError: The disk refused; a beginning of `data` may have been written.
        """
        try:
            self._fill(path, data, os.O_CREAT | os.O_APPEND)
            self._sync_folder(path.parent)
        except OSError as error:
            raise _refused(path, error) from error

    def cut(self, path: Path, size: int) -> None:
        """Shorten a file to its first `size` bytes, and flush it."""
        try:
            descriptor = self._open(path, 0)
            try:
                self._truncate(descriptor, size)
                self._sync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _refused(path, error) from error

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there; after a power cut it may be there again."""
        try:
            self._unlink(path)
        except OSError as error:
            raise _refused(path, error) from error

    def _fill(self, path: Path, data: bytes, flags: int) -> None:
        """Open a file, write to it, and flush it."""
        descriptor = self._open(path, flags)
        try:
            self._write(descriptor, data)
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _make(self, folder: Path) -> None:
        """A folder is as durable as its name in the folder above."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        self._mkdir(folder)
        self._sync_folder(folder.parent)

    def _mkdir(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)

    def _open(self, path: Path, flags: int) -> int:
        # A folder may come from anyone: a link in it must not have its target appended to or cut.
        return os.open(path, os.O_WRONLY | flags | getattr(os, "O_NOFOLLOW", 0), 0o644)

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def _sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def _move(self, part: Path, path: Path) -> None:
        part.replace(path)

    def _truncate(self, descriptor: int, size: int) -> None:
        os.truncate(descriptor, size)

    def _unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def _sync_folder(self, folder: Path) -> None:
        if os.name != "posix":  # elsewhere a folder cannot be opened, and a rename is durable by itself
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            self._sync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such call
                raise
        finally:
            os.close(descriptor)


def _refused(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path.name} cannot be written.",
        slug="data-write",
        seen=error.strerror or str(error),
        needed="a folder that may be written, on a disk with room",
        hint="Make room or choose another folder; what was written before is whole, and the same command goes on.",
    )
