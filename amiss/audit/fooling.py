"""What nonsense a classifier is certain about: for each class, a grey image pushed up the gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.audit.desk import Desk
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.probe import Probe
from amiss.recipes import classes, fool_gradient
from amiss.result import Result
from amiss.study import Inputs

__all__ = ["Fooling", "fool"]


@dataclass(frozen=True)
class Fooling:
    """Nonsense by class.

    Attributes:
        classes: The classes tried.
        result: One outcome a class.
        probe: What searched.
        claimed: Successes before their files were read.
        verified: Whether each success holds in the bytes on disk [k].
        confidence: The classifier's confidence in each file [k].
        paths: The files, relative to the run folder.
        total: How many classes there are.
    """

    classes: tuple[int, ...]
    result: Result
    probe: Probe
    claimed: int
    verified: Tensor
    confidence: Tensor
    paths: tuple[str, ...]
    total: int


def fool(desk: Desk, shape: tuple[int, ...]) -> Fooling:
    """Fool every class, or `plan.fooled` of them evenly spaced.

    Args:
        desk: Where the search is done.
        shape: Shape (C, H, W) of an image.
    """
    classifier, plan = desk.classifier, desk.plan
    labels = classifier.labels or ()
    chosen = torch.linspace(0, len(labels) - 1, min(len(labels), plan.fooled)).round().long().unique().tolist()
    probe, task = fool_gradient(shape, seed=plan.seed, batch=plan.batch), classes(classifier, chosen)
    if not chosen:
        nothing = probe.run(classifier, task)
        return Fooling((), nothing, probe, 0, nothing.met, torch.zeros(0), (), len(labels))
    inputs = Inputs.of_task(task, [labels[c] for c in chosen])
    held = desk.search("fooling", "fool_gradient", "Fooling each class", probe, inputs)
    confidence = _confidence(classifier, to_bytes(held.result.images), chosen, plan.batch)
    claimed, met = sum(entry.claimed for entry in held.entries), held.result.met
    return Fooling(tuple(chosen), held.result, probe, claimed, met, confidence, desk.paths(held), len(labels))


def _confidence(classifier: Classifier, pixels: Tensor, chosen: list[int], batch: int) -> Tensor:
    """How sure the classifier is of each class [k] in its image, uint8 [k, C, H, W]."""
    with torch.no_grad():
        logits = torch.cat(
            [classifier.outputs(x.to(torch.float32) / 255)["answer"].cpu() for x in pixels.split(batch)]
        )
    return logits.softmax(1)[torch.arange(len(chosen)), torch.tensor(chosen)]
