"""How little breaks a right answer: accuracy against the radius of an L_inf attack."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.audit.desk import Desk
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.probe import Probe
from amiss.recipes import pgd
from amiss.result import Result
from amiss.study import Inputs
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
        attack: Probe and result at the radius that says most of the attack itself; None where none was made.
    """

    epsilons: tuple[float, ...]
    right: tuple[int, ...]
    n: int
    steps: int
    probe: str = ""
    attack: tuple[Probe, Result] | None = None

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Share still right at each radius."""
        return tuple(k / self.n for k in self.right)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """95 % intervals of the shares."""
        return tuple(wilson(k, self.n) for k in self.right)


def robustness(desk: Desk, images: Images, chosen: Tensor) -> Robustness:
    """Attack images at every radius; what a smaller radius broke stays broken.

    An image is right only while the classifier names its attacked version, rounded to 8 bits, correctly: the
    probe's own margin decides when a search may stop, and not what counts.

    Args:
        desk: Where the searches are done.
        images: Labeled images.
        chosen: Positions of those that are attacked [n].
    """
    classifier, plan, labels = desk.classifier, desk.plan, images.truth
    probes = [pgd(eps, plan.steps, seed=plan.seed, batch=plan.batch) for eps in plan.epsilons]
    standing = chosen[_right(classifier, images.images(chosen), labels[chosen], plan.batch)]
    right = [len(standing)]
    telling: tuple[Probe, Result] | None = None
    for eps, probe in zip(plan.epsilons, probes, strict=True):
        if len(standing):
            name, inputs = f"attack-{eps * 255:.6g}-255", Inputs.of_images(images, standing)
            result = desk.search(name, "pgd", f"Attacking within {eps * 255:g}/255", probe, inputs).result
            # Of the attack itself that radius says most which is the first to break half of what stood.
            if telling is None or float(telling[1].met.double().mean()) < 0.5:
                telling = probe, result
            attacked = to_bytes(result.images).to(torch.float32) / 255
            standing = standing[_right(classifier, attacked, labels[standing], plan.batch)]
        right.append(len(standing))
    return Robustness((0.0, *plan.epsilons), tuple(right), len(chosen), plan.steps, repr(probes[-1]), telling)


def _right(classifier: Classifier, images: Tensor, labels: Tensor, batch: int) -> Tensor:
    """Whether each image is named by its label [N]."""
    return torch.cat([classifier.predict(x).cpu() for x in images.split(batch)]) == labels
