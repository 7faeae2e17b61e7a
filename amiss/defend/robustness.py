"""What withstands attacks: the share of images that stay right under few steps, many steps and the worst case."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.data import Images
from amiss.defend.detectors import Detector
from amiss.defend.hardening import Row
from amiss.defend.workshop import Workshop
from amiss.objectives import Accepted, Avoid, Objective
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.recipes import worst_case
from amiss.repro import generator
from amiss.spaces import Pixels
from amiss.task import Task

__all__ = ["ATTACKS", "Ordeal", "endured"]

ATTACKS = ("few", "many", "worst")
"""The attacks of the table: PGD of few steps, PGD of many steps and starts, and the worst case."""


@dataclass(frozen=True)
class Ordeal:
    """The attacks that every row of a defense's table stands.

    A wrong answer by any margin is a success, and changes are not rounded to gray levels: no network looks better for
    what a file cannot hold. An image that is wrong to begin with does not stand.

    Attributes:
        eps: L_inf radius, in pixel values of [0, 1].
        images: Test images that are attacked, drawn by the seed; all where there are fewer.
        few: Steps of the short attack, from the image itself.
        many: Steps of the long one, of 2.5 eps / steps each.
        restarts: Its starts: the image, and random ones ever further away.
        worst: Whether the recipe `worst_case` is asked as well, which takes several times as long.
        seed: Of the images and the starts.
        batch: Images a pass.

    References:
        Madry et al. (2018), section 5 (100 steps, 20 restarts); Mosbach, Andriushchenko, Trost, Hein and Klakow
        (2018), logit pairing methods can fool gradient-based attacks (why few steps are not enough).
    """

    eps: float
    images: int = 200
    few: int = 10
    many: int = 100
    restarts: int = 5
    worst: bool = True
    seed: int = 0
    batch: int = 128

    def probes(self, objective: Objective | None = None) -> dict[str, Probe]:
        """The attacks by name, against the label or another objective."""
        goal = objective or Avoid(0.0)
        short, long = (self._pgd(goal, *one) for one in ((self.few, 1), (self.many, self.restarts)))
        made = {"few": short, "many": long}
        if self.worst:
            strongest = worst_case(self.eps, seed=self.seed, batch=self.batch, levels=None)
            made["worst"] = strongest if objective is None else replace(strongest, objective=objective)
        return made

    def _pgd(self, goal: Objective, steps: int, restarts: int) -> Probe:
        optimizer = Sign(2.5 * self.eps / steps, restarts=restarts, spread=self.eps if restarts > 1 else 0.0)
        return Probe(Pixels(), goal, Linf(self.eps), optimizer, "met", Budget(steps), self.seed, self.batch)


def endured(
    classifier: Classifier,
    test: Images,
    ordeal: Ordeal,
    *,
    detector: Detector | None = None,
    shop: Workshop | None = None,
    name: str = "",
) -> Row:
    """Accuracy on all test images, and the share of the attacked ones that no attack of a kind makes wrong.

    What a detector rejects of the test images counts as wrong; an attack succeeds against both or not at all.

    Args:
        classifier: Who is attacked; gradients are followed.
        test: Labeled images that nothing has been learned from.
        ordeal: The attacks.
        detector: What rejects images beside the classifier.
        shop: Where attacks are kept as they are done, and who is told; none: nothing is kept.
        name: Of the network, for its files.

    Returns:
        `accuracy`, `robust_few`, `robust_many`, `robust_worst` (None where it was not asked) and `images`, how many
        were attacked.

    Raises:
        Interrupted: The shop was asked to stop; attacks that are done are kept.
    """
    some = torch.randperm(len(test), generator=generator(ordeal.seed))[: ordeal.images].sort().values
    objective = None if detector is None else Avoid(0.0) + Accepted(detector, detector.threshold, detector.spread)
    right = _right(classifier, test, detector, ordeal.batch)
    row: Row = {"accuracy": float(right.double().mean())}
    row |= dict.fromkeys((f"robust_{kind}" for kind in ATTACKS), None)
    task = test.task(some)
    for kind, probe in ordeal.probes(objective).items():
        broken = _kept(shop, f"{name}-{kind}", partial(_broken, classifier, task, probe, shop, kind))
        row[f"robust_{kind}"] = float((right[some] & ~broken.cpu()).double().mean())
    return row | {"images": float(len(some))}


def _broken(classifier: Classifier, task: Task, probe: Probe, shop: Workshop | None, kind: str) -> Tensor:
    """Which samples an attack makes wrong [n], boolean."""

    def tell(done: int, total: int, _met: int) -> None:
        if shop is not None:
            shop.tell(f"Attacking: {_WORDS[kind]}", done, total)

    return probe.run(classifier, task, progress=tell).met


def _kept(shop: Workshop | None, name: str, make: Callable[[], Tensor]) -> Tensor:
    if shop is None:
        return make()
    return shop.tensors(name, lambda: {"broken": make()})["broken"]


@torch.no_grad()
def _right(classifier: Classifier, test: Images, detector: Detector | None, batch: int) -> Tensor:
    """Which images are called by their label, and let pass [n], boolean."""
    parts = []
    layers = ("answer", *(detector.layers if detector is not None else ()))
    for rows in torch.arange(len(test)).split(batch):
        seen = classifier.outputs(test.images(rows), layers)
        right = seen["answer"].argmax(1).cpu() == test.truth[rows]
        if detector is not None:
            right &= (detector.of(seen) >= detector.threshold).cpu()
        parts.append(right)
    return torch.cat(parts)


_WORDS = {"few": "few steps", "many": "many steps", "worst": "the worst case"}
