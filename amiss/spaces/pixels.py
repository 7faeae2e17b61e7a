"""The space of images themselves."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from amiss.errors import ContractError
from amiss.spaces.space import Space
from amiss.task import Task

__all__ = ["Pixels"]


class Pixels(Space):
    """The parameters are the images.

    Args:
        shape: Shape (C, H, W) of an image, for tasks that bring none: the search then starts from grey. That of the
            guides where left out.
        grey: The value it starts from.
        anew: Start from grey whatever images the task brings. Without guides, they become the guides: what is to be
            found is not where the search starts.
    """

    images = True
    anew: bool = False

    def __init__(self, shape: Sequence[int] | None = None, grey: float = 0.5, anew: bool = False) -> None:
        self.shape = None if shape is None else tuple(shape)
        self.grey = grey
        if anew:  # else nothing is said of it: the space is told as ever
            self.anew = anew

    def prepare(self, task: Task) -> Task:
        """Take the images away from where the search starts, if it is to start anew."""
        if not self.anew or task.image is None:
            return task
        return replace(task, image=None, guide=task.image if task.guide is None else task.guide)

    def start(self, task: Task, k: int = 1) -> Tensor:
        """The images, or grey ones [n * k, C, H, W]."""
        if task.image is not None:
            return task.image.repeat_interleave(k, 0) if k > 1 else task.image
        if task.guide is not None and self.shape in (None, tuple(task.guide.shape[1:])):
            return torch.full_like(task.guide, self.grey).repeat_interleave(k, 0)
        if self.shape is None:
            raise ContractError(
                "The task has no image and the space no shape.",
                slug="contract-no-shape",
                seen="Pixels() and a task without images",
                hint="Say how large an image is: Pixels(shape=(3, 224, 224))",
            )
        return torch.full((len(task) * k, *self.shape), self.grey, device=task.key.device)

    def decode(self, task: Task, p: Tensor) -> Tensor:
        """The images themselves."""
        return p
