"""THE loop: search a space, toward an objective, inside a constraint, with an optimizer, against a classifier."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import Constraint
from amiss.domain import Domain, refuse_mismatch
from amiss.errors import ContractError, DataError, UsageError
from amiss.objectives.objective import Objective
from amiss.optimizers.optimizer import Optimizer
from amiss.reading import read, take
from amiss.repro import fold
from amiss.result import Recorder, Result
from amiss.spaces.space import Space
from amiss.standing import begin, outcome, rows_each, stand
from amiss.task import ALL, Answer, Level, P, Query, State, Task, reaches

__all__ = ["Budget", "Probe", "Step"]


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
class Probe:
    """Space, objective, constraint, optimizer and a budget; it knows no method's name.

    Attributes:
        space: How parameters become images.
        objective: What is wanted.
        constraint: Which set, how small.
        optimizer: How to search.
        until: "met" stops a sample at its first success; "budget" goes on and keeps the smallest.
        budget: When to stop.
        seed: Folded into every sample's randomness.
        batch: Rows a pass.
    """

    space: Space
    objective: Objective
    constraint: Constraint
    optimizer: Optimizer
    until: Literal["met", "budget"] = "met"
    budget: Budget = Budget()
    seed: int = 0
    batch: int = 64

    def __post_init__(self) -> None:
        if self.until not in ("met", "budget") or self.batch < 1:
            raise UsageError(
                "A probe cannot run like this.",
                slug="probe-options",
                seen=f"until={self.until!r}, batch={self.batch}",
                needed="until='met' (stop at the first success) or 'budget' (keep the smallest), and batch >= 1",
                hint="Probe(space, objective, constraint, optimizer, until='budget', batch=64)",
            )

    def walk(
        self, classifier: Classifier, task: Task, state: State | None = None, *, images: bool = False
    ) -> Iterator[Step]:
        """Search for all samples at once, a turn at a time.

        Args:
            classifier: Who is asked.
            task: n samples.
            state: The state of an earlier step: the walk goes on from it, bit for bit.
            images: Whether each step brings the images it read.

        Yields:
            One step a turn.

        Raises:
            ContractError: Nouns that do not fit together, before the first pass.
        """
        self._refuse(classifier)
        domain = Domain(self.space, self.constraint, self.prepare(classifier, task), self.budget.steps)
        yield from self._walk(classifier, domain, state, images)

    def run(
        self,
        classifier: Classifier,
        task: Task,
        *,
        frames: int = 0,
        progress: Callable[[int, int, int], None] | None = None,
    ) -> Result:
        """Search for every sample, a batch after the other, and judge each best attempt once more.

        Args:
            classifier: Who is asked.
            task: The samples, any number.
            frames: Images to keep of each sample's path; 0 keeps no trajectory.
            progress: Called with (samples done, samples in all, successes) after each batch.
        """
        if not len(task):
            return Result(task, torch.zeros(0, 1, 1, 1), torch.zeros(0), (), (), repr(self))
        index = torch.arange(len(task), device=task.key.device)
        parts: list[Result] = []
        for rows in [index] if self.optimizer.competes else index.split(self.batch):
            parts.append(self._run(classifier, task.rows(rows), frames))
            if progress is not None:
                done = sum(map(len, parts))
                progress(done, len(task), sum(int(part.met.sum()) for part in parts))
        return Result.join(parts)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Move the samples to the classifier, fold the seed into their keys, compute once what is needed."""
        return self.objective.prepare(classifier, self.space.prepare(self._keyed(classifier, task)))

    def judge(self, classifier: Classifier, task: Task, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the objective says of images [n, C, H, W], each for its sample of the task: loss [n] and met [n]."""
        losses, mets = [], []
        for rows in torch.arange(len(task), device=task.key.device).split(self.batch):
            # The space has no part in this: nothing is encoded.
            part = self.objective.prepare(classifier, self._keyed(classifier, task.rows(rows)))
            loss, met = self._score(classifier, part, images[rows.to(images.device)])
            losses.append(loss)
            mets.append(met)
        return torch.cat(losses), torch.cat(mets)

    def _keyed(self, classifier: Classifier, task: Task) -> Task:
        """The samples where the classifier is, with the seed in their keys."""
        task = task.to(classifier.device) if isinstance(classifier, Classifier) else task
        _check_range(task)
        return replace(task, key=fold(task.key, self.seed))

    def _score(self, classifier: Classifier, prepared: Task, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            y = self.objective.read(classifier, images.to(prepared.key.device), prepared.key, None)
            return self.objective.score(y, prepared)

    def _walk(self, classifier: Classifier, domain: Domain, state: State | None, images: bool) -> Iterator[Step]:
        began = time.monotonic()
        if state is None:
            state = begin(domain)
            state["optimizer"] = self.optimizer.init(replace(domain, best=state["best"]))
        spent = state["seconds"]
        while True:
            domain = replace(domain, best=state["best"])
            query = self._allowed(self.optimizer.ask(state["optimizer"], domain), state)
            if query is None:
                return
            answer, seen = read(self.objective, classifier, domain, query, self.batch, images)
            rows, ahead, state = stand(state, query, answer, domain, self.until, self.objective.cost(query.draw))
            answer = replace(answer, won=torch.where(ahead, rows, -1))
            domain = replace(domain, best=state["best"])
            told = self.optimizer.tell(state["optimizer"], domain, query, answer)
            turn, seconds = state["turn"], spent + time.monotonic() - began
            state = {**state, "optimizer": told, "turn": turn + 1, "seconds": seconds}
            yield Step(turn, state, query, answer, rows, seen)

    def _run(self, classifier: Classifier, task: Task, frames: int) -> Result:
        began = time.monotonic()
        self._refuse(classifier)
        prepared = self.prepare(classifier, task)
        domain = Domain(self.space, self.constraint, prepared, self.budget.steps)
        recorder = Recorder(frames) if frames else None
        state = begin(domain)
        for step in self._walk(classifier, domain, None, frames > 0):
            state = step.state
            if recorder is not None and step.images is not None:
                own = step.rows.clamp_min(0)
                pick = (own, domain.everyone) if step.query.owner is ALL else (own,)
                met, loss = step.answer.met[pick], step.answer.loss[pick]
                recorder.add(step.turn, step.rows, met, step.answer.size[own], loss, step.images)
        best = state["best"]
        images, mets = [], []
        for rows in domain.everyone.split(self.batch):
            with torch.no_grad():
                images.append(domain.decode(take(best["p"], rows), rows))
            mets.append(self._score(classifier, prepared.rows(rows), images[-1])[1])
        found = torch.cat(images)
        # No optimizer is believed: what it calls met is judged once more, from the images themselves.
        held = best["met"] & torch.cat(mets)
        unmoved = _unmoved(best["p"], domain.start())
        outcomes = tuple(outcome(state, i, bool(held[i]), unmoved[i]) for i in range(len(task)))
        paths = recorder.paths(found) if recorder is not None else ()
        return Result(task, found, best["p"], outcomes, paths, repr(self), time.monotonic() - began)

    def _refuse(self, classifier: Classifier) -> None:
        """Refuse a mismatch of the ladder before the first pass."""
        refuse_mismatch(self.space, self.constraint)
        wants = self.optimizer.wants
        givers: list[tuple[str, Level]] = [("classifier", getattr(classifier, "gives", "jacobian"))]
        if wants in ("grad", "jacobian"):
            givers.append((type(self.space).__name__, self.space.gives))
        for name, gives in givers:
            if not reaches(gives, wants):
                raise ContractError(
                    f"{type(self.optimizer).__name__} wants {wants!r}, and the {name} gives {gives!r}.",
                    slug="contract-ladder",
                    seen=f"{name} gives {gives!r}",
                    needed=f"{wants!r} on the ladder met < loss < grad < jacobian",
                    hint="Choose a black-box optimizer for a model without gradients.",
                )

    def _allowed(self, query: Query, state: State) -> Query | None:
        """The query with finished samples idle; None where nothing is left to ask or to spend."""
        seconds, queries = self.budget.seconds, self.budget.queries
        if seconds is not None and state["seconds"] >= seconds:
            return None
        cost = self.objective.cost(query.draw)
        if query.owner is ALL:
            spent = int(state["queries"].max())
            over = queries is not None and spent + len(query) * cost > queries
            return None if over or not bool(state["alive"].any()) else query
        owner = query.owner
        alive = state["alive"]
        if queries is not None:
            asked = rows_each(owner, len(alive)) * cost
            alive = alive & (state["queries"] + asked <= queries)
        if not bool(alive.all()):
            owner = torch.where(alive[owner.clamp_min(0)], owner, -1)
        if not bool((owner >= 0).any()):
            return None
        return query if owner is query.owner else replace(query, owner=owner)


def _check_range(task: Task) -> None:
    """Refuse images outside [0, 1]; a NaN ends its own sample later, and no other."""
    for name, images in (("images", task.image), ("guides", task.guide)):
        if images is not None and bool(((images < 0) | (images > 1)).any()):
            raise DataError(
                f"The task's {name} must lie in [0, 1]; the classifier does its own preprocessing.",
                slug="data-range",
                seen=f"values from {float(images.min()):.3g} to {float(images.max()):.3g}",
                why="images that were already normalized, or still in 0..255",
                hint="Divide by 255, and give mean and std to Classifier.",
            )


def _unmoved(p: P, start: P) -> list[bool]:
    """Which rows of parameters are those of the start."""
    if isinstance(p, Tensor) and isinstance(start, Tensor):
        still: list[bool] = (p == start).flatten(1).all(1).tolist()
        return still
    return [a == b for a, b in zip(p, start, strict=True)]
