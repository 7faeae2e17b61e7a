"""Who says what a repair shows: a classifier that was given, or two trained here, each on half of the images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import TrainingError
from amiss.loading import open_classifier

__all__ = ["JUDGES", "Judge", "halves", "make_judge"]

JUDGES = ("judge-0.safetensors", "judge-1.safetensors")
"""Where the two networks lie that were trained on the spot, in the run folder."""

_TRUSTED = 0.8  # below this accuracy of its own a judge's word is told with a warning


@dataclass(frozen=True)
class Judge:
    """A judge of images that is independent of the classifier.

    Attributes:
        networks: One classifier, or two.
        who: Which of them judges each audited image, and whatever is made of it [n], int64.
        source: Where it comes from, in words.
        accuracy: Share of the audited images, as they are, that it calls by their label, in [0, 1].
    """

    networks: tuple[Classifier, ...]
    who: Tensor
    source: str
    accuracy: float

    @property
    def trusted(self) -> bool:
        """Whether it is right often enough to be believed."""
        return self.accuracy >= _TRUSTED

    def label(self, images: Tensor, rows: Tensor, batch: int) -> Tensor:
        """Its labels [k] of images [k, C, H, W] in [0, 1].

        Args:
            images: Audited images, or what was made of them.
            rows: Positions of the audited images that they were made of [k].
            batch: Images a pass.
        """
        return _labels(self.networks, images, self.who[rows], batch)

    def __str__(self) -> str:
        return f"{self.source}, right on {self.accuracy:.1%} of the untouched images"


def make_judge(
    given: Classifier | None,
    images: Images,
    out: Path,
    plan: Plan,
    tell: Progress,
    *,
    device: Any,
    train: bool = True,
) -> tuple[Judge | None, str]:
    """The judge given, or two networks trained on the images where the plan says so and they suffice.

    Each network is trained on the labels of one half of the images and judges the other half, so that none judges
    what it has learned; equal images lie in one half.

    Args:
        given: What the user gave.
        images: What is audited.
        out: Run folder; what is trained lies in it.
        plan: Whether to train, and on how many images at least.
        tell: Progress.
        device: Where the classifier is.
        train: Whether they may be trained now; else they are there or they are not.

    Returns:
        The judge or None, and why there is none where one was wished for.
    """
    if given is not None:
        return _measured(
            (given,), torch.zeros(len(images), dtype=torch.int64), images, "the judge given", plan, tell
        ), ""
    if not plan.train_judge:
        return None, ""
    n, height, width = len(images), *images.pixels.shape[2:]
    who = halves(images)
    least = int(torch.bincount(who, minlength=2).min())
    if n < plan.judge_images or least < plan.judge_images // 4:
        return None, f"{n:,} images, {least:,} in the smaller half, are too few to train one ({plan.judge_images:,})"
    if height != width or not 8 <= height <= 64:
        return None, f"one is trained for squares of 8 to 64 pixels only, not {height} x {width}"
    for k, name in enumerate(JUDGES):
        if (out / name).is_file():  # by a session before this one
            continue
        if not train:
            return None, "the run folder holds none that was trained"
        try:
            _train(
                images.pick(who != k), out / name, plan, tell, f"Training judge {k + 1} of 2 on half of these images"
            )
        except TrainingError as error:
            return None, f"training one on these images failed: {error.what.rstrip('.')}"
    networks = tuple(open_classifier(str(out / name), device=device) for name in JUDGES)
    source = f"two networks, each trained on half of these {n:,} images and asked about the other half"
    return _measured(networks, who, images, source, plan, tell), ""


def halves(images: Images) -> Tensor:
    """In which half each image lies [n], 0 or 1, by the digest of its content: equal images lie in one."""
    return images.keys() & 1


def _train(half: Images, path: Path, plan: Plan, tell: Progress, what: str) -> None:
    """Train one network on one half; an unfinished training there goes on."""
    from amiss.training import classifier_for
    from amiss.training import train as fit

    tell(what, 0, 100)
    preset = classifier_for(half, seed=plan.seed)
    trained = fit(
        preset, half, out=path.with_suffix(""), on_step=lambda step: tell(what, round(100 * step.fraction), 100)
    )
    trained.save(path)


def _measured(
    networks: tuple[Classifier, ...], who: Tensor, images: Images, source: str, plan: Plan, tell: Progress
) -> Judge:
    """The judge, with what it says of the images as they are."""
    right = 0
    for rows in torch.arange(len(images)).split(plan.batch):
        tell("Asking the judge", int(rows[0]), len(images))
        said = _labels(networks, images.images(rows), who[rows], plan.batch)
        right += int((said == images.truth[rows]).sum())
    return Judge(networks, who, source, right / len(images))


def _labels(networks: tuple[Classifier, ...], images: Tensor, who: Tensor, batch: int) -> Tensor:
    said = torch.zeros(len(images), dtype=torch.int64)
    for k, network in enumerate(networks):
        for rows in (who == k).nonzero().flatten().split(batch):
            said[rows] = network.predict(images[rows]).cpu()
    return said
