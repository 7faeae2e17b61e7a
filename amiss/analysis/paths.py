"""Paths of searches across the latent space: the region of every step, and whether they end in a local minimum."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError
from amiss.probe import Probe
from amiss.result import Result
from amiss.task import Task

__all__ = ["Around", "Path", "around", "trace"]


@dataclass(frozen=True, eq=False)
class Path:
    """Where one sample's search went; the last place is its best attempt.

    Attributes:
        turns: Turns [T]; beside the best attempt stands the turn at which the search ended.
        eps: Changes of the code [T, d].
        labels: The classifier's answer at each [T], int64.
        met: Whether the objective was met there [T].
    """

    turns: Tensor
    eps: Tensor
    labels: Tensor
    met: Tensor

    def __len__(self) -> int:
        return len(self.turns)


def trace(probe: Probe, classifier: Classifier, task: Task) -> tuple[Result, tuple[Path, ...]]:
    """Run a search and note where it goes: the foremost row of every sample at every turn.

    All samples are searched for together; the passes are the probe's own.

    Args:
        probe: The search; its parameters are changes of a code.
        classifier: Who is asked; the regions cost one more look an image and turn.
        task: The samples.

    Returns:
        The result, and one path a sample.
    """
    search, rows, labels = probe.search(classifier, task), [], []
    state = search.start()
    for step in search.walk(images=True):
        state, own = step.state, step.rows.clamp_min(0)
        assert step.images is not None  # noqa: S101 - walk(images=True)
        rows.append((step.turn, step.rows.cpu(), step.query.p[own].cpu(), step.answer.met[own].cpu()))
        labels.append(_labels(classifier, step.images[own], probe.batch))
    result = search.conclude(state)
    last = _labels(classifier, result.images, probe.batch)
    return result, tuple(_path(i, rows, labels, result, last) for i in range(len(result)))


def _path(
    i: int, rows: Sequence[tuple[int, Tensor, Tensor, Tensor]], labels: Sequence[Tensor], result: Result, last: Tensor
) -> Path:
    """The path of sample i: the turns in which it had a row, and its best attempt."""
    there = [k for k, (_, at, _, _) in enumerate(rows) if int(at[i]) >= 0]
    turns = [rows[k][0] for k in there]
    assert isinstance(result.p, Tensor)  # noqa: S101 - changes of a code
    return Path(
        torch.tensor([*turns, turns[-1] if turns else 0]),
        torch.stack([*(rows[k][2][i] for k in there), result.p[i].cpu()]),
        torch.stack([*(labels[k][i] for k in there), last[i]]),
        torch.stack([*(rows[k][3][i] for k in there), result.met[i]]),
    )


def _labels(classifier: Classifier, images: Tensor, batch: int) -> Tensor:
    return torch.cat([classifier.predict(part) for part in images.split(batch)]).cpu()


@dataclass(frozen=True)
class Around:
    """The loss at a place of a two-dimensional code, and on circles around it.

    Where the lowest loss on a circle is above that at its center, a local minimum lies inside: the loss is
    continuous, and all ways out climb. The circle is read at points, so the wall is seen there alone.

    Attributes:
        loss: The loss at the place.
        radii: Radii of the circles, in code units.
        lowest: The lowest loss on each.
    """

    loss: float
    radii: tuple[float, ...]
    lowest: tuple[float, ...]

    @property
    def walled(self) -> float:
        """The largest radius whose circle lies above the place; 0 where there is none."""
        return max((r for r, low in zip(self.radii, self.lowest, strict=True) if low > self.loss), default=0.0)


@torch.no_grad()
def around(
    probe: Probe,
    classifier: Classifier,
    task: Task,
    eps: Tensor,
    radii: Sequence[float] = (0.05, 0.1, 0.2, 0.4, 0.8),
    points: int = 72,
) -> Around:
    """The loss around the place where a search of a two-dimensional code ended.

    Args:
        probe: Whose objective, without the penalty, and whose space.
        classifier: Who is asked.
        task: One sample.
        eps: The place, a change of its code [2].
        radii: Circles to look at.
        points: Points on each.

    Raises:
        ContractError: The code has other than two dimensions.
    """
    if tuple(eps.shape) != (2,):
        raise ContractError(
            "A wall around a place is looked for in two dimensions.",
            slug="atlas-around",
            seen=f"a change of shape {tuple(eps.shape)}",
            needed="a change [2]",
            hint="Use a decoder of two dimensions; in higher ones gradients seldom get stuck.",
        )
    domain = probe.search(classifier, task).domain
    angle = torch.arange(points, dtype=eps.dtype, device=eps.device) * (2 * pi / points)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    places = torch.cat([eps[None], *(eps + radius * ring for radius in radii)])
    losses = []
    for part in places.split(probe.batch):
        rows = domain.task.rows(torch.zeros(len(part), dtype=torch.int64, device=eps.device))
        x = domain.decode(part, torch.zeros(len(part), dtype=torch.int64, device=eps.device))
        losses.append(probe.objective.score(probe.objective.read(classifier, x, rows, None), rows)[0])
    read = torch.cat(losses)
    circles = read[1:].reshape(len(radii), points).amin(1)
    return Around(float(read[0]), tuple(radii), tuple(circles.tolist()))
