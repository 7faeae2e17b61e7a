"""Expectation over transformation: what is wanted must hold over a distribution of views."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.objectives.objective import Objective, View, leaves
from amiss.repro import fold
from amiss.task import Task

__all__ = ["EOT", "Transform"]

Transform = Callable[[Tensor, Tensor], Tensor]
"""Images [R, C, H, W] and keys [R] to views [R, C, H, W]: all its randomness comes from the keys."""

_JUDGE = -1  # the turn of the judging views, which no optimizer ever asks for


class EOT(Objective):
    """An objective in expectation over transformed views.

    The loss is the mean over n views drawn anew each turn. Success is judged on n other views, fixed for a sample
    and never optimized: it is met where at least `share` of them are, so `met` is a function of the image.

    Args:
        objective: What each view should satisfy.
        transforms: Applied one after the other.
        n: Views a reading.
        share: Share of the judging views that must be met, in (0, 1].

    References:
        Athalye, Engstrom, Ilyas and Kwok (2018), synthesizing robust adversarial examples, eq. 2.
    """

    def __init__(self, objective: Objective, transforms: Sequence[Transform], n: int = 8, share: float = 0.9) -> None:
        if n < 1 or not 0 < share <= 1:
            raise UsageError(
                "An expectation needs a view at least, and a share of the views in (0, 1].",
                slug="eot-share",
                seen=f"n={n}, share={share}",
                hint="EOT(objective, transforms, n=16, share=0.9)",
            )
        self.objective, self.transforms, self.n, self.share = objective, tuple(transforms), n, share
        self.looks, self.keeps, self.relative = 2 * n * objective.looks, objective.keeps, objective.relative

    def cost(self, draw: int | Tensor | None) -> int:
        """The n judging views, and n fresh ones where a draw is given."""
        return self.n * self.objective.looks * (1 if draw is None else 2)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Prepare the objective."""
        return self.objective.prepare(classifier, task)

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Read n fresh views where a draw is given, and always the n judging ones."""
        with torch.no_grad():
            y = {"judged": self._look(classifier, x, task, _JUDGE)}
        return y if draw is None else {"drawn": self._look(classifier, x, task, draw), **y}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """Mean loss over the fresh views (the judging ones, where none were drawn); met by share."""
        task = task.spread(self.n)
        loss, met = self.objective.score(y["judged"], task)
        if "drawn" in y:
            loss, _ = self.objective.score(y["drawn"], task)
        return loss.mean(-1), met.sum(-1) >= self.share * self.n - 1e-6  # counted: a mean may round below its share

    def _look(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor) -> View:
        views, tasks = [], []
        for i in range(self.n):
            view, turn = x, fold(fold(task.key, draw), i)
            for place, transform in enumerate(self.transforms):
                view = transform(view, fold(turn, place))
            views.append(view)
            tasks.append(replace(task, key=turn))
        turns = draw.repeat(self.n) if isinstance(draw, Tensor) and draw.ndim else draw
        y = self.objective.read(classifier, torch.cat(views), Task.join(tasks), turns)
        return leaves(y, lambda t: t.reshape(self.n, len(x), *t.shape[1:]).movedim(0, 1))

    def __repr__(self) -> str:
        return f"EOT({self.objective!r}, {list(self.transforms)!r}, n={self.n}, share={self.share})"
