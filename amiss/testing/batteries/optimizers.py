"""The laws of an optimizer: each drives a walk with it and looks at what goes in and out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.domain import Domain
from amiss.objectives import Become
from amiss.objectives.objective import Objective, View
from amiss.optimizers.optimizer import Optimizer
from amiss.probe import Probe, Step
from amiss.spaces import Pixels
from amiss.task import ALL, Answer, Query, State, Task, reaches
from amiss.testing.batteries import defaults
from amiss.testing.batteries.values import apart, cloned, refuse_strange, same, saved
from amiss.testing.batteries.verdicts import Law, Skipped, Verdict, judged, need

__all__ = ["LAWS", "check_optimizer"]

_STEPS = 12  # updates of the walks
_LONG = 20  # times as many turns: whoever is not finished by then never will be


@dataclass(frozen=True)
class _Case:
    """A probe that moves by the optimizer, who is asked, and samples."""

    probe: Probe
    classifier: Classifier
    task: Task

    @property
    def limit(self) -> int:
        """Turns to look at: more than an optimizer may need that ends by itself."""
        return _STEPS if self.probe.optimizer.competes else _LONG * (self.probe.budget.steps + 1)

    def walk(self, state: State | None = None, **changes: Any) -> list[Step]:
        """The steps of a walk, by the probe with some of its nouns changed."""
        return list(islice(replace(self.probe, **changes).walk(self.classifier, self.task, state), self.limit))

    @cached_property
    def steps(self) -> list[Step]:
        """The steps of one walk."""
        return self.walk()


def check_optimizer(
    optimizer: Optimizer,
    probe: Probe | None = None,
    classifier: Classifier | None = None,
    task: Task | None = None,
    *,
    expected_failures: Mapping[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Check every law of an optimizer, on walks of no more than 12 updates.

    Args:
        optimizer: The optimizer.
        probe: The space, objective, constraint and budget it moves in, its own optimizer left out; pixels that
            become another class within 0.05, where left out. One that evolves needs a space that does.
        classifier: Who is asked; the linear world's, two classes, in float64, where left out.
        task: Samples, two or more; the linear world's [6, 1, 8, 8] where left out.
        expected_failures: Laws that are known to break, each with the reason.

    Returns:
        One verdict a law.

    Raises:
        BatteryError: A law breaks, or holds though it was expected to break.
    """
    frame = probe or Probe(Pixels(), Become(margin=0.5), Linf(0.05), optimizer, "budget")
    budget = replace(frame.budget, steps=min(frame.budget.steps, _STEPS))
    moved = replace(frame, optimizer=optimizer, budget=budget)
    case = _Case(
        moved, defaults.classifier() if classifier is None else classifier, defaults.task() if task is None else task
    )
    return judged(optimizer, LAWS, case, expected_failures)


class _Watched(Optimizer):
    """An optimizer whose every call is watched."""

    def __init__(
        self,
        inner: Optimizer,
        ask: Callable[[Optimizer, State, Domain], Query] | None = None,
        tell: Callable[[Optimizer, State, Domain, Query, Answer], State] | None = None,
    ) -> None:
        self.inner, self.wants, self.competes = inner, inner.wants, inner.competes
        self._ask, self._tell = ask, tell

    def init(self, domain: Domain, warm: State | None = None) -> State:
        return self.inner.init(domain, warm)

    def ask(self, state: State, domain: Domain) -> Query:
        return self._ask(self.inner, state, domain) if self._ask else self.inner.ask(state, domain)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        tell = self._tell
        return (
            tell(self.inner, state, domain, query, answer) if tell else self.inner.tell(state, domain, query, answer)
        )


def asking_changes_nothing(case: _Case) -> None:
    """`ask` is pure: asked twice it asks the same, and what it was given stays as it was."""

    def ask(inner: Optimizer, state: State, domain: Domain) -> Query:
        kept, best = cloned(state), cloned(domain.best)
        first = inner.ask(state, domain)
        held = cloned(_tree(first))
        second = inner.ask(state, domain)
        need(same(held, _tree(second)), "another query the second time", "the same")
        need(same(held, _tree(first)), "a query that the second asking changed", "the query as it was")
        need(same(kept, state) and same(best, domain.best), "a state that asking changed", "the state as it was")
        return first

    case.walk(optimizer=_Watched(case.probe.optimizer, ask=ask))


def telling_writes_to_nothing(case: _Case) -> None:
    """`tell` gives a new state, and leaves the old one, the query, the answer and the best as they were."""

    def tell(inner: Optimizer, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        before = cloned([state, domain.best, _tree(query), _tree(answer)])
        told = inner.tell(state, domain, query, answer)
        names = ("state", "best", "query", "answer")
        for name, was, now in zip(names, before, [state, domain.best, _tree(query), _tree(answer)], strict=True):
            need(same(was, now), f"the {name} was written to", "everything left as it was given")
        return told

    case.walk(optimizer=_Watched(case.probe.optimizer, tell=tell))


def states_can_be_saved(case: _Case) -> None:
    """A state holds tensors and plain values only, and comes back from a file as it was."""
    for step in case.steps:
        refuse_strange(step.state["optimizer"])
        again = saved(step.state["optimizer"])
        need(
            same(again, step.state["optimizer"]), f"another state after turn {step.turn}", "the state that was saved"
        )


def resuming_is_going_on(case: _Case) -> None:
    """From the saved state of every step, the rest of the walk is the same bit for bit."""
    refuse_strange(case.steps[0].state["optimizer"] if case.steps else {})
    for k, step in enumerate(case.steps):
        rest = case.walk(saved(step.state))[: case.limit - k - 1]
        need(len(rest) == len(case.steps) - k - 1, f"{len(rest)} more turns", f"{len(case.steps) - k - 1}")
        for there, here in zip(rest, case.steps[k + 1 :], strict=True):
            need(same(_tree(there.query), _tree(here.query)), f"another query at turn {here.turn}", "the same bits")
        if rest:
            ends = [{**steps[-1].state, "seconds": 0.0} for steps in (rest, case.steps)]
            need(same(*ends), f"another end after a stop at turn {step.turn}", "the same bits")


def it_asks_what_it_wants(case: _Case) -> None:
    """No query wants more than `wants`, rows belong to samples, and only an optimizer that competes asks for all."""
    optimizer, n = case.probe.optimizer, len(case.task)
    need(bool(case.steps), "no turn at all", "a first query")
    for step in case.steps:
        query = step.query
        need(reaches(optimizer.wants, query.want), f"a query for {query.want!r}", f"at most {optimizer.wants!r}")
        need((query.owner is ALL) == optimizer.competes, f"competes={optimizer.competes}", "the owners to agree")
        if query.owner is not ALL:
            fits = query.owner.shape == (len(query),) and bool(((query.owner >= -1) & (query.owner < n)).all())
            need(fits, f"owners {query.owner.tolist()}", f"-1 to {n - 1}, one a row")


def it_ends(case: _Case) -> None:
    """After the updates that the budget allows all rows are idle: the walk ends by itself."""
    if case.probe.optimizer.competes:
        raise Skipped("rows that compete are ended by queries or seconds")
    need(len(case.steps) < case.limit, f"{case.limit} turns with steps={case.probe.budget.steps}", "an end")


def nan_never_becomes_best(case: _Case) -> None:
    """A loss that is NaN never becomes the best, and leaves the other samples alone."""
    key = case.probe.prepare(case.classifier, case.task).key
    poisoned = _Poisoned(case.probe.objective, key[:1])
    steps = case.walk(objective=poisoned)
    need(bool(steps), "no turn at all", "a first query")
    best = steps[-1].state["best"]
    need(not bool(best["loss"].isnan().any()), f"best losses {best['loss'].tolist()}", "no NaN")
    if case.probe.optimizer.competes:
        return
    for step in steps:
        p, owner = step.query.p, step.query.owner
        assert isinstance(p, Tensor) and isinstance(owner, Tensor)  # noqa: S101, PT018 - only rows that compete evolve
        finite = bool(p[owner > 0].isfinite().all())
        need(finite, f"parameters of the others that are not finite at turn {step.turn}", "finite ones")
    healthy = case.steps[-1].state["best"]
    for name in ("p", "loss", "size"):
        gap = apart(best[name][1:], healthy[name][1:])
        need(gap <= 1e-6, f"the others' {name} {gap:.3g} off", "what they find without it")


def idle_rows_cost_nothing(case: _Case) -> None:
    """Idle rows are not shown to the network, and finished samples leave the others' numbers finite."""
    if case.probe.optimizer.competes:
        raise Skipped("rows that compete are never idle")
    counts = getattr(case.classifier, "counts", None)
    if counts is None:
        raise Skipped("the model does not count what it is asked")
    before = counts.queries
    case.probe.prepare(case.classifier, case.task)
    prepared = counts.queries
    steps = case.walk(until="met")
    asked = counts.queries - prepared - (prepared - before)  # the walk prepares the samples once more
    told = 0
    for step in steps:
        p, owner = step.query.p, step.query.owner
        assert isinstance(p, Tensor) and isinstance(owner, Tensor)  # noqa: S101, PT018
        told += int((owner >= 0).sum()) * case.probe.objective.cost(step.query.draw)
        finite = bool(p.isfinite().all())
        need(finite, f"parameters that are not finite at turn {step.turn}", "finite ones, of idle rows too")
    need(asked == told, f"{asked} images shown", f"{told}: the rows that are not idle")


class _Poisoned(Objective):
    """An objective that answers NaN from the third reading on: to one sample, or to the first of competing rows."""

    def __init__(self, inner: Objective, sick: Tensor) -> None:
        self.inner, self.sick, self.readings = inner, sick, 0
        self.layers, self.looks, self.keeps = inner.layers, inner.looks, inner.keeps

    def cost(self, draw: int | Tensor | None) -> int:
        return self.inner.cost(draw)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        return self.inner.prepare(classifier, task)

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        self.readings += 1
        return self.inner.read(classifier, x, task, draw)

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        loss, met = self.inner.score(y, task)
        sick = task.key == self.sick
        if loss.ndim == 2:
            sick = torch.zeros_like(met)
            sick[0] = True
        sick = sick & (self.readings >= 3)
        return torch.where(sick, torch.nan, loss), met & ~sick

    def margins(self, y: View, task: Task) -> Tensor:
        return self.inner.margins(y, task)

    def slack(self, y: View, task: Task) -> Tensor:
        return self.inner.slack(y, task)

    def odds(self, y: View, task: Task) -> Tensor:
        return self.inner.odds(y, task)


def _tree(record: Query | Answer) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}


LAWS: tuple[Law, ...] = (
    asking_changes_nothing,
    telling_writes_to_nothing,
    states_can_be_saved,
    resuming_is_going_on,
    it_asks_what_it_wants,
    it_ends,
    nan_never_becomes_best,
    idle_rows_cost_nothing,
)
"""The laws of an optimizer."""
