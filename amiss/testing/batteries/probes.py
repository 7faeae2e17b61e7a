"""The laws of a probe: what it leaves alone, what it costs, and what its successes are worth."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from typing import Any

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.order import better
from amiss.probe import Budget, Probe, Step
from amiss.result import STATUSES, Result
from amiss.task import ALL, State, Task
from amiss.testing.batteries import defaults
from amiss.testing.batteries.values import apart, cloned, parts_of, refuse_strange, same, saved, shaken, tolerance
from amiss.testing.batteries.verdicts import Law, Skipped, Verdict, judged, need
from amiss.testing.batteries.watching import counting, living, newcomers, tripping, untraced

__all__ = ["LAWS", "check_probe"]

_STEPS = 20  # updates of the walks
_TURNS = 60  # of an optimizer that asks several times an update, or competes
_QUERIES = 400  # of one that competes
_HAIR = 1e-6  # how far outside its set a change may end


@dataclass(frozen=True)
class _Case:
    """A probe, who is asked, and samples."""

    probe: Probe
    classifier: Any
    task: Task

    @cached_property
    def result(self) -> Result:
        """One run."""
        return self.probe.run(self.classifier, self.task)

    @cached_property
    def steps(self) -> list[Step]:
        """The steps of one walk."""
        return list(self.walk())

    def walk(self, state: State | None = None) -> Iterator[Step]:
        """A walk, as far as it is looked at."""
        return islice(self.probe.walk(self.classifier, self.task, state), _TURNS)

    def rows(self, *rows: int) -> Result:
        """A run over some of the samples."""
        return self.probe.run(self.classifier, self.task.rows(torch.tensor(rows, dtype=torch.int64)))


def check_probe(
    probe: Probe,
    classifier: Any = None,
    task: Task | None = None,
    *,
    expected_failures: Mapping[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Check every law of a probe, on runs of no more than 20 updates, or 400 queries where rows compete.

    Args:
        probe: The probe.
        classifier: Who is asked; the linear world's, two classes, in float64, where left out.
        task: Samples, three or more; images of the linear world [6, 1, 8, 8] where left out, each with its answer as
            label, the other class as target and another image as guide.
        expected_failures: Laws that are known to break, each with the reason.

    Returns:
        One verdict a law; `passed` is None where it does not apply.

    Raises:
        BatteryError: A law breaks, or holds though it was expected to break.
    """
    budget = replace(probe.budget, steps=min(probe.budget.steps, _STEPS))
    if probe.optimizer.competes:
        budget = replace(budget, queries=min(budget.queries or _QUERIES, _QUERIES))
    asked = defaults.classifier() if classifier is None else classifier
    case = _Case(replace(probe, budget=budget), asked, defaults.task() if task is None else task)
    return judged(probe, LAWS, case, expected_failures)


def every_sample_has_an_outcome(case: _Case) -> None:
    """Every sample ends in one of the closed set of outcomes, with a finite best image in [0, 1]."""
    result, n = case.result, len(case.task)
    total = sum(result.counts.values())
    need(len(result) == n == total, f"{len(result)} outcomes, {total} counted", f"{n}")
    strange = set(result.counts) - set(STATUSES)
    need(not strange, f"outcomes {sorted(strange)}", f"out of {', '.join(STATUSES)}")
    inside = bool(((result.images >= 0) & (result.images <= 1)).all())
    shape = tuple(result.images.shape)
    need(inside and len(result.images) == n, f"images {shape}, all in [0, 1]: {inside}", f"{n} of them, in [0, 1]")


def samples_are_left_alone(case: _Case) -> None:
    """The samples come out as they went in: images, labels, targets, guides, keys."""
    before = cloned(parts_of(case.task))
    case.probe.run(case.classifier, case.task)
    list(case.walk())  # a run cuts batches out of the samples; a walk has them as they are
    need(same(parts_of(case.task), before), "samples that changed", "samples as they were given")
    marked = [t for t in (case.task.image, case.task.guide) if t is not None and t.requires_grad]
    need(not marked, "images that require a gradient", "images as they were given")


def model_is_left_alone(case: _Case) -> None:
    """Parameters, buffers, training flags, gradients, hooks and random states are the same after a run."""
    with untraced(case.classifier, case.task):
        case.probe.run(case.classifier, case.task)


def model_is_left_alone_after_an_error(case: _Case) -> None:
    """The model is left alone just so when the network raises in the middle of a run."""
    error = RuntimeError("the battery trips the network")
    with untraced(case.classifier, case.task), tripping(case.classifier, error) as classifier, suppress(Exception):
        case.probe.run(classifier, case.task)


def model_is_left_alone_after_an_interrupt(case: _Case) -> None:
    """The model is left alone just so when Ctrl-C falls into a pass."""
    with (
        untraced(case.classifier, case.task),
        tripping(case.classifier, KeyboardInterrupt()) as classifier,
        suppress(KeyboardInterrupt),
    ):
        case.probe.run(classifier, case.task)


def runs_repeat(case: _Case) -> None:
    """The same run gives the same bits, whatever the global random state."""
    with shaken():
        again = case.probe.run(case.classifier, case.task)
    _agree(again, case.result, 0.0, "a second run")


def batch_does_not_matter(case: _Case) -> None:
    """Another number of rows a pass gives the same outcomes, and in float64 the same images to 1e-9."""
    if case.probe.optimizer.competes:
        raise Skipped("rows that compete are one batch")
    for batch in (1, 4):
        other = replace(case.probe, batch=batch).run(case.classifier, case.task)
        _agree(other, case.result, tolerance(case.result.images), f"batch={batch}")


def order_does_not_matter(case: _Case) -> None:
    """Another order of the samples gives each the same outcome, and in float64 the same image to 1e-9."""
    if case.probe.optimizer.competes:
        raise Skipped("rows that compete are drawn by place")
    rows = list(range(len(case.task)))[::-1]
    other = case.rows(*rows)
    _agree(other, case.result, tolerance(case.result.images), "the reversed order", rows)


def any_number_of_samples(case: _Case) -> None:
    """No sample, one, and the same one three times over are fine."""
    none = case.rows()
    need(len(none) == 0 and none.counts == {}, f"{none.counts} of no sample", "nothing, and no error")
    one, thrice = case.rows(1), case.rows(1, 1, 1)
    need(len(one) == 1 and len(thrice) == 3, f"{len(one)} and {len(thrice)} outcomes", "1 and 3")
    if not case.probe.optimizer.competes:
        near = tolerance(case.result.images)
        _agree(one, case.result, near, "one sample alone", [1])
        _agree(thrice, case.result, near, "the same sample three times", [1, 1, 1])


def what_is_met_already_stays(case: _Case) -> None:
    """An image that meets the objective is met; whoever looks at it first says already-met and gives it back."""
    rows = case.result.met.nonzero().flatten()
    if case.task.image is None or not len(rows):
        raise Skipped("the task has no image" if case.task.image is None else "nothing was met in so few steps")
    if case.probe.objective.relative:
        raise Skipped("success is told by the sample's own image, and this would be another one")
    image = case.result.images[rows]
    task = replace(case.task.rows(rows), image=image)
    prepared = case.probe.prepare(case.classifier, task)
    domain = Domain(case.probe.space, case.probe.constraint, prepared, 1)
    if not torch.equal(domain.decode(domain.start(), domain.everyone), image):
        raise Skipped("the space does not start at the image itself")
    probe = replace(case.probe, until="met")
    again = probe.run(case.classifier, task)
    need(bool(again.met.all()), f"{again.counts}", "all of them met")
    first = next(probe.walk(case.classifier, task)).query
    if len(first) == len(task) and same(first.p, domain.start()):  # a search that looks elsewhere may not notice
        need(set(again.counts) == {"already-met"}, f"{again.counts}", "already-met, for nothing had to change")
        need(torch.equal(again.images, image), "images that changed", "images as they were")


def queries_stay_in_the_budget(case: _Case) -> None:
    """The network is shown as many images as was told, and none more than the budget allows."""
    competes, cost = case.probe.optimizer.competes, case.probe.objective.cost
    with counting(case.classifier) as (classifier, shown):
        next(case.probe.walk(classifier, case.task), None)
    if not shown:
        raise Skipped("the model is not called as a module")
    for allowed in (1, 7 * cost(0), 100):
        probe = replace(case.probe, until="budget", budget=Budget(case.probe.budget.steps, queries=allowed))
        with counting(case.classifier) as (classifier, shown):
            probe.prepare(classifier, case.task)
            own, shown[:] = sum(shown), []
            steps = list(islice(probe.walk(classifier, case.task), _TURNS))
            asked = sum(shown) - own
        told = sum(_asked(step) * cost(step.query.draw) for step in steps)
        need(
            asked == told,
            f"{asked} images shown with queries={allowed}",
            f"{told}, those of the rows that were asked",
        )
        spent = int(steps[-1].state["queries"].max()) if steps else 0
        need(spent <= allowed, f"{spent} queries", f"at most {allowed}")
        most = allowed if competes else allowed * len(case.task)
        need(asked <= most, f"{asked} images shown", f"at most {most}")


def best_never_gets_worse(case: _Case) -> None:
    """The best of a sample is never worse after a turn than before it, by success, size and loss."""
    by_size = case.probe.objective.keeps == "smallest"
    for before, after in pairwise(case.steps):
        old, new = (_standing(step, by_size) for step in (before, after))
        worse = better(*old, than=new)
        seen = f"a worse best of samples {worse.nonzero().flatten().tolist()} at turn {after.turn}"
        need(not bool(worse.any()), seen, f"one as good as at turn {before.turn}")


def success_is_judged_again(case: _Case) -> None:
    """What is said to be met is met when the image is judged once more, with others and alone."""
    result, met = case.result, case.result.met
    if not bool(met.any()):
        raise Skipped("nothing was met in so few steps")
    _, held = case.probe.judge(case.classifier, case.task, result.images)
    need(bool(held.cpu()[met].all()), f"{int((met & ~held.cpu()).sum())} that do not hold", "all of them to hold")
    for i in met.nonzero().flatten():
        row = i.reshape(1)
        _, alone = case.probe.judge(case.classifier, case.task.rows(row), result.images[row])
        need(bool(alone.all()), f"sample {int(i)}, met, does not hold alone", "every success to hold alone")


def the_constraint_holds(case: _Case) -> None:
    """Every best attempt lies in the set, to 1e-6, and its size is what was said."""
    task, result = case.probe.prepare(case.classifier, case.task), case.result
    for part in case.probe.constraint.parts:
        v = result.p if part.binds == "parameters" else result.images
        if isinstance(v, Tensor):
            v = v.to(task.key.device)
            gap = max(
                apart(v, part.project(v, task)), apart(v, part.shown(v, task)) if part.binds == "images" else 0.0
            )
            need(gap <= _HAIR, f"{gap:.3g} outside {part!r}", f"at most {_HAIR}")
    domain = Domain(case.probe.space, case.probe.constraint, task, 1)
    size, told = domain.size(result.p, result.images.to(task.key.device), domain.everyone).cpu(), result.size
    wrong = result.met & ((size - told).abs() > 1e-5 * (1 + told))
    need(not bool(wrong.any()), f"sizes {size[wrong].tolist()}", f"{told[wrong].tolist()}, as was told")


def resuming_is_going_on(case: _Case) -> None:
    """From the saved state of every step, the walk ends as the whole one does, bit for bit."""
    need(bool(case.steps), "no turn at all", "a first query")
    for k, step in enumerate(case.steps):
        refuse_strange(step.state)
        rest = list(islice(case.walk(saved(step.state)), len(case.steps) - k - 1 + int(len(case.steps) < _TURNS)))
        need(
            len(rest) == len(case.steps) - k - 1,
            f"{len(rest)} more turns after turn {k}",
            f"{len(case.steps) - k - 1}",
        )
        if rest:
            ends = [{**steps[-1].state, "seconds": 0.0} for steps in (rest, case.steps)]
            need(same(*ends), f"another end after a stop at turn {step.turn}", "the same bits")


def memory_stays_flat(case: _Case) -> None:
    """The tensors that are alive do not grow from turn to turn."""
    every = max(1, len(case.steps) // 6)
    held: list[int] = []
    with newcomers():
        for step in islice(replace(case.probe, until="budget").walk(case.classifier, case.task), _TURNS):
            if step.turn >= 2 and step.turn % every == 0:  # the first turns set up what later ones use again
                held.append(living())
    if len(held) < 4:
        raise Skipped(f"too few turns to see a trend: {len(case.steps)}")
    grown = sum(later > earlier for earlier, later in pairwise(held))
    need(grown <= len(held) // 2, f"{held} bytes from turn to turn", "no steady growth")


def _asked(step: Step) -> int:
    owner = step.query.owner
    return len(step.query) if owner is ALL else int((owner >= 0).sum())


def _standing(step: Step, by_size: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Success, size and loss of every sample's best; all of one size where the objective does not heed sizes."""
    best = step.state["best"]
    return best["met"], best["size"] if by_size else torch.zeros_like(best["size"]), best["loss"]


def _agree(found: Result, whole: Result, near: float, name: str, rows: list[int] | None = None) -> None:
    """Refuse another outcome or another image than a sample has in the whole run."""
    rows = list(range(len(whole))) if rows is None else rows
    for place, i in enumerate(rows):
        here, there = found.outcomes[place].status, whole.outcomes[i].status
        need(here == there, f"sample {i} ends {here!r} in {name}", f"{there!r}")
    gap = apart(found.images, whole.images[torch.tensor(rows)])
    need(gap <= near, f"images {gap:.3g} off in {name}", f"at most {near:.3g}")


LAWS: tuple[Law, ...] = (
    every_sample_has_an_outcome,
    samples_are_left_alone,
    model_is_left_alone,
    model_is_left_alone_after_an_error,
    model_is_left_alone_after_an_interrupt,
    runs_repeat,
    batch_does_not_matter,
    order_does_not_matter,
    any_number_of_samples,
    what_is_met_already_stays,
    queries_stay_in_the_budget,
    best_never_gets_worse,
    success_is_judged_again,
    the_constraint_holds,
    resuming_is_going_on,
    memory_stays_flat,
)
"""The laws of a probe."""
