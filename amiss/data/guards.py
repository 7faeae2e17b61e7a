"""What is settled before anything is loaded: which split, how many, and whether they fit into memory."""

import math
from collections.abc import Sequence

import torch

from amiss.errors import DataError
from amiss.repro import generator

__all__ = ["MAX_BYTES", "check_memory", "check_split", "subset"]

MAX_BYTES = 4 * 10**9
"""More than this is refused before anything is loaded."""

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
        needed=f"one of {', '.join(sorted(there))}",
        hint=f"pass split={min(there)!r}",
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
