"""THE loop, under way: a prepared search that can be walked, stopped, resumed from a state, and concluded."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.domain import Domain
from amiss.errors import UsageError
from amiss.objectives.objective import Objective
from amiss.optimizers.optimizer import Optimizer
from amiss.reading import Pace, blank, read, take
from amiss.result import Recorder, Result
from amiss.standing import begin, outcome, rows_each, stand
from amiss.task import ALL, Answer, P, Query, State, Task

__all__ = ["Budget", "Search", "Step"]


@dataclass(frozen=True)
class Budget:
    """When to stop.

    Attributes:
        steps: Updates a sample; it is looked at once more after the last.
        queries: Images shown to the network: for each sample, or, where rows compete in all, together.
        seconds: Wall time of a walk; a run walks once for each batch.
    """

    steps: int = 100
    queries: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "queries", "seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(
                    f"A budget of {value} {name} allows nothing.",
                    slug="budget-zero",
                    seen=f"{name}={value}",
                    needed="a number above 0",
                    hint=f"Budget({name}=100)",
                )


@dataclass(frozen=True)
class Step:
    """One turn of a walk.

    Attributes:
        turn: Number of the turn, from 0.
        state: Everything a walk needs to go on from here: tensors and plain values.
        query: What was asked, with finished samples idle.
        answer: What was read.
        rows: The foremost row of each sample in this turn [n], -1 where it had none.
        images: The images read [R, C, H, W], where they were wanted; idle rows are zeros.
    """

    turn: int
    state: State
    query: Query
    answer: Answer
    rows: Tensor
    images: Tensor | None = None


@dataclass(frozen=True)
class Search:
    """One probe, one classifier and the samples, prepared: `Probe.search` makes it.

    Attributes:
        classifier: Who is asked.
        task: The samples as they were given.
        domain: Where the optimizer moves: the samples prepared, space and constraint.
        objective: What is wanted.
        optimizer: How to search.
        until: "met" or "budget".
        budget: When to stop.
        pace: Rows a pass, as many as fit into memory.
        probe: The probe, in words that construct it.
    """

    classifier: Classifier
    task: Task
    domain: Domain
    objective: Objective
    optimizer: Optimizer
    until: Literal["met", "budget"]
    budget: Budget
    pace: Pace
    probe: str = ""

    def start(self) -> State:
        """The state before the first turn."""
        state = begin(self.domain)
        return {**state, "optimizer": self.optimizer.init(replace(self.domain, best=state["best"]))}

    def walk(self, state: State | None = None, *, images: bool = False) -> Iterator[Step]:
        """Search for all samples at once, a turn at a time.

        Args:
            state: The state of an earlier step: the walk goes on from it, bit for bit.
            images: Whether each step brings the images it read.

        Yields:
            One step a turn.
        """
        began, domain = time.monotonic(), self.domain
        if state is None:
            state = self.start()
        spent = state["seconds"]
        while True:
            domain = replace(domain, best=state["best"])
            query = self._allowed(self.optimizer.ask(state["optimizer"], domain), state)
            if query is None:
                return
            if query.owner is not ALL and not bool((query.owner >= 0).any()):
                # Those it asks for may be asked no more, while others wait their turn: it is told nothing, and goes
                # on.
                told = self.optimizer.tell(state["optimizer"], domain, query, blank(query))
                state = {**state, "optimizer": told, "seconds": spent + time.monotonic() - began}
                continue
            try:
                answer, seen = read(self.objective, self.classifier, domain, query, self.pace, images)
            except torch.OutOfMemoryError:
                return  # not even one row fits: `conclude` says so of every sample that was still searching
            cost, keeps = self.objective.cost(query.draw), self.objective.keeps
            rows, ahead, state = stand(state, query, answer, domain, self.until, cost, keeps)
            answer = replace(answer, won=torch.where(ahead, rows, -1))
            domain = replace(domain, best=state["best"])
            told = self.optimizer.tell(state["optimizer"], domain, query, answer)
            turn, seconds = state["turn"], spent + time.monotonic() - began
            state = {**state, "optimizer": told, "turn": turn + 1, "seconds": seconds}
            yield Step(turn, state, query, answer, rows, seen)

    def record(self, recorder: Recorder, step: Step) -> None:
        """Note the foremost row of every sample; the step must have brought its images."""
        assert step.images is not None  # noqa: S101 - walk(images=True)
        own = step.rows.clamp_min(0)
        pick = (own, self.domain.everyone) if step.query.owner is ALL else (own,)
        met, loss = step.answer.met[pick], step.answer.loss[pick]
        recorder.add(step.turn, step.rows, met, step.answer.size[own], loss, step.images)

    def conclude(self, state: State, recorder: Recorder | None = None) -> Result:
        """Judge each sample's best attempt once more, from its image: no optimizer is believed.

        Args:
            state: Where the walk ended.
            recorder: What noted the paths on the way, where they are wanted.
        """
        best, domain = state["best"], self.domain

        def look(rows: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                x = domain.decode(take(best["p"], rows), rows)
                if self.pace.starved:
                    return x, torch.zeros(len(rows), dtype=torch.bool, device=x.device)
                part = domain.task.rows(rows)
                y = self.objective.read(self.classifier, x, part, None)
                return x, self.objective.score(y, part)[1]

        seen = list(self.pace.over(domain.everyone, look))
        found, again = torch.cat([x for x, _ in seen]), torch.cat([met for _, met in seen])
        held, unmoved = best["met"] & again, _unmoved(best["p"], domain.start())
        left = self.optimizer.left(state["optimizer"])
        outcomes = tuple(
            outcome(state, i, bool(held[i]), unmoved[i], self.pace.starved, left) for i in range(len(self.task))
        )
        paths = recorder.paths(found) if recorder is not None else ()
        return Result(self.task, found, best["p"], outcomes, paths, self.probe, state["seconds"])

    def run(self, frames: int = 0) -> Result:
        """Walk to the end and conclude; `frames` images of each sample's path are kept."""
        state, recorder = self.start(), Recorder(frames) if frames else None
        for step in self.walk(state, images=frames > 0):
            state = step.state
            if recorder is not None:
                self.record(recorder, step)
        return self.conclude(state, recorder)

    def _allowed(self, query: Query, state: State) -> Query | None:
        """The query with finished samples idle; None where nothing is left to ask, or nobody to spend it on."""
        seconds, queries = self.budget.seconds, self.budget.queries
        if seconds is not None and state["seconds"] >= seconds:
            return None
        cost = self.objective.cost(query.draw)
        if query.owner is ALL:
            left = len(query) if queries is None else (queries - int(state["queries"].max())) // max(cost, 1)
            if left < 1 or not bool(state["alive"].any()):
                return None
            if left >= len(query):
                return query
            return replace(query, p=query.p[:left], toward=None if query.toward is None else query.toward[:left])
        owner, alive = query.owner, state["alive"]
        if not bool((owner >= 0).any()):
            return None
        if queries is None and bool(alive.all()):
            return query
        asked = rows_each(owner, len(alive))
        if queries is not None:
            alive = alive & (state["queries"] + (asked * cost).clamp_min(cost) <= queries)
        waiting = alive & (asked == 0)
        owner = torch.where(alive[owner.clamp_min(0)], owner, -1)
        return replace(query, owner=owner) if bool((owner >= 0).any() | waiting.any()) else None


def _unmoved(p: P, start: P) -> list[bool]:
    """Which rows of parameters are those of the start."""
    if isinstance(p, Tensor) and isinstance(start, Tensor):
        still: list[bool] = (p == start).flatten(1).all(1).tolist()
        return still
    return [a == b for a, b in zip(p, start, strict=True)]
