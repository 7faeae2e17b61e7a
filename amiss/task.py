"""What travels between the nouns: a `Task` (the samples), a `Query` (rows asked), an `Answer` (rows read)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor

__all__ = ["ALL", "LEVELS", "Answer", "Level", "P", "Query", "State", "Task", "reaches"]

Level = Literal["met", "loss", "grad", "jacobian"]
"""What a classifier and a space give and what an optimizer wants: each rung includes those below."""

P: TypeAlias = Tensor | list[Any]
"""Parameters of R rows: a tensor [R, ...], or R genomes of plain values."""

State: TypeAlias = dict[str, Any]
"""An optimizer's or a walk's memory: tensors and plain values only, so it can be saved."""

LEVELS: tuple[Level, ...] = ("met", "loss", "grad", "jacobian")

ALL = None
"""Owner of rows that compete in every sample."""


def reaches(gives: Level, wants: Level) -> bool:
    """Whether `gives` is as high on the ladder as `wants`."""
    return LEVELS.index(gives) >= LEVELS.index(wants)


@dataclass(frozen=True)
class Task:
    """n samples of one piece of work, indexable by row.

    Attributes:
        key: Sample keys [n], int64: what randomness is folded from.
        image: Images [n, C, H, W] in [0, 1], or None where the work starts from nothing.
        label: True labels [n], int64.
        target: Wanted labels [n], int64.
        guide: Images to mimic [n, C, H, W].
        extra: What `prepare` computed once (codes, decoded codes, the guide's features), each [n, ...].
    """

    key: Tensor
    image: Tensor | None = None
    label: Tensor | None = None
    target: Tensor | None = None
    guide: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.key.shape[0])

    def rows(self, index: Tensor) -> "Task":
        """The samples at `index` [R], which may repeat."""
        return self._each(lambda t: t[index])

    def to(self, device: torch.device | str) -> "Task":
        """The same samples on another device."""
        return self._each(lambda t: t.to(device))

    def grid(self, rows: int) -> "Task":
        """Views [rows, n, ...] of every field: each of `rows` rows beside each sample, nothing copied."""
        return self._each(lambda t: t.unsqueeze(0).expand(rows, *t.shape))

    def spread(self, n: int) -> "Task":
        """Views with a dimension of n after the samples' own: each sample beside n readings of itself."""
        lead = self.key.ndim
        return self._each(lambda t: t.unsqueeze(lead).expand(*t.shape[:lead], n, *t.shape[lead:]))

    def adding(self, **extra: Tensor) -> Self:
        """A copy with more in `extra`."""
        return replace(self, extra={**self.extra, **extra})

    @classmethod
    def join(cls, parts: Sequence["Task"]) -> "Task":
        """Samples of several tasks as one; all have the same fields."""
        first = parts[0]
        if len(parts) == 1:
            return first
        names = [f.name for f in fields(first) if f.name != "extra" and getattr(first, f.name) is not None]
        joined: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        extra = {name: torch.cat([part.extra[name] for part in parts]) for name in first.extra}
        return cls(**joined, extra=extra)

    def _each(self, change: Any) -> "Task":
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        moved: dict[str, Any] = {name: None if v is None else change(v) for name, v in values.items()}
        return Task(**moved, extra={name: change(v) for name, v in self.extra.items()})


@dataclass(frozen=True)
class Query:
    """R rows that an optimizer wants read.

    Attributes:
        p: Parameters of the rows.
        owner: Whose row it is [R], int64; -1 is an idle row: it costs nothing, answers zeros and is not met.
            `ALL` (None): every row competes in every sample.
        want: How much of the ladder is needed.
        weight: The rows' penalty factors [R]. None: no penalty, the value is the bare loss.
        draw: The turn that randomness is folded from, [R] or one for all; pinned within a line search.
            None asks for the judgement alone.
        of: What `value` is and `grad` is the gradient of: "value", what is descended; "slack", the objective's
            slack, which goes on where the loss is 0 already, and carries no penalty; "odds", the objective's
            log-odds of success, likewise; "margin", one of its margins, and all of them are told.
        toward: For `ALL` rows of which gradients are wanted: the sample whose loss each row is to lower [R], int64.
            For "margin": whose margin it is, by its place among them [R], int64.
        nearest: Of a Jacobian: only so many margins, those nearest to 0; None: all of them.
    """

    p: P
    owner: Tensor | None
    want: Level = "grad"
    weight: Tensor | None = None
    draw: int | Tensor | None = None
    of: Literal["value", "slack", "odds", "margin"] = "value"
    toward: Tensor | None = None
    nearest: int | None = None

    def __len__(self) -> int:
        return len(self.p)


@dataclass(frozen=True)
class Answer:
    """What was read, row by row.

    Attributes:
        met: Whether the objective is met, margin included [R] (for `ALL` rows [R, n]).
        size: The constraint's measure of the change [R].
        loss: The objective's loss [R] (for `ALL` rows [R, n]); a margin loss is 0 where `met` begins.
        value: What is descended [R]: the loss, or with a weight (0 where met, else loss) + weight x penalty. Where
            the slack or the odds were asked for, those. Of `ALL` rows the loss of the sample that each goes toward.
        grad: The value's gradient [R, *p], or the margins' Jacobian [R, m, *p].
        margins: The objective's margins [R, m], each 0 at its own boundary: with a Jacobian, and where one of them
            was asked for.
        won: The row that became a sample's standing best [n], or -1.
    """

    met: Tensor
    size: Tensor
    loss: Tensor
    value: Tensor | None = None
    grad: Tensor | None = None
    margins: Tensor | None = None
    won: Tensor | None = None
