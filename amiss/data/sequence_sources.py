"""`open_sequences`: one word or path in, `Sequences` out."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from amiss.data.guards import readable
from amiss.data.npz import open_arrays
from amiss.data.sequences import Sequences
from amiss.data.sources import open_data
from amiss.data.worlds.cell_movies import sample_cells
from amiss.data.worlds.digit_movies import digit_movies
from amiss.data.worlds.signals import sample_signals
from amiss.data.worlds.tasks import Labeled, chained, echo, parity
from amiss.errors import DataError
from amiss.repro import generator

__all__ = ["BUILT_IN_SEQUENCES", "open_sequences"]

_SPLITS = ("train", "test")
_ROWS = 4000  # of a task, in each split
_TASKS = 9  # stream of randomness
_NAMED = 8  # arrays of a file that are named where none fits


def _cells(seed: int, limit: int | None) -> Sequences:
    families = 300 if limit is None else min(300, -(-limit // 7))
    return sample_cells(families, seed).movies().pick(slice(limit))


def _signals(seed: int, limit: int | None) -> Sequences:
    return sample_signals(1500 if limit is None else limit, seed)


def _of_task(task: Callable[[torch.Generator], Labeled]) -> Callable[[int, int | None], Sequences]:
    """Rows of a task, with a label for each frame."""

    def drawn(seed: int, limit: int | None) -> Sequences:
        rows = task(generator(seed, _TASKS))
        names = [str(i) for i in range(rows.classes)]
        return Sequences.of(rows.frames, None, rows.labels, names).pick(slice(limit))

    return drawn


BUILT_IN_SEQUENCES: dict[str, Callable[[int, int | None], Sequences]] = {
    "cells": _cells,
    "signals": _signals,
    "parity": _of_task(lambda lots: parity(_ROWS, 20, lots)),
    "echo": _of_task(lambda lots: echo(_ROWS, 30, 8, lots)),
    "chained": _of_task(lambda lots: chained(_ROWS, 12, lots)),
}
"""Worlds that are drawn: from a seed and a number of rows. "digit-movies" needs a split of the digits."""


def open_sequences(source: str | Path, *, split: str = "train", limit: int | None = None, seed: int = 0) -> Sequences:
    """Open a set of movies or signals.

    Args:
        source: "cells", "signals" or "digit-movies", which have a label for each sequence; "parity", "echo" or
            "chained", which have one for each frame; or an npz file of arrays `frames_train` [n, T, C, H, W] of bytes
            or [n, T, F] of floats, `labels_train` [n] or [n, T], and if needed `lengths_train` and `beside_train`;
            `..._test` alike. An array `classes` of strings may name the labels.
        split: "train" or "test". The splits of a drawn world are different rows.
        limit: At most so many sequences.
        seed: Of a drawn world.

    Raises:
        DataError: There is no such source or split, or its arrays do not fit together.
    """
    if split not in _SPLITS:
        raise DataError(
            "Sequences have no such split.",
            slug="data-split",
            seen=split[:40],
            needed=", ".join(_SPLITS),
            hint="Take one of these.",
        )
    lots = 2 * seed + _SPLITS.index(split)  # no two splits share their noise
    if str(source) in BUILT_IN_SEQUENCES:
        return BUILT_IN_SEQUENCES[str(source)](lots, limit)
    if str(source) == "digit-movies":
        return digit_movies(open_data("digits", split=split, limit=limit, seed=seed), seed=lots)
    path = Path(os.path.expanduser(source))  # as `open_data` does
    if path.suffix.lower() != ".npz" or not path.is_file():
        raise DataError(
            "There are no such sequences.",
            slug="sequences-missing",
            seen=str(source)[:100],
            needed=f"an npz file, or {', '.join((*BUILT_IN_SEQUENCES, 'digit-movies'))}",
            hint="Check the path; arrays are saved by numpy.savez(file, frames_train=..., labels_train=...).",
        )
    return _read(path, split).pick(slice(limit))


def _read(path: Path, split: str) -> Sequences:
    """Arrays of an npz file, none of which may hold objects."""
    with open_arrays(path) as file:
        arrays = {
            name.removesuffix(f"_{split}"): torch.from_numpy(file.numbers(name))
            for name in file.names
            if name.endswith(f"_{split}")
        }
        classes, names = file.classes(), file.names
    if "frames" not in arrays:
        plain = next((name for name in ("frames", "x", "X", "data") if name in names), None)
        raise DataError(
            f"{path.name} has no sequences of this split.",
            slug="data-split",
            seen=", ".join(readable(name)[:40] for name in names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
            or "no array",
            needed=f"frames_{split}",
            hint=f"Save them as numpy.savez(file, frames_{split}={plain or '...'}); labels are labels_{split}.",
        )
    lengths, labels, beside = (arrays.get(name) for name in ("lengths", "labels", "beside"))
    return Sequences.of(arrays["frames"], lengths, labels, classes if labels is not None else (), beside=beside)
