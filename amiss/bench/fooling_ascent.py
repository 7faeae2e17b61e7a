"""Gradient ascent with and without decay: how far images go from gray, and how sure the network is of them."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.lenets import lenet
from amiss.bench.mobilenets import MOBILENETS, mobilenet
from amiss.classifier import Classifier
from amiss.optimizers.ascent import MARKS
from amiss.recipes import classes, fool_ascent

__all__ = ["ascent"]

_DECAYS = (0.0, 0.1)
_STEPS = 300
_FEW = 12  # classes of a thousand


def ascent(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Twelve classes of MobileNetV1 0.25 and all ten of LeNet; if quick, those of a small LeNet alone.

    Of each network it is the median over the classes that counts, of the two networks the lesser.
    """
    torch.set_num_threads(1)
    steps = 60 if run.quick else _STEPS
    told = {"mnist": _compared(lenet(run), (1, 28, 28), list(range(10)), steps, run.seed)}
    if not run.quick:
        size = MOBILENETS["v1-0.25"].size
        some = [(run.seed + i * 1000 // _FEW) % 1000 for i in range(_FEW)]
        told["imagenet"] = _compared(mobilenet(run, "v1-0.25"), (3, size, size), some, steps, run.seed)
    return {
        "ascent_norm_cut": min(cell["norm_cut"] for cell in told.values()),
        "ascent_confidence_drop": min(cell["confidence_drop"] for cell in told.values()),
    }, told


def _compared(
    classifier: Classifier, shape: tuple[int, int, int], wanted: list[int], steps: int, seed: int
) -> dict[str, Any]:
    norms, sure, told = [], [], {}
    for decay in _DECAYS:
        norm, p, marks = _climbed(classifier, shape, wanted, steps, seed, decay)
        norms.append(norm)
        sure.append(p)
        first = {str(mark): column.tolist() for mark, column in zip(MARKS, marks.T, strict=True)}
        told[f"decay {decay:g}"] = {"norm": norm.tolist(), "confidence": p.tolist(), "first": first}
    return {
        "classes": wanted,
        "norm_cut": float((norms[0] / norms[1]).median()),
        "confidence_drop": float((sure[0] - sure[1]).median()),
        **told,
    }


def _climbed(
    classifier: Classifier, shape: tuple[int, int, int], wanted: list[int], steps: int, seed: int, decay: float
) -> tuple[Tensor, Tensor, Tensor]:
    """After the last step: distance from gray [n], confidence of the image on file [n], the first steps [n, 4]."""
    probe = fool_ascent(shape, steps=steps, decay=decay, until="budget", confidence=0.9999, seed=seed)
    last = deque(probe.walk(classifier, classes(classifier, wanted)), maxlen=1)[0]
    assert isinstance(last.query.p, Tensor)  # noqa: S101 - images are tensors
    norm = (last.query.p - 0.5).flatten(1).norm(dim=1)
    return norm, (-last.answer.loss).exp(), last.state["optimizer"]["marks"]
