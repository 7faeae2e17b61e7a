"""Densities without recurrence: logistic regressions, a masked autoencoder, a PixelCNN; nats of all test images."""

from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.densities import digits_of, trained
from amiss.data import Images
from amiss.models import Autoregressive, GatedPixelCNN, PixelCNN
from amiss.training import Preset
from amiss.training.losses import DensityLoss
from amiss.training.measures.causality import causality
from amiss.training.measures.likelihood import nats
from amiss.training.presets.densities import (
    fvbn_for,
    made_for,
    mnist_fvbn,
    mnist_made,
    mnist_pixelcnn,
    pixelcnn_for,
)

__all__ = ["fvbn", "fvbn_of", "made", "made_of", "pixelcnn", "pixelcnn_of"]

Measured = tuple[dict[str, float], dict[str, Any]]


def fvbn_of(run: Run) -> tuple[Autoregressive, dict[str, float]]:
    """The belief network of this seed, and what its training cost."""
    return trained(run, "fvbn", lambda x, s: fvbn_for(x, levels=2, seed=s, epochs=4) if run.quick else mnist_fvbn(s))


def made_of(run: Run) -> tuple[Autoregressive, dict[str, float]]:
    """The masked autoencoder of this seed, and what its training cost."""
    return trained(run, "made", lambda x, s: made_for(x, levels=2, seed=s, epochs=4) if run.quick else mnist_made(s))


def pixelcnn_of(run: Run) -> tuple[Autoregressive, dict[str, float]]:
    """The PixelCNN of this seed, and what its training cost."""

    def preset(images: Images, seed: int) -> Preset:
        return pixelcnn_for(images, levels=2, seed=seed, epochs=4) if run.quick else mnist_pixelcnn(seed)

    return trained(run, "pixelcnn", preset)


def fvbn(run: Run) -> Measured:
    """Logistic regressions, one for each pixel."""
    return _measured(run, "fvbn", *fvbn_of(run))


def made(run: Run) -> Measured:
    """A masked autoencoder."""
    return _measured(run, "made", *made_of(run))


def pixelcnn(run: Run) -> Measured:
    """A plain PixelCNN, and what it overlooks: the share of the earlier pixels of its field that the middle one sees.

    The share of a gated network with kernels of the same size, untrained, is measured beside; both by gradients.
    """
    model, spent = pixelcnn_of(run)
    assert isinstance(model, PixelCNN)  # noqa: S101
    figures, told = _measured(run, "pixelcnn", model, spent)
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


def _measured(run: Run, name: str, model: Autoregressive, spent: dict[str, float]) -> Measured:
    """Exact nats of all test images, each binarized once by lots of the seed."""
    torch.set_num_threads(1)
    test = digits_of(run, "test")
    each = nats(model, test.pixels, loss=DensityLoss(binarize=True), seed=run.seed)
    error = float(each.std() / len(each) ** 0.5)
    return {f"{name}_nats": float(each.mean())}, {"images": len(each), "error": error, "training": spent}
