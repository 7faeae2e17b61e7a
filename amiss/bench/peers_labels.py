"""Our rows beside the label attacks of peers: functions (model, images, labels) that return adversaries."""

from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.probe import Probe
from amiss.recipes import cw as _cw
from amiss.recipes import ddn as _ddn
from amiss.recipes import deepfool as _deepfool
from amiss.recipes import hop_skip_jump as _hop_skip_jump
from amiss.recipes import label_opt as _label_opt
from amiss.recipes import pgd as _pgd
from amiss.recipes import square as _square
from amiss.task import Task

__all__ = ["cw", "ddn", "deepfool", "hop_skip_jump", "label_opt", "pgd40", "pgd40_whole", "square"]

_EPS = 0.2
_CLASSES = 10


def pgd40(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """Forty sign steps of eps / 10; an image that is broken asks no more."""
    return _made(_pgd(_EPS, 40, step=_EPS / 10, climb="odds", batch=len(x)), model, x, y)


def pgd40_whole(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """Forty sign steps of eps / 10 for every image, broken or not."""
    return _made(_pgd(_EPS, 40, step=_EPS / 10, climb="odds", until="budget", batch=len(x)), model, x, y)


def deepfool(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """The nearest boundary of the linearized network, and back to it."""
    return _made(_deepfool(among=3), model, x, y)


def ddn(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """Direction and norm decoupled: three starts, sixty-two turns, in about ninety passes."""
    return _made(_ddn(steps=62), model, x, y)


def cw(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """Adam and a search over the penalty's factor, in three hundred passes."""
    return _made(_cw(), model, x, y)


def label_opt(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """L-BFGS in the box toward the class after the label, as its peers are asked to; ten factors of fifty steps."""
    return _made(_label_opt(target="task", rounds=10, steps=50), model, x, y)


def square(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """Random squares, 500 queries."""
    return _made(_square(_EPS, 500, batch=len(x)), model, x, y)


def hop_skip_jump(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """From labels alone."""
    return _made(_hop_skip_jump(), model, x, y)


def _made(probe: Probe, model: Any, x: Tensor, y: Tensor) -> Tensor:
    task = Task(torch.arange(len(x)), x, label=y, target=(y + 1) % _CLASSES)
    return probe.run(Classifier(model), task).images
