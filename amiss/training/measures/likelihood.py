"""How well an exact density predicts images that it has not seen: nats an image, and bits a dimension."""

import torch
from torch import Tensor, nn

from amiss.data.images import Images
from amiss.models import PixelDensity, bits_per_dim
from amiss.repro import generator
from amiss.training.batches import as_pixels, binarized
from amiss.training.losses import DensityLoss
from amiss.training.losses.likelihoods import condition
from amiss.training.preset import Preset

__all__ = ["density_figures", "nats"]

_BINARY = 5  # stream of randomness, the one that autoencoders are measured with: figures can be set side by side


@torch.no_grad()
def nats(
    model: PixelDensity,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    loss: DensityLoss | None = None,
    seed: int = 0,
    batch: int = 250,
) -> Tensor:
    """Exact negative log probability of each image [n], nats, float64.

    Args:
        model: The density, in eval mode.
        images: [n, C, H, W], bytes or floats in [0, 1].
        labels: [n], for a model that depends on them.
        loss: What it was trained by: whether pixels are binarized, and what they depend on.
        seed: Of the binarization, one draw for each image.
        batch: Images at a time.
    """
    loss = loss or DensityLoss()
    parts = []
    for i, x in enumerate(torch.split(images, batch)):
        pixels = as_pixels(x)
        if loss.binarize:
            pixels = binarized(pixels, generator(seed, _BINARY, i))
        label = None if labels is None else labels[i * batch : i * batch + len(x)]
        c = condition(model, loss.given, pixels, label)
        parts.append(-model.log_prob(pixels, c).double())
    return torch.cat(parts)


def density_figures(model: nn.Module, preset: Preset, test: Images) -> dict[str, float]:
    """The mean of `nats`, and the same in `bits_per_dim`."""
    assert isinstance(model, PixelDensity)  # noqa: S101
    assert isinstance(preset.loss, DensityLoss)  # noqa: S101
    each = nats(model, test.pixels, test.labels, loss=preset.loss)
    return {"nats": float(each.mean()), "bits_per_dim": float(bits_per_dim(-each, model.dimensions).mean())}
