"""What a study runs over: samples by position, each known by a digest, read a few at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from amiss.data import Images
from amiss.repro import digest
from amiss.task import Task

__all__ = ["Inputs"]


@dataclass(frozen=True)
class Inputs:
    """n samples, of which only those at work are in memory as numbers.

    Attributes:
        ids: Digest of each sample's content.
        names: What each is called.
        read: The task of the samples at positions [k].
        label: True labels [n], or None.
        target: Wanted labels [n], or None.
        unreadable: (name, reason) of what could not be read and is not among the n.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    read: Callable[[Tensor], Task] = field(repr=False, compare=False)
    label: Tensor | None = None
    target: Tensor | None = None
    unreadable: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all ids, labels and targets, in order."""
        return digest(*self.ids, *("none" if part is None else part for part in (self.label, self.target)))

    @classmethod
    def of_images(
        cls, images: Images, index: Tensor | None = None, *, target: Tensor | None = None, to_truth: bool = False
    ) -> "Inputs":
        """Images, or those at `index`.

        Args:
            images: Where they are.
            index: Positions [n]; all of them where left out.
            target: Wanted labels [n].
            to_truth: The wanted labels are the true ones: what repairs of mistakes want.
        """
        part = images if index is None else images.pick(index)
        if to_truth:
            target = part.truth

        def read(rows: Tensor) -> Task:
            task = part.task(rows)
            return task if target is None else replace(task, target=target[rows])

        return cls(part.ids, part.names, read, part.labels, target, images.unreadable)

    @classmethod
    def of_task(cls, task: Task, names: Sequence[str] = ()) -> "Inputs":
        """A task that is in memory, such as `am.classes(classifier)`."""
        parts = [part for part in (task.image, task.guide, *task.extra.values()) if part is not None]
        keys = task.key.tolist()
        ids = tuple(digest(str(key), *(part[i] for part in parts)) for i, key in enumerate(keys))
        names = tuple(names) or tuple(f"{i:05d}" for i in range(len(task)))
        held = task.to("cpu")
        return cls(ids, names, lambda rows: held.rows(rows), held.label, held.target)

    @property
    def columns(self) -> dict[str, list[int]]:
        """What is known of every sample beside its name."""
        known = {"label": self.label, "target": self.target}
        return {name: part.tolist() for name, part in known.items() if part is not None}

    def rows(self, index: Sequence[int]) -> Task:
        """The task of the samples at `index`."""
        return self.read(torch.tensor(list(index), dtype=torch.int64))
