"""Files that are whole or not there: every durable write of amiss goes through here.

The three system calls that a crash can come between (write, fsync, rename) are methods of their own, so that a test
can stop the world at each of them.
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
    """Atomic and durable writes; errors of the system become errors of ours."""

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
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                try:
                    self._write(descriptor, data)
                    self._sync(descriptor)
                finally:
                    os.close(descriptor)
                self._move(part, path)
            finally:
                part.unlink(missing_ok=True)
            self._sync_folder(path.parent)
        except OSError as error:
            raise _refused(path, error) from error

    def append(self, path: Path, data: bytes) -> None:
        """Append to a file and flush it. What a crash leaves of `data` is a beginning of it.

        Raises:
            DataError: The disk refused; a beginning of `data` may have been written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._write(descriptor, data)
                self._sync(descriptor)
            finally:
                os.close(descriptor)
            self._sync_folder(path.parent)
        except OSError as error:
            raise _refused(path, error) from error

    def cut(self, path: Path, size: int) -> None:
        """Shorten a file to its first `size` bytes, and flush it."""
        try:
            with path.open("r+b") as file:
                file.truncate(size)
                self._sync(file.fileno())
        except OSError as error:
            raise _refused(path, error) from error

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(path, error) from error

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def _sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def _move(self, part: Path, path: Path) -> None:
        part.replace(path)

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
