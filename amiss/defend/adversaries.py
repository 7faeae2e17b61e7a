"""Adversaries for training: a short walk of a probe, from a random point of the ball, made anew for every batch."""

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.objectives import Avoid
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.repro import fold
from amiss.spaces import Pixels
from amiss.task import Task

__all__ = ["adversaries", "training_attack"]

_FAR = 100.0  # logits that no other class is ever ahead by: a row never rests, however wrong the network is


def training_attack(eps: float, steps: int, *, seed: int = 0, batch: int = 128) -> Probe:
    """Sign steps against the margin of logits, from a random point of the ball; success does not end them.

    One step goes 1.25 eps far, several go 2.5 eps / steps each. Images are not rounded to gray levels: what a network
    learns to withstand is more than what a file can hold.

    Args:
        eps: L_inf radius, in pixel values of [0, 1].
        steps: Gradients an image.
        seed: Of the starts.
        batch: Images a pass.

    References:
        Madry et al. (2018), eq. 2.1 and 2.2; Wong, Rice and Kolter (2020), fast is better than free, algorithm 3 (one
        step of 1.25 eps from a random start).
    """
    step = 1.25 * eps if steps == 1 else 2.5 * eps / steps
    optimizer = Sign(step, spread=eps)
    return Probe(Pixels(), Avoid(_FAR), Linf(eps), optimizer, "budget", Budget(steps), seed, batch)


def adversaries(classifier: Classifier, image: Tensor, label: Tensor, probe: Probe, turn: int) -> Tensor:
    """Where a probe's walk ends: for training the last image it read is wanted, whether it fools the network or not.

    Args:
        classifier: The network as it stands.
        image: Images [n, C, H, W] in [0, 1].
        label: Their labels [n].
        probe: How they are attacked.
        turn: Step of the training: other steps draw other starts.

    Returns:
        Images [n, C, H, W] in [0, 1], within the probe's constraint.
    """
    key = fold(torch.arange(len(image), device=image.device), turn)
    last = image
    for step in probe.walk(classifier, Task(key, image, label), images=True):
        assert step.images is not None  # noqa: S101 - they were asked for
        last = step.images
    return last.detach()
