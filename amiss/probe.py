"""A `Probe` is space, objective, constraint, optimizer and a budget: it knows no method's name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.constraints import Constraint
from amiss.domain import Domain, refuse_mismatch
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.objectives.objective import Objective
from amiss.optimizers.optimizer import Optimizer
from amiss.reading import Pace
from amiss.repro import fold
from amiss.result import Result
from amiss.search import Budget, Search, Step
from amiss.spaces.space import Space
from amiss.task import Level, State, Task, reaches

__all__ = ["Budget", "Probe", "Step"]


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
    budget: Budget = field(default_factory=Budget)
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

    def search(self, classifier: Classifier, task: Task, pace: Pace | None = None) -> Search:
        """Everything ready for the first pass: what `walk` and `run` go on with.

        Args:
            classifier: Who is asked.
            task: n samples.
            pace: How many rows fit into a pass, where that is known from an earlier search.

        Raises:
            ContractError: Nouns that do not fit together, before the first pass.
            UsageError: `task` is none.
        """
        _check_task(task)
        self._refuse(classifier)
        pace = pace or Pace(self.batch)
        pace.starved = False  # the memory that an earlier search lacked may be there again
        domain = Domain(self.space, self.constraint, self._prepared(classifier, task, pace), self.budget.steps)
        return Search(
            classifier, task, domain, self.objective, self.optimizer, self.until, self.budget, pace, repr(self)
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
        yield from self.search(classifier, task).walk(state, images=images)

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

        Raises:
            ContractError: Nouns that do not fit together, before the first pass.
            UsageError: `task` is none.
        """
        _check_task(task)
        if not len(task):
            return Result(task, torch.zeros(0, 1, 1, 1), torch.zeros(0), (), (), repr(self))
        parts: list[Result] = []
        pace = Pace(self.batch)
        for rows in self.batches(len(task)):
            part = task.rows(rows.to(task.key.device))
            parts.append(self.search(classifier, part, pace).run(frames))
            if progress is not None:
                done = sum(map(len, parts))
                progress(done, len(task), sum(int(part.met.sum()) for part in parts))
        return Result.join(parts)

    def batches(self, n: int) -> list[Tensor]:
        """Which of n samples are searched for together: a batch a piece, or all where rows compete in all."""
        everyone = torch.arange(n)
        return [everyone] if self.optimizer.competes else list(everyone.split(self.batch))

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Move the samples to the classifier, fold the seed into their keys, compute once what is needed."""
        return self._prepared(classifier, task, Pace(self.batch))

    def judge(
        self, classifier: Classifier, task: Task, images: Tensor, *, batch: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the objective says of images [n, C, H, W], each for its sample of the task.

        Args:
            classifier: Who is asked.
            task: n samples, as given to `run`; the space has no part in this, nothing is encoded.
            images: One image a sample, in [0, 1].
            batch: Images a pass; the probe's own where left out.

        Returns:
            Loss [n] and met [n].
        """

        def look(rows: Tensor) -> tuple[Tensor, Tensor]:
            part = self.objective.prepare(classifier, self._keyed(classifier, task.rows(rows)))
            with torch.no_grad():
                x = images[rows.to(images.device)].to(part.key.device)
                return self.objective.score(self.objective.read(classifier, x, part, None), part)

        seen = list(Pace(batch or self.batch).over(torch.arange(len(task), device=task.key.device), look))
        return torch.cat([loss for loss, _ in seen]), torch.cat([met for _, met in seen])

    def _prepared(self, classifier: Classifier, task: Task, pace: Pace) -> Task:
        """The samples prepared, as many at a time as fit into memory."""
        keyed = self._keyed(classifier, task)

        def make(rows: Tensor) -> Task:
            part = keyed if len(rows) == len(keyed) else keyed.rows(rows)
            return self.objective.prepare(classifier, self.space.prepare(part))

        try:
            return Task.join(list(pace.over(torch.arange(len(keyed), device=keyed.key.device), make)))
        except torch.OutOfMemoryError as error:
            raise ModelError(
                "Not even one image fits into memory.",
                slug="memory-one-image",
                seen=str(error).partition("\n")[0][:200] or "out of memory",
                needed="room to encode one image and to compute its features",
                why="another process on the device, or images that are too large",
                hint="Free the device, choose another by --device, or make the images smaller by --size.",
            ) from error

    def _keyed(self, classifier: Classifier, task: Task) -> Task:
        """The samples where the classifier is, with the seed in their keys."""
        _check_wrapped(classifier)
        task = task.to(classifier.device) if isinstance(classifier, Classifier) else task
        _check_range(task)
        return replace(task, key=fold(task.key, self.seed))

    def _refuse(self, classifier: Classifier) -> None:
        """Refuse a mismatch of the ladder before the first pass."""
        refuse_mismatch(self.space, self.constraint)
        wants = self.optimizer.wants
        givers: list[tuple[str, Level]] = [("classifier", getattr(classifier, "gives", "jacobian"))]
        if wants in ("grad", "jacobian"):
            givers.append((type(self.space).__name__, self.space.gives))
        for name, gives in givers:
            if not reaches(gives, wants):
                blind = "Search by queries alone: am.recipes.square(8 / 255) asks for logits and no gradient."
                if self.optimizer.competes:
                    blind = "Evolve without gradients: MapElites() asks for losses alone."
                raise ContractError(
                    f"{type(self.optimizer).__name__} wants {wants!r}, and the {name} gives {gives!r}.",
                    slug="contract-ladder",
                    seen=f"{name} gives {gives!r}",
                    needed=f"{wants!r} on the ladder met < loss < grad < jacobian",
                    hint="Give logits, or choose an optimizer that asks for labels." if gives == "met" else blind,
                )


def _check_wrapped(classifier: Classifier) -> None:
    """Refuse a bare network; what has `outputs` or answers by itself (a captioner) is somebody's own, and passes."""
    own = hasattr(classifier, "outputs") or hasattr(classifier, "log_prob")
    if isinstance(classifier, nn.Module) and not own:
        raise ContractError(
            "A network alone is no classifier: what it is shown and what its classes are called is not known.",
            slug="contract-classifier",
            seen=f"a {type(classifier).__name__}",
            needed="a Classifier",
            why="a network that was not wrapped",
            hint="Wrap it: am.Classifier(net), with the mean and std of its training.",
        )


def _check_task(task: Task) -> None:
    """Refuse what is no task, such as images that were not made one."""
    if not isinstance(task, Task):
        raise UsageError(
            "A probe searches for the samples of a task.",
            slug="probe-task",
            seen=f"a {type(task).__name__}",
            needed="a Task",
            why="images that say nothing of what is wanted" if hasattr(task, "task") else "",
            hint="Pass images.task(), or Task(keys, images).",
        )


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
