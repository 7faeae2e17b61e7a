"""Bare loops, as one writes them by hand: what the cost of `Probe` is measured against."""

from typing import Any

import torch
from torch import Tensor

from amiss.task import Task

__all__ = ["lse", "pgd"]

_MEAN, _STD = 0.1307, 0.3081


def pgd(network: Any, task: Task, eps: float, steps: int, margin: float = 0.05) -> Tensor:
    """Sign steps away from the label within eps, a look after the last: steps + 1 forwards, `steps` backwards."""
    start, label = task.image, task.label
    assert start is not None and label is not None  # noqa: S101, PT018
    _freeze(network)
    x, step = start, 2.5 * eps / steps
    for _ in range(steps):
        x = x.detach().requires_grad_()
        gap = _gap(network((x - _MEAN) / _STD), label)
        (grad,) = torch.autograd.grad((margin + gap).clamp_min(0).sum(), x)
        x = x.detach() - step * grad.sign()
        x = torch.minimum(torch.maximum(x, start - eps), start + eps).clamp(0, 1)
    with torch.no_grad():
        _gap(network((x - _MEAN) / _STD), label)
    return x


def lse(network: Any, codec: Any, task: Task, steps: int, margin: float = 0.5, weight: float = 0.03) -> Tensor:
    """Adam on the change of the code toward the target, a look after the last."""
    image, target = task.image, task.target
    assert image is not None and target is not None  # noqa: S101, PT018
    _freeze(network)
    _freeze(codec)
    with torch.no_grad():
        z = codec.encode(image)
        drawn = codec.decode(z)
    eps, mean, square = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z)
    for t in range(1, steps + 1):
        eps = eps.detach().requires_grad_()
        x = (image + codec.decode(z + eps) - drawn).clamp(0, 1)
        gap = _gap(network((x - _MEAN) / _STD), target)
        loss = (margin - gap).clamp_min(0) + weight * eps.square().sum(1)
        (grad,) = torch.autograd.grad(loss.sum(), eps)
        mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad.square()
        eps = eps.detach() - 0.05 * (mean / (1 - 0.9**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-8)
    with torch.no_grad():
        _gap(network(((image + codec.decode(z + eps) - drawn).clamp(0, 1) - _MEAN) / _STD), target)
    return eps


def _gap(logits: Tensor, label: Tensor) -> Tensor:
    own = logits.gather(1, label[:, None]).squeeze(1)
    top = logits.topk(2)
    return own - torch.where(top.indices[:, 0] == label, top.values[:, 1], top.values[:, 0])


def _freeze(module: Any) -> None:
    for p in module.parameters():
        p.requires_grad_(False)
