"""The laws of an objective."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError
from amiss.objectives.objective import Objective, View, leaves
from amiss.task import Task, reaches
from amiss.testing.batteries import defaults
from amiss.testing.batteries.values import apart, cloned, parts_of, same, tolerance
from amiss.testing.batteries.verdicts import Law, Skipped, Verdict, judged, need

__all__ = ["LAWS", "check_objective"]

_TURN = 3  # the draw of a search
_NEAR = 1e-5  # how far from 0 a margin may be at its boundary


class _Bright(Objective):
    """The mean pixel: a second objective that asks nobody."""

    def read(self, classifier: Any, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        return {"mean": x.flatten(1).mean(1)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        return y["mean"], y["mean"] > 0.5


@dataclass(frozen=True)
class _Case:
    """An objective, who is asked, and samples."""

    objective: Objective
    classifier: Any
    given: Task

    @cached_property
    def task(self) -> Task:
        """The samples, prepared."""
        return self.objective.prepare(self.classifier, self.given)

    @cached_property
    def images(self) -> Tensor:
        """Images [n, C, H, W] to look at."""
        if self.given.image is None:
            raise Skipped("the task has no image to look at")
        return self.given.image

    @property
    def points(self) -> list[Tensor]:
        """Several sets of images, one a sample: their own, each other's, and noisy ones."""
        x = self.images
        return [x, x.flip(0), x.roll(1, 0), (x + 0.2 * defaults.noise(x, 1)).clamp(0, 1)]

    def read(self, x: Tensor, draw: int | None = None, rows: Tensor | None = None) -> View:
        """What is seen of the images."""
        task = self.task if rows is None else self.task.rows(rows)
        return self.objective.read(self.classifier, x, task, draw)

    def score(
        self, x: Tensor, draw: int | None = None, rows: Tensor | None = None, objective: Objective | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss and success of the images, without a gradient."""
        task, judge = self.task if rows is None else self.task.rows(rows), objective or self.objective
        with torch.no_grad():
            return judge.score(judge.read(self.classifier, x, task, draw), task)


def check_objective(
    objective: Objective,
    classifier: Any = None,
    task: Task | None = None,
    *,
    expected_failures: Mapping[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Check every law of an objective.

    Args:
        objective: The objective.
        classifier: Who is asked; the linear world's, two classes, in float64, where left out.
        task: Samples with images, two or more; the linear world's [6, 1, 8, 8], each with its answer as label and
            the other class as target, where left out.
        expected_failures: Laws that are known to break, each with the reason.

    Returns:
        One verdict a law.

    Raises:
        BatteryError: A law breaks, or holds though it was expected to break.
    """
    asked = defaults.classifier() if classifier is None else classifier
    samples = defaults.task() if task is None else task
    if isinstance(asked, Classifier):
        samples = samples.to(asked.device)
    return judged(objective, LAWS, _Case(objective, asked, samples), expected_failures)


def rows_are_scored(case: _Case) -> None:
    """Losses are finite numbers and successes booleans, one a row; nothing is reduced over rows."""
    for x in case.points:
        loss, met = case.score(x, _TURN)
        shapes = f"loss {tuple(loss.shape)}, met {tuple(met.shape)} {met.dtype}"
        need(loss.shape == met.shape == (len(x),) and met.dtype == torch.bool, shapes, f"[{len(x)}], met boolean")
        need(bool(loss.isfinite().all()), f"losses {loss.tolist()}", "finite losses of finite images")


def competing_rows_score_alike(case: _Case) -> None:
    """A row scored in every sample at once, [R, n], scores as it does in each sample alone."""
    x, n = case.images, len(case.task)
    with torch.no_grad():
        y = leaves(case.read(x), lambda t: t.unsqueeze(1).expand(n, n, *t.shape[1:]))
        loss, met = case.objective.score(y, case.task.grid(n))
    need(loss.shape == met.shape == (n, n), f"loss {tuple(loss.shape)}, met {tuple(met.shape)}", f"({n}, {n})")
    with torch.no_grad():
        single = case.read(x)
        for i in range(n):
            one, held = case.objective.score(single, case.task.rows(torch.full((n,), i)))
            near = apart(one, loss[:, i]) <= tolerance(loss) and torch.equal(held, met[:, i])
            need(near, f"other scores of all rows in sample {i}", "the same")


def success_is_the_images_own(case: _Case) -> None:
    """What is met in a search is met in a fresh look at the same images, and in a second one."""
    for x in case.points:
        searched, fresh, again = (case.score(x, draw)[1] for draw in (_TURN, None, None))
        need(torch.equal(fresh, again), "another success at a second look", "the same")
        need(torch.equal(searched, fresh), "another success with a draw than in judgement", "the same")


def reading_repeats(case: _Case) -> None:
    """The same draw gives the same loss: randomness comes from keys, not from global state."""
    for draw in (_TURN, None):
        gap = apart(case.score(case.images, draw)[0], case.score(case.images, draw)[0])
        need(gap <= tolerance(case.images), f"losses {gap:.3g} apart", "the same")


def sums_add_and_hold_both(case: _Case) -> None:
    """Sums add the losses and are met where both parts are; a factor multiplies the loss alone."""
    other = _Bright()
    for x in case.points:
        loss, met = case.score(x, _TURN)
        more, also = case.score(x, _TURN, objective=other)
        for both in (case.objective + 2.0 * other, 2.0 * other + case.objective):
            total, held = case.score(x, _TURN, objective=both)
            gap = apart(total, loss + 2.0 * more)
            need(gap <= tolerance(total), f"a sum {gap:.3g} off the parts", "losses added")
            need(torch.equal(held, met & also), "a sum met elsewhere than its parts", "met where both are")
        double, still = case.score(x, _TURN, objective=2.0 * case.objective)
        near = apart(double, 2.0 * loss) <= tolerance(double) and torch.equal(still, met)
        need(near, "another loss or success of 2 * a", "twice the loss, the same success")


def gradients_stay_in_their_row(case: _Case) -> None:
    """The gradient of row i's loss with respect to the image of row j is zero."""
    if not reaches(getattr(case.classifier, "gives", "jacobian"), "grad"):
        raise Skipped("the classifier gives no gradient")
    with torch.enable_grad():
        x = case.images.detach().clone().requires_grad_()
        loss, _ = case.objective.score(case.read(x, _TURN), case.task)
        if not loss.requires_grad:
            raise Skipped("the loss has no gradient")
        for i, one in enumerate(loss):
            (grad,) = torch.autograd.grad(one, x, retain_graph=True)
            leak = grad.flatten(1).abs().amax(1)
            leak[i] = 0
            need(not bool(leak.any()), f"{float(leak.max()):.3g} from row {i} into another", "0")


def rows_are_independent(case: _Case) -> None:
    """A row scores alone as it does among others, in any order."""
    n = len(case.task)
    backward = torch.arange(n - 1, -1, -1)
    for draw in (_TURN, None):
        loss, met = case.score(case.images, draw)
        lost, kept = case.score(case.images[backward], draw, backward)
        near = apart(lost[backward], loss) <= tolerance(loss) and torch.equal(kept[backward], met)
        need(near, "other scores in another order", "the same")
        for i in range(n):
            row = torch.tensor([i])
            one, held = case.score(case.images[row], draw, row)
            gap = apart(one, loss[row])
            near = gap <= tolerance(loss) and bool(held[0] == met[i])
            need(near, f"row {i} alone scores {gap:.3g} off, or is met otherwise", "the same score")


def margins_are_zero_at_their_boundary(case: _Case) -> None:
    """Where margins are offered, one of them is 0 where `met` begins."""
    try:
        with torch.no_grad():
            case.objective.margins(case.read(case.images), case.task)
    except ContractError:
        raise Skipped("it offers no margins") from None
    found = 0
    for far in case.points[1:]:
        inside, outside = case.images, far
        (_, met), (_, missed) = case.score(inside), case.score(outside)
        rows = (met != missed).nonzero().flatten()
        if not len(rows):
            continue
        found += len(rows)
        goal, task = met[rows], case.task.rows(rows)
        inside, outside = inside[rows], outside[rows]
        for _ in range(60):
            middle = (inside + outside) / 2
            like = (case.score(middle, rows=rows)[1] == goal).reshape(-1, 1, 1, 1)
            inside, outside = torch.where(like, middle, inside), torch.where(like, outside, middle)
        with torch.no_grad():
            margins = case.objective.margins(case.read(inside, rows=rows), task)
        need(margins.ndim == 2 and len(margins) == len(rows), f"margins {tuple(margins.shape)}", f"[{len(rows)}, m]")
        least = float(margins.abs().amin(1).max())
        need(least <= _NEAR, f"margins of {least:.3g} and more on the boundary", "one that is 0")
    if not found:
        raise Skipped("no two images of the task lie on both sides of its boundary")


def slack_is_signed_as_met(case: _Case) -> None:
    """Where a slack is offered, it is at least 0 exactly where the objective is met, but for rounding."""
    for x in case.points:
        with torch.no_grad():
            y = case.read(x)
            try:
                slack = case.objective.slack(y, case.task)
            except ContractError:
                raise Skipped("it offers no slack") from None
            _, met = case.objective.score(y, case.task)
        need(slack.shape == met.shape, f"slack {tuple(slack.shape)}", f"[{len(met)}]")
        wrong = ((slack >= 0) != met) & (slack.abs() > tolerance(slack, coarse=1e-6))
        need(not bool(wrong.any()), f"slack {slack.tolist()}, met {met.tolist()}", "0 or more exactly where met")


def cost_is_what_it_asks(case: _Case) -> None:
    """A reading shows the network as many images a row as `cost` says."""
    counts = getattr(case.classifier, "counts", None)
    if counts is None:
        raise Skipped("the model does not count what it is asked")
    for draw in (_TURN, None):
        case.score(case.images, draw)
        before = counts.queries
        case.score(case.images, draw)
        asked, told = counts.queries - before, case.objective.cost(draw) * len(case.images)
        need(asked == told, f"{asked} images asked for {len(case.images)} rows with draw={draw}", f"{told}")


def nothing_is_written_to(case: _Case) -> None:
    """`prepare`, `read` and `score` leave the samples, the images and what was read as they were."""
    before = cloned(parts_of(case.given))
    prepared = case.objective.prepare(case.classifier, case.given)
    after, x = cloned(parts_of(prepared)), case.images.clone()
    with torch.no_grad():
        y = case.objective.read(case.classifier, x, prepared, _TURN)
        kept = cloned(y)
        case.objective.score(y, prepared)
    need(same(y, kept), "a reading that changed", "a reading as it was")
    need(same(x, case.images), "images that changed", "images as they were")
    need(same(parts_of(case.given), before), "samples that changed", "samples as they were given")
    need(same(parts_of(prepared), after), "prepared samples that changed", "prepared samples as they were")


LAWS: tuple[Law, ...] = (
    rows_are_scored,
    competing_rows_score_alike,
    success_is_the_images_own,
    reading_repeats,
    sums_add_and_hold_both,
    gradients_stay_in_their_row,
    rows_are_independent,
    margins_are_zero_at_their_boundary,
    slack_is_signed_as_met,
    cost_is_what_it_asks,
    nothing_is_written_to,
)
"""The laws of an objective."""
