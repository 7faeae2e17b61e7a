"""A generator of points on a ring of eight narrow hills: does it find them all, and does it stay on them?"""

import math
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.models import GAN, build
from amiss.repro import generator
from amiss.training import TrainingRecipe, fit
from amiss.training.losses import AdversarialLoss

__all__ = ["on_ring", "ring", "ring_points"]

_RADIUS, _SIGMA = 0.35, 0.0035  # a hill is 1 % of the ring's radius wide
_POINTS, _SAMPLES = 50_000, 10_000
_DATA, _CODES = 1, 2  # streams of randomness


def ring_points(n: int, draws: torch.Generator) -> Tensor:
    """Points of the ring as images of one row and two columns [n, 1, 1, 2]: eight normal hills around (0.5, 0.5)."""
    which = torch.randint(0, 8, (n,), generator=draws)
    return (_centers()[which] + _SIGMA * torch.randn(n, 2, generator=draws)).reshape(n, 1, 1, 2)


def on_ring(points: Tensor) -> tuple[int, float, Tensor]:
    """How points [n, 1, 1, 2] lie on the ring.

    Returns:
        The hills that hold at least 1 % of the points, the share of points within three standard deviations of a
        hill's center, and the share of each hill [8].
    """
    distance, which = torch.cdist(points.reshape(-1, 2), _centers()).min(1)
    good = distance <= 3 * _SIGMA
    shares = torch.bincount(which[good], minlength=8).double() / len(points)
    return int((shares >= 0.01).sum()), float(good.double().mean()), shares


def ring(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A dense GAN on the ring, by the non-saturating loss and the penalty R1.

    Of 10,000 samples, `ring_modes` counts the hills that hold at least 1 % of them within three standard deviations,
    and `ring_good` is the share of samples within three standard deviations of any.
    """
    torch.set_num_threads(1)
    widths = [128, 128, 128]
    recipe = {
        "architecture": "GAN",
        "arguments": {"shape": [1, 1, 2], "latent": 2, "widths": widths, "judges": widths, "batch_norm": False},
    }
    model = build(recipe, seed=run.seed)
    assert isinstance(model, GAN)  # noqa: S101 - the recipe names it
    training = TrainingRecipe(
        steps=50 if run.quick else 8_000, batch=128, rate=2e-3, betas=(0.5, 0.99), schedule="cosine", ema=0.999,
        seed=run.seed,
    )  # fmt: skip
    data = {"image": ring_points(_POINTS, generator(run.seed, _DATA))}
    history = fit(model, AdversarialLoss(r1=3e-3), data, training)
    with torch.no_grad():
        drawn = model.sample(_SAMPLES, generator=generator(run.seed, _CODES))
    modes, good, shares = on_ring(drawn)
    raw = {
        "samples": _SAMPLES,
        "shares": shares.tolist(),
        "steps": history.steps,
        "seconds_of_training": history.seconds,
    }
    return {"ring_modes": modes, "ring_good": good}, raw


def _centers() -> Tensor:
    """The tops of the hills [8, 2]."""
    angle = torch.arange(8) * (math.pi / 4)
    return 0.5 + _RADIUS * torch.stack([angle.cos(), angle.sin()], 1)
