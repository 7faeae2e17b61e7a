"""Objectives about labels: become a class, avoid one, be sure of one."""

import difflib
import math
from dataclasses import replace

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.objectives.objective import Objective, View
from amiss.task import Task

__all__ = ["Avoid", "Become", "Confidence"]


class _Labels(Objective):
    """What label objectives share: the two highest logits of an image, found once."""

    def view(self, outputs: View) -> View:
        """Logits [R, m] with their two highest values and the place of the highest."""
        logits = _several(outputs["answer"])
        top = logits.topk(2, dim=-1)
        return {"answer": logits, "high": top.values, "first": top.indices[..., 0]}

    def gap(self, y: View, label: Tensor) -> Tensor:
        """Logit of the label minus the highest other logit: above 0 where the label is the answer."""
        own = _of(y["answer"], label)
        return own - torch.where(y["first"] == label, y["high"][..., 1], y["high"][..., 0])


class Become(_Labels):
    """The answer becomes the target, by a margin in logits.

    Args:
        target: A class by number or name; the task's own targets where left out.
        margin: How far the target's logit must be ahead. A minimal example sits on the boundary; with 0.05 it
            survives rounding to 8 bits.
    """

    def __init__(self, target: int | str | None = None, margin: float = 0.05) -> None:
        self.target, self.margin = target, margin

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Put the target's number into the task."""
        return with_target(task, self.target, classifier)

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """The part of the margin that is missing; met where none is."""
        assert task.target is not None  # noqa: S101 - prepare has seen to it
        gap = self.gap(y, task.target)
        return (self.margin - gap).clamp_min(0), gap >= self.margin

    def slack(self, y: View, task: Task) -> Tensor:
        """How far the target's logit is ahead, less the margin [R]."""
        assert task.target is not None  # noqa: S101 - prepare has seen to it
        return self.gap(y, task.target) - self.margin

    def odds(self, y: View, task: Task) -> Tensor:
        """The logarithm of p / (1 - p) of the target's softmax probability p [R]."""
        assert task.target is not None  # noqa: S101 - prepare has seen to it
        return _log_odds(y["answer"], task.target)

    def margins(self, y: View, task: Task) -> Tensor:
        """How far each other class is behind the target, less the margin [R, m]; inf for the target itself."""
        assert task.target is not None  # noqa: S101
        own = y["answer"].gather(-1, task.target.unsqueeze(-1))
        itself = torch.nn.functional.one_hot(task.target, y["answer"].shape[-1]).bool()
        return (own - y["answer"] - self.margin).masked_fill(itself, torch.inf)


class Avoid(_Labels):
    """The answer is anything but the true label, by a margin in logits.

    Args:
        margin: How far some other logit must be ahead.
    """

    def __init__(self, margin: float = 0.05) -> None:
        self.margin = margin

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Refuse a task without labels."""
        if task.label is None:
            raise ContractError(
                "There is no label to avoid.",
                slug="contract-no-label",
                seen="a task without labels",
                hint="Give labels with the images, or use Become with a target.",
            )
        return task

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """The part of the margin that is missing; met where none is."""
        assert task.label is not None  # noqa: S101 - prepare has seen to it
        gap = self.gap(y, task.label)
        return (self.margin + gap).clamp_min(0), gap <= -self.margin

    def slack(self, y: View, task: Task) -> Tensor:
        """How far the label's logit is behind, less the margin [R]."""
        assert task.label is not None  # noqa: S101 - prepare has seen to it
        return -self.gap(y, task.label) - self.margin

    def odds(self, y: View, task: Task) -> Tensor:
        """The logarithm of (1 - p) / p of the label's softmax probability p [R]."""
        assert task.label is not None  # noqa: S101 - prepare has seen to it
        return -_log_odds(y["answer"], task.label)

    def margins(self, y: View, task: Task) -> Tensor:
        """How far each other class is ahead of the label, less the margin [R, m]; -inf for the label itself."""
        assert task.label is not None  # noqa: S101
        own = y["answer"].gather(-1, task.label.unsqueeze(-1))
        itself = torch.nn.functional.one_hot(task.label, y["answer"].shape[-1]).bool()
        return (y["answer"] - own - self.margin).masked_fill(itself, -torch.inf)


class Confidence(_Labels):
    """The target's softmax probability reaches a threshold; its loss, -log p, goes on falling after that.

    The loss is computed from the log-odds, so that it tells images apart where p itself, in float32, is 1 for all
    of them.

    Args:
        threshold: Probability to reach, in (0, 1).
        target: A class by number or name; the task's own targets where left out.
        hinge: The loss is what the log-odds of p lack of the threshold's instead, and 0 where it is met: for searches
            that weigh it against the size of the change. Of two classes it is the logit gap that is missing.

    References:
        Nguyen, Yosinski and Clune (2015), fooling images, section 3: confidence 0.99 and above.
    """

    hinge: bool = False

    def __init__(self, threshold: float = 0.99, target: int | str | None = None, hinge: bool = False) -> None:
        if not 0 < threshold < 1:
            raise UsageError(
                "A confidence lies between 0 and 1.",
                slug="confidence-range",
                seen=f"threshold={threshold}",
                hint="Confidence(0.99)",
            )
        self.threshold, self.target = threshold, target
        if hinge:  # else nothing is said of it: the objective is told as ever
            self.hinge = hinge

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Put the target's number into the task."""
        return with_target(task, self.target, classifier)

    def view(self, outputs: View) -> View:
        """-log p of each class [R, m], in nats."""
        logits = _several(outputs["answer"])
        first = logits.argmax(-1, keepdim=True)
        # Where p is near 1 the difference of logarithms has no digits left: the others are summed themselves.
        others = logits.scatter(-1, first, -torch.inf).logsumexp(-1, keepdim=True)
        leader = torch.nn.functional.softplus(others - logits.gather(-1, first))
        return {"nats": (-logits.log_softmax(-1)).scatter(-1, first, leader)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """-log p of the target, or what its log-odds lack; met where p is at least the threshold."""
        assert task.target is not None  # noqa: S101 - prepare has seen to it
        nats = _of(y["nats"], task.target)
        met = nats <= -math.log(self.threshold)
        if not self.hinge:
            return nats, met
        own = nats.clamp_min(torch.finfo(nats.dtype).tiny)
        odds = -own - (-torch.expm1(-own)).log()
        return (math.log(self.threshold / (1 - self.threshold)) - odds).clamp_min(0).masked_fill(met, 0), met

    def slack(self, y: View, task: Task) -> Tensor:
        """Log-probability of the target above the logarithm of the threshold [R], in nats."""
        assert task.target is not None  # noqa: S101 - prepare has seen to it
        return -math.log(self.threshold) - _of(y["nats"], task.target)


def _log_odds(logits: Tensor, label: Tensor) -> Tensor:
    """The logarithm of p / (1 - p) of a label's softmax probability p, with digits where p is near 0 or 1."""
    own = label.unsqueeze(-1)
    return _of(logits, label) - logits.scatter(-1, own, -torch.inf).logsumexp(-1)


def _several(logits: Tensor) -> Tensor:
    """The logits, or a refusal where there is one class alone."""
    if logits.shape[-1] < 2:
        raise ModelError(
            "A classifier of one class has nothing to be wrong about.",
            slug="model-one-class",
            seen=f"{logits.shape[-1]} logit",
            needed="two classes or more",
            hint="A single log-odds output is read as two classes: return shape [N] or [N, 1].",
        )
    return logits


def _of(values: Tensor, label: Tensor) -> Tensor:
    """Each row's value [..., m] at its label, or a refusal where the classifier has no such class."""
    try:
        return values.gather(-1, label.unsqueeze(-1)).squeeze(-1)
    except (RuntimeError, IndexError) as error:
        low, high, m = int(label.min()), int(label.max()), values.shape[-1]
        if low >= 0 and high < m:
            raise
        raise DataError(
            "Labels lie outside the classifier's classes.",
            slug="data-labels",
            seen=f"labels from {low} to {high}",
            needed=f"0 to {m - 1}: it answers with {m} logits",
            why="labels that start at 1, or a classifier for another data set",
            hint="Number the classes from 0 in the order of the classifier's outputs.",
        ) from error


def with_target(task: Task, target: int | str | None, classifier: Classifier) -> Task:
    """The task with a target for every sample: the class given, or its own."""
    if target is None:
        if task.target is None:
            raise ContractError(
                "The task has no targets, and the objective names no class.",
                slug="contract-no-target",
                hint="Become('toaster'), or a task with targets: images.misclassified(classifier), "
                "am.classes(classifier).",
            )
        return task
    names = classifier.labels or ()
    if isinstance(target, str):
        if target not in names:
            close = difflib.get_close_matches(target, names, n=3) or list(names[:3])
            raise UsageError(
                f"There is no class {target!r}.",
                slug="class-unknown",
                seen=f"{len(names)} classes",
                needed="the name of one of them, or its number",
                hint=f"Close names: {', '.join(close)}" if close else "Give the labels to Classifier.",
            )
        target = names.index(target)
    if target < 0 or (names and target >= len(names)):
        raise UsageError(
            f"There is no class {target}.",
            slug="class-unknown",
            seen=f"{len(names)} classes" if names else "a number below 0",
            needed=f"0 to {len(names) - 1}" if names else "0 or more",
            hint="Number the classes from 0 in the order of the classifier's outputs, or give a name.",
        )
    return replace(task, target=torch.full_like(task.key, target))
