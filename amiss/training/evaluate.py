"""Figures of a trained model on images it has not seen."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from amiss.models import CodeFlow, ConvVAE, Flow, bits_per_dim
from amiss.repro import generator
from amiss.training.batches import as_pixels, binarized

__all__ = ["accuracy", "flow_bits", "head_accuracies", "mean_elbo", "reconstruction_error"]

_BINARY, _CODES, _LEVELS = 5, 6, 7  # streams of randomness


@torch.no_grad()
def accuracy(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    batch: int = 500,
) -> float:
    """Share of images whose largest logit is the label's, in [0, 1].

    Args:
        model: Gives logits [N, classes]; it is used as it is, so call `eval()` first.
        images: [n, C, H, W], bytes or floats in [0, 1].
        labels: [n], int64.
        mean: Subtracted from each channel first.
        std: What each channel is divided by.
        batch: Images at a time.
    """
    shift, scale = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
    right = 0
    for x, y in zip(torch.split(images, batch), torch.split(labels, batch), strict=True):
        right += int((model((as_pixels(x) - shift) / scale).argmax(1) == y).sum())
    return right / len(images)


@torch.no_grad()
def head_accuracies(
    model: nn.Module,
    images: Tensor,
    attributes: Tensor,
    *,
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    batch: int = 500,
) -> Tensor:
    """Share of images whose logit is above 0 where the attribute is there and nowhere else, for each head [m].

    Args:
        model: Gives logits [N, m]; it is used as it is, so call `eval()` first.
        images: [n, C, H, W], bytes or floats in [0, 1].
        attributes: 0 or 1 [n, m].
        mean: Subtracted from each channel first.
        std: What each channel is divided by.
        batch: Images at a time.
    """
    shift, scale = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
    right = torch.zeros(attributes.shape[1])
    for x, y in zip(torch.split(images, batch), torch.split(attributes, batch), strict=True):
        right += ((model((as_pixels(x) - shift) / scale) > 0) == (y > 0.5)).float().sum(0)
    return right / len(images)


@torch.no_grad()
def mean_elbo(
    model: ConvVAE,
    images: Tensor,
    *,
    c: Tensor | None = None,
    binarize: bool = False,
    seed: int = 0,
    batch: int = 500,
) -> tuple[float, float]:
    """Mean bound on log p(x) and mean KL, both in nats an image, with one code drawn for each.

    Args:
        model: The autoencoder.
        images: [n, C, H, W], bytes or floats in [0, 1].
        c: Classes [n], for a conditional model.
        binarize: Draw each pixel as 0 or 1 with its gray value as probability (state it beside the figure).
        seed: Of the pixels and the codes.
        batch: Images at a time.
    """
    bound, kl = 0.0, 0.0
    for i, x in enumerate(torch.split(images, batch)):
        pixels = as_pixels(x)
        if binarize:
            pixels = binarized(pixels, generator(seed, _BINARY, i))
        rows = slice(i * batch, i * batch + len(x))
        parts = model.elbo_parts(pixels, generator(seed, _CODES, i), None if c is None else c[rows])
        bound, kl = bound + float(parts.total.double().sum()), kl + float(parts.kl.double().sum())
    return bound / len(images), kl / len(images)


@torch.no_grad()
def flow_bits(model: Flow, images: Tensor, *, seed: int = 0, batch: int = 500) -> float:
    """Mean bits a dimension that a flow spends, with noise drawn once for each image.

    For a flow on pixels they are bits for the bytes of an image, at most 8 for a flow that learned anything; for one
    on codes they are bits of a density, of any sign: compare them with those of the prior alone, 2.05 where the codes
    are normal.

    Args:
        model: The flow.
        images: [n, C, H, W], bytes or floats in [0, 1].
        seed: Of the noise.
        batch: Images at a time.
    """
    total = 0.0
    for i, x in enumerate(torch.split(images, batch)):
        nats = model.log_density(as_pixels(x), generator(seed, _LEVELS, i)).double()
        total += float(bits_per_dim(nats, model.latent).sum())
    return total / len(images) + (0 if isinstance(model, CodeFlow) else 8)


@torch.no_grad()
def reconstruction_error(model: ConvVAE | Flow, images: Tensor, *, batch: int = 500) -> float:
    """Mean squared error of a pixel of decode(encode(x)), in units of the image range [0, 1]."""
    error = 0.0
    for x in torch.split(images, batch):
        pixels = as_pixels(x)
        error += float((model.decode(model.encode(pixels)) - pixels).double().square().mean((1, 2, 3)).sum())
    return error / len(images)
