"""Densities that go pixel by pixel: what a PixelCNN overlooks, and which of them is the best."""

from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.densities import density, measured
from amiss.models import GatedPixelCNN, PixelCNN
from amiss.training.measures.causality import causality

__all__ = ["PIXELS", "best", "pixelcnn"]

PIXELS = ("pixelcnn", "row_lstm", "diagonal_bilstm", "raster_lstm")
"""Densities of which the best one counts."""


def pixelcnn(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A plain PixelCNN, and what it overlooks: the share of the earlier pixels of its field that the middle one sees.

    The share of a gated network with kernels of the same size, untrained, is measured beside; both by gradients.
    """
    figures, told = measured(run, "pixelcnn")
    model = density(run, "pixelcnn")[0]
    assert isinstance(model, PixelCNN)  # noqa: S101
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(run.seed)
        gated = GatedPixelCNN(size=model.size, first=model.first.size, blocks=len(model.blocks))
    plain, whole = (causality(one, draws=32) for one in (model, gated))
    told["field"] = {
        "reach": plain.reach,
        "later": plain.later,
        "gated_reach": whole.reach,
        "gated_later": whole.later,
    }
    return figures | {"pixelcnn_field_seen": plain.share, "gated_field_seen": whole.share}, told


def best(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The least nats among the densities that go pixel by pixel, and the longest of their trainings in minutes."""
    found, minutes = {}, {}
    for name in PIXELS:
        figures, told = measured(run, name)
        found[name], minutes[name] = figures[f"{name}_nats"], told["training"]["seconds"] / 60
    return {"pixel_nats": min(found.values()), "pixel_minutes": max(minutes.values())}, {
        "nats": found,
        "best": min(found, key=found.__getitem__),
        "minutes": minutes,
    }
