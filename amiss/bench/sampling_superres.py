"""Super-resolution: digits of 28 pixels a side drawn given 7, and whether they agree with what they were given."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.densities import binary_images, digits_of, distinct, panel, trained
from amiss.data import write_png
from amiss.models import PixelCNN, PixelDensity
from amiss.training.losses import DensityLoss
from amiss.training.measures.likelihood import nats
from amiss.training.presets.densities import mnist_pixelcnn, pixelcnn_for

__all__ = ["superres", "superres_of"]

_DRAWS = 4


def superres_of(run: Run) -> tuple[PixelDensity, dict[str, float]]:
    """The PixelCNN of this seed that is given the image at a quarter of its size, and what its training cost."""
    return trained(
        run,
        "superres",
        lambda x, s: (
            pixelcnn_for(x, levels=2, given="low", low=2, seed=s, epochs=4) if run.quick else mnist_pixelcnn(s, "low")
        ),
    )


def superres(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Four draws of each image: the error of one at low resolution, and the share of images whose four differ.

    The error is the mean squared difference, over test images and single draws, between a draw averaged over blocks
    and the small image that it was given. An image counts as distinct where no two of its four draws are alike. Told
    beside: the error of the best of four, and of pixels drawn one by one with their block's mean as probability.
    """
    torch.set_num_threads(1)
    model, spent = superres_of(run)
    assert isinstance(model, PixelCNN)  # noqa: S101
    x = binary_images(run, 16 if run.quick else 250).images()
    low = F.adaptive_avg_pool2d(x, model.low)
    draws = [
        model.sample(len(x), low, generator=torch.Generator().manual_seed(10 * run.seed + k)) for k in range(_DRAWS)
    ]
    errors = torch.stack([_error(drawn, low) for drawn in draws])
    lots = torch.rand(x.shape, generator=torch.Generator().manual_seed(run.seed))
    independent = (lots < F.interpolate(low, size=x.shape[2])).float()
    write_png(run.place / "superres.png", panel([x, F.interpolate(low, size=x.shape[2]), *draws]))
    loss = DensityLoss(binarize=True, given="low")
    each = nats(model, digits_of(run, "test").pixels, loss=loss, seed=run.seed)
    return {
        "superres_mse": float(errors.mean()),
        "superres_distinct": distinct(draws),
    }, {
        "images": len(x),
        "draws": _DRAWS,
        "mse_best_of_draws": float(errors.amin(0).mean()),
        "mse_of_independent_pixels": float(_error(independent, low).mean()),
        "nats_given_low": float(each.mean()),
        "training": spent,
    }


def _error(drawn: Tensor, low: Tensor) -> Tensor:
    """Mean squared error of each image at low resolution [n]."""
    return (F.adaptive_avg_pool2d(drawn, low.shape[2]) - low).square().mean((1, 2, 3)).double()
