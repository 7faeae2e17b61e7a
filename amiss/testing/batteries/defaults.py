"""What is checked against where nothing else is given: the linear world, in float64."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.repro import fold, normal
from amiss.task import Task
from amiss.testing.linear import LinearWorld

__all__ = ["WORLD", "classifier", "noise", "task"]

WORLD = LinearWorld(n=6, crowd=0.15)


def classifier() -> Classifier:
    """The linear network with dropout and batch norm left in training mode: evaluated, they change nothing."""
    with torch.random.fork_rng(devices=[]):
        linear = WORLD.classifier()
    network: Any = linear.network
    network.add_module("norm", nn.BatchNorm1d(WORLD.classes, eps=0.0, affine=False, dtype=WORLD.dtype))
    network.add_module("drop", nn.Dropout(0.5))
    network.linear.bias.requires_grad_(False)
    network.linear.weight.grad = torch.ones_like(network.linear.weight)
    return Classifier(network.train())


def task() -> Task:
    """Images, their answer as label, the runner-up as target, each other as guide: nothing is met at the start."""
    samples, image = WORLD.task, WORLD.task.image
    assert image is not None  # noqa: S101 - the world has images
    image = (image * 255).round() / 255  # as they come from files, to which rounding inward must not be a change
    order = WORLD.logits(image).argsort(1, descending=True)
    return replace(samples, image=image, label=order[:, 0], target=order[:, 1], guide=image.flip(0))


def noise(like: Tensor, stream: int) -> Tensor:
    """Standard normal numbers of the shape and type of `like`, the same in every process."""
    flat = normal(fold(torch.tensor([stream]), 0), (like.numel(),), torch.float64)
    return flat.reshape(like.shape).to(like)
