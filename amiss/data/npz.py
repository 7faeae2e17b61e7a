"""Arrays of npz files that may come from anyone: nothing is unpickled, and no header is believed."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amiss.data.archives import open_zip
from amiss.data.guards import check_memory, readable
from amiss.errors import DataError

__all__ = ["Arrays", "open_arrays"]


@dataclass(frozen=True)
class Arrays:
    """The arrays of an open npz file.

    Attributes:
        names: What they are called.
        archive: The file.
    """

    names: tuple[str, ...]
    archive: zipfile.ZipFile

    def read(self, name: str) -> np.ndarray:
        """An array whose header claims just what is there; nothing is laid out in memory before that is known.

        Raises:
            ValueError: It does not, holds objects, or is of a version that is not known.
        """
        member = self.archive.getinfo(f"{name}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is packed by another method than deflate")
        with self.archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"{name} is of version {version[0]}.{version[1]}")
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(file)
            there = member.file_size - file.tell()
        claim = f"{name} claims {dtype} of shape {shape}"
        if dtype.hasobject:
            raise ValueError(f"{claim}: pickled objects")
        if min(shape, default=1) < 0 or not dtype.itemsize or math.prod(shape) * dtype.itemsize != there:
            raise ValueError(f"{claim}, and holds {there} bytes")
        with self.archive.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def numbers(self, name: str) -> np.ndarray:
        """An array of numbers, in native byte order.

        Raises:
            ValueError: It holds something else.
        """
        array = self.read(name)
        if array.dtype.kind not in "uif":
            raise ValueError(f"{name} holds {array.dtype}")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def classes(self) -> list[str]:
        """The names of classes, where there is an array "classes"; else none.

        Raises:
            ValueError: It holds what are no names.
        """
        if "classes" not in self.names:
            return []
        names = self.read("classes")
        if names.dtype.kind not in "USiu" or names.ndim != 1:
            raise ValueError(f"classes are {names.dtype} of shape {names.shape}")
        return [
            name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else readable(str(name))
            for name in names
        ]


@contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """Open an npz file for the length of a block; whatever its bytes do to a reader there is an error of ours.

    Args:
        path: The file.

    Raises:
        DataError: It is damaged, holds pickled objects, or more than fits into the memory allowed.
    """
    try:
        with open_zip(path) as archive:
            check_memory(1, (sum(member.file_size for member in archive.infolist()),))
            names = tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
            yield Arrays(names, archive)
    except DataError as error:
        if error.slug != "data-archive":
            raise
        raise _broken(path.name, error.seen) from error
    except Exception as error:  # a reader fed with hostile bytes may raise anything
        raise _broken(path.name, str(error).split("\n")[0][:200] or type(error).__name__) from error


def _broken(name: str, seen: str) -> DataError:
    return DataError(
        f"{name} cannot be read.",
        slug="data-npz",
        seen=seen,
        needed="an npz file of plain arrays",
        why="the file is damaged, or holds pickled objects, which could run code",
        hint="write it with numpy.savez(path, ...), of arrays of numbers",
    )
