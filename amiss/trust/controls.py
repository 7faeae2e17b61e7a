"""What a study's search is held against: one without gradients, one twice as long, one without bounds, and chance."""

from copy import copy
from dataclasses import replace

import torch
from torch import Tensor

from amiss.constraints import Both, Bounds, Box, Constraint, Linf, Quantized
from amiss.optimizers import Adam, Momentum, Optimizer
from amiss.probe import Budget, Probe
from amiss.recipes import square
from amiss.repro import uniform
from amiss.spaces import Pixels

__all__ = ["Unfit", "doubled", "huge", "rival", "shuffled"]

_QUERIES = 200  # of the Square attack, an image
_STEPS = 10  # fewer need not get anywhere


class Unfit(Exception):
    """Why a control says nothing about a probe."""


def rival(probe: Probe, seed: int = 0) -> Probe:
    """The Square attack with the same objective, inside the same constraint.

    Args:
        probe: An attack in pixels inside a ball of L_inf, by gradients.
        seed: Of the squares.

    Raises:
        Unfit: It is another probe.
    """
    eps = _radius(probe)
    if probe.optimizer.wants not in ("grad", "jacobian"):
        raise Unfit("The probe asks for no gradients itself.")
    other = square(eps, _QUERIES, seed=seed, batch=probe.batch)
    return replace(other, space=probe.space, objective=probe.objective, constraint=probe.constraint)


def doubled(probe: Probe) -> Probe:
    """The same attack with twice the budget.

    Args:
        probe: An attack in pixels inside a ball of L_inf.

    Raises:
        Unfit: It is another probe.
    """
    _radius(probe)
    steps, queries, seconds = probe.budget.steps, probe.budget.queries, probe.budget.seconds
    twice = Budget(2 * steps, None if queries is None else 2 * queries, None if seconds is None else 2 * seconds)
    return replace(probe, budget=twice)


def huge(probe: Probe, length: float = 1.0) -> Probe:
    """The same attack with eps = 1, its steps longer by as much as its ball is wider.

    Args:
        probe: An attack of fixed steps in pixels, inside a ball of L_inf and nothing narrower.
        length: Share of these longer steps that is taken.

    Raises:
        Unfit: It is another probe.
    """
    eps = _radius(probe)
    if not all(isinstance(part, Linf | Quantized | Box) for part in probe.constraint.parts):
        raise Unfit("Another constraint than the ball holds the attack back.")
    if probe.budget.steps < _STEPS:
        raise Unfit(f"An attack of fewer than {_STEPS} steps need not reach every image.")
    parts: list[Constraint] = [Linf(1.0) if isinstance(part, Linf) else part for part in probe.constraint.parts]
    return replace(probe, constraint=Both(*parts), optimizer=_wider(probe.optimizer, length / eps), until="met")


def shuffled(change: Tensor, bounds: Bounds | None, key: Tensor) -> Tensor:
    """The same amounts at other places, each with a sign of its own: a random change as large in every norm.

    Args:
        change: Changes of parameters [n, ...].
        bounds: Lowest and highest parameters; where they meet, nothing may change, and nothing is put.
        key: The rows' randomness [n], int64.
    """
    amounts = change.flatten(1)
    fixed = torch.zeros_like(change, dtype=torch.bool) if bounds is None else bounds[0] >= bounds[1]
    place, sign = uniform(key, (2, amounts.shape[1])).unbind(1)
    # Both lists name the places that may change first, one in order and one by chance.
    free = fixed.flatten(1).to(torch.uint8).argsort(dim=1, stable=True)
    drawn = place.masked_fill(fixed.flatten(1), 2).argsort(dim=1)
    moved = amounts.gather(1, drawn) * torch.where(sign < 0.5, -1, 1)
    return torch.zeros_like(amounts).scatter(1, free, moved).view_as(change)


def _radius(probe: Probe) -> float:
    """The radius of the ball that a probe in pixels stays in."""
    radii = [part.eps for part in probe.constraint.parts if isinstance(part, Linf) and part.eps is not None]
    if not isinstance(probe.space, Pixels) or not radii or min(radii) <= 0:
        raise Unfit("The probe is no attack inside a ball of L_inf.")
    return min(radii)


def _wider(optimizer: Optimizer, factor: float) -> Optimizer:
    """The same optimizer with longer steps."""
    length = "step" if isinstance(optimizer, Momentum) else "lr" if isinstance(optimizer, Adam) else ""
    if not length:
        raise Unfit(f"{type(optimizer).__name__} has no length of a step that could grow with the ball.")
    longer = copy(optimizer)
    setattr(longer, length, factor * getattr(optimizer, length))
    return longer
