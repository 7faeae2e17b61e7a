"""The contract of a space: parameters in, images out, and never a look at the classifier."""

from typing import Any

from torch import Tensor

from amiss.task import Level, P, Task

__all__ = ["Space"]


class Space:
    """How parameters become images, row by row.

    Attributes:
        gives: How far up the ladder `decode` goes; "loss" where it cannot be differentiated.
        images: Whether the parameters are the images themselves.
    """

    gives: Level = "jacobian"
    images: bool = False

    def prepare(self, task: Task) -> Task:
        """Compute once what every decode needs (codes, reconstructions), into `task.extra`."""
        return task

    def start(self, task: Task, k: int = 1) -> P:
        """Where a search starts: n * k rows, the k of a sample side by side."""
        raise NotImplementedError

    def decode(self, task: Task, p: Any) -> Tensor:
        """Images [R, C, H, W]; row i of `task` is the sample of row i of `p`."""
        raise NotImplementedError

    def vary(self, parents: Any, key: Tensor, turn: int = 0) -> P:
        """Children of the parents, one each, for spaces that evolve.

        Args:
            parents: R rows of parameters.
            key: Each child's own randomness [R].
            turn: Which generation they are, for spaces that vary less as time goes on.
        """
        raise NotImplementedError

    def cross(self, parents: Any, mates: Any, key: Tensor, turn: int = 0) -> P:
        """What a child of two parents begins as, before it varies: one of them, unless the space can cross them.

        Args:
            parents: R rows of parameters.
            mates: R others.
            key: The randomness of each pair [R]. Two rows whose parents and mates are exchanged have the same key,
                and get the pair's two children.
            turn: Which generation they are.
        """
        return parents

    def __repr__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if isinstance(v, int | float | str | tuple))
        return f"{type(self).__name__}({given})"
