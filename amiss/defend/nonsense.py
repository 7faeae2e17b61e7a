"""Nonsense that a defense learns from and is tested by: what evolves, or climbs, against a classifier in one go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import Interrupted
from amiss.probe import Probe
from amiss.recipes import classes, fool_cppn, fool_direct, fool_gradient

__all__ = ["Archive", "Encoding", "climb", "evolve"]

Encoding = Literal["cppn", "direct"]
"""How evolved images are written down: graphs that draw, or their pixels."""

_STEPS = 100  # of a climb


@dataclass(frozen=True)
class Archive:
    """What one evolution found, or one climb: an image a class that was asked for.

    Attributes:
        images: The champions [n, C, H, W], uint8.
        label: The class that each is meant for [n], int64.
        confidence: How sure the classifier is of that class in each [n].
        fools: Whether that class is its answer [n]: else it takes the image for something else.
        evaluations: Images shown to the network by the end of each generation [T]; empty for a climb.
        median: Confidence of the median champion by then [T], the lower one of two.
        least: That of the worst champion [T].
    """

    images: Tensor
    label: Tensor
    confidence: Tensor
    fools: Tensor
    evaluations: Tensor
    median: Tensor
    least: Tensor

    def fooling(self, mark: float) -> Tensor:
        """Which champions fool the classifier [n]: their class is its answer, with that confidence or more."""
        return self.fools & (self.confidence >= mark)

    def reached(self, mark: float, which: Literal["median", "least"] = "median") -> float | None:
        """Evaluations until the median champion, or the worst, had the mark; None where it never had."""
        there = (getattr(self, which) >= mark).nonzero().flatten()
        return float(self.evaluations[there[0]]) if len(there) else None


def evolve(
    classifier: Classifier,
    n: int,
    shape: tuple[int, ...],
    *,
    encoding: Encoding = "cppn",
    confidence: float = 0.99,
    generations: int = 100,
    children: int = 100,
    seed: int = 0,
    batch: int = 200,
    until: Literal["met", "budget"] = "met",
    enough: float | None = None,
    stop: Callable[[], bool] | None = None,
) -> Archive:
    """Evolve one champion for each of the first n classes, until all are sure or the generations are over.

    Args:
        classifier: Who is fooled; a class of rubbish behind the first n takes its part in the softmax alone.
        n: Classes to fool.
        shape: Shape (C, H, W) of an image.
        encoding: "cppn" or "direct".
        confidence: Softmax probability at which a class is done.
        generations: After the first.
        children: Images a generation, shown to the network once each.
        seed: Of the evolution.
        batch: Images a pass.
        until: "met" ends when every class is done, "budget" goes on.
        enough: Confidence of the median champion at which it ends as well.
        stop: Asked after each generation.

    Raises:
        Interrupted: It was asked to stop; nothing is kept of this archive.
    """
    recipe = fool_cppn if encoding == "cppn" else fool_direct
    probe = recipe(
        shape, confidence=confidence, generations=generations, children=children, until=until, seed=seed, batch=batch
    )
    search = probe.search(classifier, classes(classifier, range(n)))
    state, curve = search.start(), []
    for step in search.walk():
        state = step.state
        sure = (-state["best"]["loss"].double()).exp()
        curve.append((int(state["queries"].max()), float(sure.median()), float(sure.min())))
        if stop is not None and stop():
            raise _interrupted()
        if enough is not None and curve[-1][1] >= enough:
            break
    evaluations, median, least = (torch.tensor(part, dtype=torch.float64) for part in zip(*curve, strict=True))
    images = search.conclude(state).images
    return _archive(classifier, images, torch.arange(n), batch, evaluations, median, least)


def climb(
    classifier: Classifier,
    only: Sequence[int],
    shape: tuple[int, ...],
    *,
    confidence: float = 0.99,
    batch: int = 200,
    stop: Callable[[], bool] | None = None,
) -> Archive:
    """Images for some classes, from gray up the gradient, which draws nothing.

    Args:
        classifier: Who is fooled.
        only: The classes, by number.
        shape: Shape (C, H, W) of an image.
        confidence: Softmax probability at which a class is done.
        batch: Images a pass.
        stop: Asked after each step.

    Raises:
        Interrupted: It was asked to stop; nothing is kept of this archive.
    """
    probe: Probe = fool_gradient(shape, confidence=confidence, steps=_STEPS, batch=batch)
    search = probe.search(classifier, classes(classifier, only))
    state, none = search.start(), torch.zeros(0, dtype=torch.float64)
    for step in search.walk():
        state = step.state
        if stop is not None and stop():
            raise _interrupted()
    return _archive(classifier, search.conclude(state).images, torch.tensor(only), batch, none, none, none)


@torch.no_grad()
def _archive(
    classifier: Classifier,
    images: Tensor,
    label: Tensor,
    batch: int,
    evaluations: Tensor,
    median: Tensor,
    least: Tensor,
) -> Archive:
    """The champions as bytes, judged as those bytes."""
    pixels = to_bytes(images.cpu())
    parts = [classifier.outputs(x.to(torch.float32) / 255)["answer"].cpu() for x in pixels.split(batch)]
    logits = torch.cat(parts)
    sure = logits.double().softmax(1)[torch.arange(len(label)), label]
    return Archive(pixels, label, sure, logits.argmax(1) == label, evaluations, median, least)


def _interrupted() -> Interrupted:
    return Interrupted(
        "The defense was stopped, and all that was finished is kept.",
        slug="interrupted",
        hint="The same command goes on from here.",
    )
