"""What is settled before anything is loaded: which split, how many, how large, how often a file may be read."""

import contextlib
import io
import math
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import torch

from amiss.errors import DataError
from amiss.repro import generator

__all__ = [
    "MAX_BYTES",
    "MAX_FILE",
    "Metered",
    "Room",
    "check_memory",
    "check_split",
    "open_plain",
    "readable",
    "subset",
]

MAX_BYTES = 4 * 10**9
"""More than this is refused before anything is loaded."""

MAX_FILE = 256 * 2**20
"""Bytes that one image file may have."""

_TIMES, _FEW, _READS = 4, 2**20, 1_000_000

_ALIASES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "t10k"),
}


def check_memory(n: int, shape: Sequence[int]) -> int:
    """Bytes that n images of `shape` need.

    Raises:
        DataError: It is more than 4 GB.
    """
    need = n * math.prod(shape)
    if need > MAX_BYTES:
        raise DataError(
            "The images do not fit into the memory allowed.",
            slug="data-memory",
            seen=f"{n} x {' x '.join(map(str, shape))} bytes, {need / 1e9:.1f} GB",
            needed=f"at most {MAX_BYTES / 1e9:g} GB",
            hint="pass limit=1000 for a seeded subset, or size=224 for smaller images",
        )
    return need


def check_split(split: str, there: Sequence[str], where: str, instead: str | None = None) -> str:
    """The split of `there` that `split` means: itself, or another word for it.

    Args:
        split: The split wanted.
        there: The splits at hand.
        where: Name of the source.
        instead: Another split that will do.

    Raises:
        DataError: None is meant.
    """
    for wanted in (split, instead):
        for name in _ALIASES.get(wanted, (wanted,)) if wanted else ():
            if name in there:
                return name
    raise DataError(
        f"There is no split {split!r} in {where}.",
        slug="data-split",
        seen=f"split={split!r}",
        needed=f"one of {', '.join(sorted(there))}" if there else "a split said of at least one image",
        hint=f"pass split={min(there)!r}" if there else "mend the column of splits, or take it away",
    )


def subset(n: int, limit: int | None, seed: int) -> list[int]:
    """Positions of a seeded subset of at most `limit` of n, in order.

    Raises:
        DataError: `limit` is not positive.
    """
    if limit is not None and limit < 1:
        raise DataError(
            "A set of no images cannot be asked for.",
            slug="data-limit",
            seen=f"limit={limit}",
            needed="a positive number, or None for all",
            hint="pass limit=None",
        )
    if limit is None or limit >= n:
        return list(range(n))
    return sorted(torch.randperm(n, generator=generator(seed))[:limit].tolist())


def open_plain(path: Path, most: int = MAX_FILE, *, follow: bool = True) -> BinaryIO:
    """Open a plain file for reading. It is looked at when it is open, so nothing can take its place in between.

    Args:
        path: The file.
        most: Bytes that it may have.
        follow: Whether it may be a link.

    Raises:
        OSError: It is a pipe, a device or a folder, has more than `most` bytes, or cannot be opened.
    """
    # Without a wait: whoever opens a pipe would wait for another end for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    file = open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))  # noqa: SIM115 - handed out
    seen = os.fstat(file.fileno())
    if stat.S_ISREG(seen.st_mode) and seen.st_size <= most:
        return file
    file.close()
    raise OSError(f"more than {most / 2**20:.0f} MB" if stat.S_ISREG(seen.st_mode) else "not a plain file")


def readable(name: str) -> str:
    """A name as text that every encoding holds: bytes of a file's name that are no text are written out."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


class Metered:
    """A file that may be read a few times over and no more: a small one can send its reader round in circles.

    Args:
        file: What is read, from its beginning.

    Raises:
        OSError: By `read`, beyond four times the file's size, or a million reads.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._bytes, self._reads = _TIMES * size + _FEW, _READS
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that are left."""
        data = self._file.read(size)
        self._bytes -= len(data)
        self._reads -= 1
        if min(self._bytes, self._reads) < 0:
            raise OSError("it sends its reader round in circles")
        return data


class Room:
    """So much at once: who needs more than is free waits; who needs more than all waits to be alone."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Wait for `amount`, and give it back at the end."""
        amount = min(amount, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()
