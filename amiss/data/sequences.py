"""`Sequences`: movies or signals of any lengths, with what is known of each, known by their content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from amiss.data.images import Index
from amiss.errors import DataError
from amiss.repro import digest

__all__ = ["Sequences"]

_PLAUSIBLE, _GAPS = 100, 10  # classes without names, and how many of them a label that is there may stand for

_NEEDED = {
    "number": (
        "one sequence or more, of one frame or more, which hold something",
        "Look at how the arrays were cut.",
    ),
    "lengths": (
        "[{n}], whole numbers from 1 to {length}",
        "Leave empty sequences out, and give the number of frames of each of the others.",
    ),
    "numbers beside the frames": ("[{n}, {length}, E]: a row for each frame", "Pad them as the frames are padded."),
    "columns of the table": ("a number for each sequence", "Take the same rows of every column."),
}


@dataclass(frozen=True, eq=False, repr=False)
class Sequences:
    """n sequences, padded at their ends to a common length. `Sequences.of` checks and fills in.

    Attributes:
        frames: [n, T, ...]: pictures [n, T, C, H, W], uint8, or numbers [n, T, F], float32.
        lengths: How many frames of each count [n], int64.
        labels: True labels [n], or one for each frame [n, T], int64; or None.
        classes: Name of each label.
        beside: Numbers beside each frame [n, T, E], float32; E may be 0.
        table: Further knowledge, one tensor [n] for each attribute.
    """

    frames: Tensor
    lengths: Tensor
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    beside: Tensor = field(default_factory=lambda: torch.zeros(0, 0, 0))
    table: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        frames: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        labels: Tensor | Sequence[int] | Sequence[Sequence[int]] | None = None,
        classes: Sequence[str] = (),
        *,
        beside: Tensor | None = None,
        table: Mapping[str, Tensor] | None = None,
    ) -> "Sequences":
        """Check that all parts fit together.

        Args:
            frames: [n, T, C, H, W], uint8, or [n, T, F], floats.
            lengths: Frames of each that count; by default all of them.
            labels: Whole numbers from 0, one a sequence or one a frame; any behind an end. Without names, more than a
                hundred classes need one label that is there for every ten.
            classes: Name of each label; by default the numbers.
            beside: Numbers beside each frame [n, T, E].
            table: Further knowledge, one tensor [n] for each attribute.

        Raises:
            DataError: There is no sequence or an empty one, a part does not fit the others, or a frame that counts
                holds what is not finite.
        """
        pictures = frames.ndim == 5 and frames.dtype == torch.uint8
        if not pictures and not (frames.ndim == 3 and frames.is_floating_point()):
            seen, needed = f"{tuple(frames.shape)}, {frames.dtype}", "pictures [n, T, C, H, W] of bytes, or numbers"
            raise _unfit("frames", seen, f"{needed} [n, T, F] of floats", _mended(frames))
        n, length = (*frames.shape[:2], 0, 0)[:2]
        given = torch.full((n,), length) if lengths is None else torch.as_tensor(lengths)
        lengths = given.to(torch.int64)
        beside = torch.zeros(n, length, 0) if beside is None else beside.float()
        _check(
            {
                "number": (frames.numel() > 0, f"{n} sequences of {length} frames {tuple(frames.shape[2:])}"),
                "lengths": (
                    lengths.shape == (n,) and bool(((given >= 1) & (given <= length) & (given == lengths)).all()),
                    _range(given),
                ),
                "numbers beside the frames": (
                    beside.ndim == 3 and beside.shape[:2] == (n, length),
                    f"{tuple(beside.shape)}",
                ),
                "columns of the table": (
                    all(t.shape == (n,) for t in (table or {}).values()),
                    "a column of another length",
                ),
            },
            n,
            length,
        )
        marks = None if labels is None else _whole(labels, lengths, (n, length), len(classes))
        if marks is not None and not classes:
            classes = [str(i) for i in range(int(marks.max()) + 1)]
        found = cls(frames if pictures else frames.float(), lengths, marks, tuple(classes), beside, dict(table or {}))
        found._refuse_bad()
        return found

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Sequences({len(self)} of up to {self.frames.shape[1]} frames {tuple(self.frames.shape[2:])})"

    @property
    def truth(self) -> Tensor:
        """The labels of whole sequences [n].

        Raises:
            DataError: There are none.
        """
        if self.labels is None or self.labels.ndim != 1:
            raise _without(
                "a label for each sequence", "frames alone" if self.labels is None else "one for each frame"
            )
        return self.labels

    @property
    def frame_truth(self) -> Tensor:
        """The labels of frames [n, T]; 0 behind an end.

        Raises:
            DataError: There are none.
        """
        if self.labels is None or self.labels.ndim != 2:
            seen = "frames alone" if self.labels is None else "one for each sequence"
            raise _without("a label for each frame", seen)
        return self.labels

    @cached_property
    def counts(self) -> Tensor:
        """Which frames count [n, T], bool."""
        return torch.arange(self.frames.shape[1]) < self.lengths[:, None]

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that a model may learn from; what stands behind an end is no part of it."""
        kept = [self.frames[self.counts], self.beside[self.counts], self.lengths]
        told = [] if self.labels is None else [self.labels if self.labels.ndim == 1 else self.labels[self.counts]]
        return digest(*kept, *told, *self.classes)

    def pick(self, index: Index) -> "Sequences":
        """The sequences at `index`: positions, a mask, or a slice."""
        rows = index if isinstance(index, slice) else torch.as_tensor(index)
        return replace(
            self,
            frames=self.frames[rows],
            lengths=self.lengths[rows],
            labels=None if self.labels is None else self.labels[rows],
            beside=self.beside[rows],
            table={name: column[rows] for name, column in self.table.items()},
        )

    def cut(self, lengths: Tensor) -> "Sequences":
        """The same sequences, of which fewer frames count; those that would have none are left out."""
        lengths = torch.minimum(self.lengths, lengths)
        labels = self.labels
        if labels is not None and labels.ndim == 2:
            labels = torch.where(torch.arange(labels.shape[1]) < lengths[:, None], labels, 0)
        return replace(self, lengths=lengths, labels=labels).pick(lengths >= 1)

    def joined(self, k: int) -> "Sequences":
        """The same signals in frames of `k` samples: k frames of numbers [F] become one [k F]; a rest is left out.

        Raises:
            DataError: They are movies, have numbers or labels beside their frames, or one is shorter than `k`.
        """
        n, length = self.frames.shape[:2]
        if (
            k < 1
            or self.frames.ndim != 3
            or self.beside.shape[2]
            or _per_frame(self.labels)
            or int(self.lengths.min()) < k
        ):
            raise DataError(
                "The frames of these sequences cannot be joined.",
                slug="sequences-joined",
                seen=f"k={k}, the shortest of {int(self.lengths.min())} frames {tuple(self.frames.shape[2:])}",
                needed="signals [n, T, F] with nothing beside their frames, and k from 1 to the shortest length",
                hint="Leave short signals out: signals.pick(signals.lengths >= k).",
            )
        frames = self.frames[:, : length - length % k].reshape(n, length // k, -1)
        beside = self.beside[:, : length // k]
        return replace(self, frames=frames, lengths=self.lengths // k, beside=beside)

    def shuffled(self, seed: int) -> "Sequences":
        """The same sequences, the frames of each in an order drawn anew: what depends on time is gone."""
        lots = torch.rand(self.counts.shape, generator=torch.Generator().manual_seed(seed))
        order = torch.where(self.counts, lots, 2.0 + torch.arange(self.frames.shape[1])).argsort(1)
        rows = torch.arange(len(self))[:, None]
        labels = self.labels
        if labels is not None and labels.ndim == 2:
            labels = labels[rows, order]
        return replace(self, frames=self.frames[rows, order], labels=labels, beside=self.beside[rows, order])

    def _refuse_bad(self) -> None:
        for name, part in (("frame", self.frames), ("numbers beside a frame", self.beside)):
            if not part.is_floating_point():
                continue
            bad = ~part.isfinite().flatten(2).all(2) & self.counts
            if bool(bad.any()):
                row, at = (int(i) for i in bad.nonzero()[0])
                raise DataError(
                    "A frame holds numbers that are not finite.",
                    slug="sequences-finite",
                    seen=f"{name} {at} of sequence {row}, and {int(bad.sum()) - 1} more",
                    needed="finite numbers",
                    why="a sensor that dropped out, or a division by zero",
                    hint="Leave such frames out, or fill them: frames.nan_to_num().",
                )


def _whole(labels: Any, lengths: Tensor, shape: tuple[int, int], names: int) -> Tensor:
    """Labels as int64, 0 behind an end.

    Raises:
        DataError: They are not as many as sequences or frames, no whole numbers from 0, or more than have names.
    """
    n, length = shape
    needed = f"[{n}] for sequences or [{n}, {length}] for their frames, whole numbers from 0"
    needed += f" to {names - 1}, which have names" if names else ""
    try:
        told = torch.as_tensor(labels)
    except (ValueError, TypeError, RuntimeError) as error:
        hint = "Number the classes from 0; pad the labels of frames as the frames are padded."
        raise _unfit("labels", "words, or rows of different lengths", needed, hint) from error
    told = told if told.is_floating_point() else told.to(torch.int64)
    if told.shape == shape:
        told = torch.where(torch.arange(length) < lengths[:, None], told, 0)
    seen = _range(told)
    whole = told.to(torch.int64)
    if told.shape not in ((n,), shape) or not bool(((whole == told) & (whole >= 0)).all()):
        raise _unfit("labels", seen, needed, _renumbered(told, shape))
    most, kinds = int(whole.max()) + 1, len(whole.unique())
    if names and most > names:
        raise _unfit("labels", seen, needed, "Name every class, or leave all names out.")
    if not names and most > max(_PLAUSIBLE, _GAPS * kinds):  # one wild label must not fill the memory, either
        raise _unfit(
            "labels",
            f"{seen}, of which {kinds:,} are there",
            f"labels that count from 0 without wide gaps, or names of all {most:,} classes",
            "Number them anew: labels.unique(return_inverse=True)[1]; or pass the names as classes.",
        )
    return whole


def _range(told: Tensor) -> str:
    """The shape of some numbers, and the least and greatest of them."""
    return f"{list(told.shape)}" + (
        f", from {told.min().item():g} to {told.max().item():g}" if told.numel() else ", none"
    )


def _renumbered(told: Tensor, shape: tuple[int, int]) -> str:
    """What would make labels of these."""
    if told.shape in (shape[:1], shape):
        return "Number the classes from 0."
    one_hot = told.ndim > 1 and told.shape[:-1] in (shape[:1], shape) and bool((told.sum(-1) == 1).all())
    if one_hot and bool(((told == 0) | (told == 1)).all()):
        return "These have a column for each class: labels.argmax(-1)."
    return "Give one label for each sequence, or one for each frame; pad those of frames as the frames are padded."


def _without(needed: str, seen: str) -> DataError:
    return DataError(
        "These sequences have no such labels.",
        slug="sequences-labels",
        seen=seen,
        needed=needed,
        hint="Pass labels to Sequences.of: [n] for whole sequences, [n, T] for their frames.",
    )


def _per_frame(labels: Tensor | None) -> bool:
    return labels is not None and labels.ndim == 2


def _check(rules: Mapping[str, tuple[bool, str]], n: int, length: int) -> None:
    for name, (holds, seen) in rules.items():
        if not holds:
            needed, hint = _NEEDED[name]
            raise _unfit(name, seen, needed.format(n=n, length=length), hint)


def _unfit(name: str, seen: str, needed: str, hint: str) -> DataError:
    return DataError(
        f"The {name} of these sequences {'does' if name == 'number' else 'do'} not fit.",
        slug="sequences",
        seen=seen,
        needed=needed,
        hint=hint,
    )


def _mended(frames: Tensor) -> str:
    """What would make frames of these."""
    if frames.ndim in (2, 4):
        what = "samples alone have one number a frame" if frames.ndim == 2 else "gray pictures have an axis, too"
        return f"Add the axis that is missing ({what}): frames[:, :, None]."
    if frames.ndim == 3:
        return "Save numbers as floats: frames.astype(numpy.float32)."
    if frames.ndim == 5:
        return "Save pictures as bytes, 0 to 255."
    return "Pad sequences at their ends to a common length."
