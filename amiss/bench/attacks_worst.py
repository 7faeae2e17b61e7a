"""The worst case beside AutoAttack: what three networks withstand under either, and what that costs."""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from amiss.bench.bench import Run, Skip
from amiss.bench.defend_training import network
from amiss.bench.lenets import digits
from amiss.classifier import Classifier
from amiss.defend import AdversarialLoss, Workshop
from amiss.recipes import worst_case
from amiss.task import Task
from amiss.training import TrainingRecipe, presets

__all__ = ["worst"]

_IMAGES = 256
_EPS = MappingProxyType({"plain": 0.1, "hardened": 0.32, "masked": 0.2})
"""Radius of each network, chosen once on another seed, so that AutoAttack leaves 20 to 80 percent of the last two."""

_TRAINED = 0.3  # radius of the adversaries that the last two learn from


@dataclass(frozen=True)
class _Stood:
    """What an attack left: which images stay right [n], how far it went from them, and CPU seconds."""

    right: Tensor
    far: float
    seconds: float

    @property
    def told(self) -> dict[str, float]:
        """The counts of it."""
        return {"robust": int(self.right.sum()), "farthest": self.far, "cpu": self.seconds}


def worst(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Robust accuracy and CPU seconds of `worst_case`, less and over those of AutoAttack, over three networks.

    They are trained on images alone, on adversaries of five steps, and on adversaries of one step, which teaches a
    network to mask its gradients (Tramer et al. 2018, section 3.4). Both attacks have the same images, radius and
    bare network; neither rounds. What stays right is counted alike, from the images that they give back, one batch.

    Raises:
        Skip: pyautoattack is not installed, or there is no MNIST here.
    """
    if find_spec("pyautoattack") is None:
        raise Skip("pyautoattack is not installed")
    torch.set_num_threads(1)
    test = digits(run, "test")
    count = 8 if run.quick else _IMAGES
    image, label = test.images(torch.arange(count)), test.truth[:count]
    gap = ours_seconds = theirs_seconds = 0.0
    told: dict[str, Any] = {"images": count, "eps": dict(_EPS)}
    for name, classifier in _networks(run).items():
        bare = _Bare(classifier).eval()
        eps = _EPS[name]
        theirs = _stood(bare, image, label, lambda x, y, eps=eps, bare=bare: _autoattack(bare, x, y, eps, run.seed))
        ours = _stood(bare, image, label, lambda x, y, eps=eps, bare=bare: _worst_case(bare, x, y, eps, run))
        gap += (int(ours.right.sum()) - int(theirs.right.sum())) / count
        ours_seconds, theirs_seconds = ours_seconds + ours.seconds, theirs_seconds + theirs.seconds
        told[name] = {"ours": ours.told, "autoattack": theirs.told}
        told[name]["autoattack_alone"] = int((ours.right & ~theirs.right).sum())
    over = max(told[name]["ours"]["farthest"] - eps for name, eps in _EPS.items())
    return {
        "worst_case_gap": gap,
        "worst_case_cost": ours_seconds / theirs_seconds,
        "worst_case_over": max(over, 0.0),
    }, told


class _Bare(nn.Module):
    """Images in [0, 1] to logits, and nothing around it: what AutoAttack takes."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        assert isinstance(classifier.network, nn.Module)  # noqa: S101 - they were trained here
        (self.mean,), (self.std,) = classifier.preprocessing
        self.network = classifier.network

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network((x - self.mean) / self.std)
        return logits


def _networks(run: Run) -> dict[str, Classifier]:
    """The three, trained once and read ever after."""
    plain, train = network(run), digits(run)
    made = {"plain": plain}
    shop = Workshop(run.place / "worst", f"{run.seed} {run.quick}", lambda *_: None)
    mean, std = plain.preprocessing
    precision = presets.mnist_classifier().training.precision
    for name, steps, clean, grow in (("hardened", 5, 0.0, 0.3), ("masked", 1, 1.0, 0.0)):
        loss = AdversarialLoss(mean=mean, std=std, eps=_TRAINED, steps=steps, clean=clean, grow=grow)
        recipe = TrainingRecipe(
            epochs=1 if run.quick else 6, rate=5e-3, precision=precision, channels_last=True, seed=run.seed
        )
        data = {"image": train.pixels, "label": train.truth}
        made[name] = shop.trained(name, plain, data, loss, recipe, "training")
    return made


def _stood(bare: nn.Module, image: Tensor, label: Tensor, attack: Any) -> _Stood:
    """What is right of the images that an attack gives back."""
    began = time.process_time()
    found: Tensor = attack(image.clone(), label.clone())
    seconds = time.process_time() - began
    with torch.no_grad():
        right = bare(found).argmax(1) == label
    return _Stood(right, float((found - image).abs().max()), seconds)


def _autoattack(bare: nn.Module, image: Tensor, label: Tensor, eps: float, seed: int) -> Tensor:
    """The images of pyautoattack's standard version: APGD, APGD and FAB with targets, Square."""
    from pyautoattack import AutoAttack  # type: ignore[import-not-found, unused-ignore]

    attack = AutoAttack(bare, norm="Linf", eps=eps, version="standard", seed=seed)
    found: Tensor = attack.run_standard_evaluation(image, label, batch_size=len(image))[0]
    return found


def _worst_case(bare: nn.Module, image: Tensor, label: Tensor, eps: float, run: Run) -> Tensor:
    """The images of the recipe: a failure's best attempt too."""
    classifier = Classifier(bare, labels=[str(i) for i in range(10)])
    return (
        worst_case(eps, seed=run.seed, levels=None)
        .run(classifier, Task(torch.arange(len(image)), image, label))
        .images
    )
