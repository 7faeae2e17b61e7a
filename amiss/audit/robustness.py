"""How little breaks a right answer: accuracy against the radius of an L_inf attack."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.recipes import pgd
from amiss.task import Task
from amiss.trust import wilson

__all__ = ["Robustness", "robustness"]


@dataclass(frozen=True)
class Robustness:
    """Accuracy under attack.

    Attributes:
        epsilons: Radii, ascending; the first is 0.
        right: Images still right at each: at 0 by the answer, beyond it where no attack put another class ahead by
            its margin of 0.05 in logits.
        n: Images in all.
        steps: Gradient steps of the attack.
        probe: The attack at the largest radius, in words that construct it.
    """

    epsilons: tuple[float, ...]
    right: tuple[int, ...]
    n: int
    steps: int
    probe: str = ""

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Share still right at each radius."""
        return tuple(k / self.n for k in self.right)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """95 % intervals of the shares."""
        return tuple(wilson(k, self.n) for k in self.right)


def robustness(classifier: Classifier, task: Task, plan: Plan, tell: Progress) -> Robustness:
    """Attack every image at every radius; what a smaller radius broke stays broken.

    An image is right only while the classifier names its attacked version, rounded to 8 bits, correctly: the
    probe's own margin decides when a search may stop, and not what counts.

    Args:
        classifier: Who is attacked.
        task: Labeled images.
        plan: Radii, steps, batch and seed.
        tell: Progress.
    """
    assert task.image is not None and task.label is not None  # noqa: S101, PT018 - images with labels
    standing = _right(classifier, task.image, task.label, plan.batch).nonzero().flatten()
    right = [len(standing)]
    probes = [pgd(eps, plan.steps, seed=plan.seed, batch=plan.batch) for eps in plan.epsilons]
    for i, (eps, probe) in enumerate(zip(plan.epsilons, probes, strict=True)):
        tell(f"Attacking within {eps * 255:g}/255", i, len(probes))
        part = task.rows(standing)
        if part.label is not None and len(part):
            attacked = to_bytes(probe.run(classifier, part).images).to(torch.float32) / 255
            standing = standing[_right(classifier, attacked, part.label, plan.batch)]
        right.append(len(standing))
    return Robustness((0.0, *plan.epsilons), tuple(right), len(task), plan.steps, repr(probes[-1]))


def _right(classifier: Classifier, images: Tensor, labels: Tensor, batch: int) -> Tensor:
    """Whether each image is named by its label [N]."""
    return torch.cat([classifier.predict(x).cpu() for x in images.split(batch)]) == labels
