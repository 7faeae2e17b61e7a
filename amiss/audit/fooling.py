"""What nonsense a classifier is certain about: for each class, a grey image pushed up the gradient."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.probe import Probe
from amiss.recipes import classes, fool_gradient
from amiss.result import Result
from amiss.trust import verify

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


def fool(classifier: Classifier, shape: tuple[int, ...], plan: Plan, out: Path, tell: Progress) -> Fooling:
    """Fool every class, or `plan.fooled` of them evenly spaced.

    Args:
        classifier: Who is fooled.
        shape: Shape (C, H, W) of an image.
        plan: How many classes at most, batch and seed.
        out: Run folder.
        tell: Progress.
    """
    total = len(classifier.labels or ())
    chosen = torch.linspace(0, total - 1, min(total, plan.fooled)).round().long().unique().tolist()
    task = classes(classifier, chosen)
    probe = fool_gradient(shape, seed=plan.seed, batch=plan.batch)

    def progress(done: int, n: int, met: int) -> None:
        tell(f"Fooling each class ({met} so far)", done, n)

    progress(0, len(task), 0)
    result = probe.run(classifier, task, progress=progress)
    (out / "images" / "fooled").mkdir(parents=True, exist_ok=True)
    paths = tuple(f"images/fooled/{c:04d}.png" for c in chosen)
    held = verify(probe, classifier, task, result.images, [out / path for path in paths]).held
    confidence = _confidence(classifier, to_bytes(result.images), chosen, plan.batch)
    claimed = int(result.met.sum())
    return Fooling(tuple(chosen), result, probe, claimed, result.met & held, confidence, paths, total)


def _confidence(classifier: Classifier, pixels: Tensor, chosen: list[int], batch: int) -> Tensor:
    """How sure the classifier is of each class [k] in its image, uint8 [k, C, H, W]."""
    if not chosen:
        return torch.zeros(0)
    with torch.no_grad():
        logits = torch.cat(
            [classifier.outputs(x.to(torch.float32) / 255)["answer"].cpu() for x in pixels.split(batch)]
        )
    return logits.softmax(1)[torch.arange(len(chosen)), torch.tensor(chosen)]
