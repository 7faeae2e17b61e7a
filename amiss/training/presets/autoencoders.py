"""Recipes of autoencoders, of a denoiser, and of variational autoencoders beyond the usual one."""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.images import Images
from amiss.errors import UsageError
from amiss.models import Autoencoder, ConvVAE, Denoiser
from amiss.repro import generator
from amiss.training.batches import as_pixels
from amiss.training.evaluate import mean_elbo
from amiss.training.kind import Kind
from amiss.training.losses import ELBOLoss
from amiss.training.losses.reconstruction import DenoisingLoss, Erased, Noisy, ReconstructionLoss
from amiss.training.measures.images import mse, psnr
from amiss.training.measures.latent import collapse
from amiss.training.preset import Preset, fast, preset_of, square

__all__ = [
    "AUTOENCODER",
    "CONDITIONAL_VAE",
    "CONV_AUTOENCODER",
    "DENOISER",
    "autoencoder_for",
    "conditional_vae_for",
    "conv_autoencoder_for",
    "denoiser_for",
    "labeled_images",
]

_NOISE = 8  # stream of randomness of the noise that figures are taken under


def autoencoder_for(images: Images, *, latent: int = 32, seed: int = 0, epochs: float | None = None) -> Preset:
    """The dense autoencoder of one hidden layer, by cross-entropy: on MNIST 0.1 a pixel after 50 passes.

    Args:
        images: The training images, square.
        latent: Units of the hidden layer.
        seed: Of weights and order.
        epochs: Passes over the images; by default 50, more where there are few images.

    Raises:
        DataError: The images are not square.
    """
    channels, size = square(images)
    arguments = {"channels": channels, "size": size, "latent": latent}
    return preset_of(
        "autoencoder", "DenseAutoencoder", arguments, ReconstructionLoss("bce"),
        epochs=_passes(images, 50, epochs), batch=256, rate=2e-3, seed=seed,
    )  # fmt: skip


def conv_autoencoder_for(
    images: Images,
    *,
    latent: int | None = None,
    noise: float = 0.0,
    erased: float = 0.0,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A convolutional autoencoder of any square images, by squared error, of images as they are or corrupted.

    Args:
        images: The training images, square, of 8 pixels a side or more.
        latent: Dimensions of the code; by default 32 for small gray images and 64 for the rest.
        noise: Deviation of normal noise on the images that are encoded, in units of the image range.
        erased: Share of their pixels that are made black, instead.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 5, more where there are few images.

    Raises:
        DataError: The images are not square.
        UsageError: Both corruptions are asked for, or one out of range.
    """
    if noise and erased:
        raise UsageError(
            "One corruption at a time.",
            slug="corruption-two",
            seen=f"noise={noise}, erased={erased}",
            needed="one of them",
            hint="Leave one of the two out.",
        )
    channels, size = square(images)
    if latent is None:
        latent = 32 if channels == 1 and size <= 32 else 64
    corruption = Noisy(noise) if noise else Erased(erased) if erased else None
    return preset_of(
        "conv-autoencoder", "ConvAutoencoder", {"channels": channels, "size": size, "latent": latent},
        ReconstructionLoss("mse", corruption),
        epochs=_passes(images, 5, epochs), batch=64, rate=2e-3, clip=100.0, seed=seed, **fast(size),
    )  # fmt: skip


def denoiser_for(
    images: Images, *, sigma: float = 0.2, width: int = 24, seed: int = 0, epochs: float | None = None
) -> Preset:
    """A U-Net with same padding that takes normal noise away.

    Args:
        images: The training images, square, of an even number of pixels a side.
        sigma: Deviation of the noise, in units of the image range.
        width: Channels of its first level.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 5, more where there are few images.

    Raises:
        DataError: The images are not square.
        UsageError: Their side is odd, or the deviation is out of range (when the model is built).
    """
    channels, size = square(images)
    depth = 2 if size % 4 == 0 else 1
    arguments = {"channels": channels, "size": size, "width": width, "depth": depth, "sigma": sigma}
    return preset_of(
        "denoiser", "Denoiser", arguments, DenoisingLoss(),
        epochs=_passes(images, 5, epochs), batch=16, rate=2e-3, clip=1e3, seed=seed, **fast(size),
    )  # fmt: skip


def conditional_vae_for(
    images: Images, *, latent: int = 16, beta: float = 1.0, seed: int = 0, epochs: float | None = None
) -> Preset:
    """A variational autoencoder that is told the class of each image, and draws images of a class.

    Args:
        images: The training images, square, of 8 to 64 pixels a side, with labels.
        latent: Dimensions of the code.
        beta: Factor on the KL term; 1 is the bound.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 10, more where there are few images.

    Raises:
        DataError: The images have no labels, or are not square.
    """
    _ = images.truth  # refuses images without labels
    channels, size = square(images)
    arguments: dict[str, Any] = {"channels": channels, "size": size, "latent": latent, "classes": len(images.classes)}
    binary = channels == 1
    arguments |= {"likelihood": "bernoulli"} if binary else {"likelihood": "normal", "sigma": 0.05}
    return preset_of(
        "conditional-vae", "ConvVAE", arguments, ELBOLoss(binarize=binary, beta=beta),
        epochs=_passes(images, 10, epochs), batch=64, rate=4e-3, clip=0.0 if binary else 1e4, seed=seed,
        **fast(size),
    )  # fmt: skip


def labeled_images(_: Preset, images: Images) -> dict[str, Tensor]:
    """What a conditional model reads: pixels and labels."""
    return {"image": images.pixels, "label": images.truth}


def _passes(images: Images, least: int, epochs: float | None) -> float:
    """The passes asked for; else so many, or more where few images make short ones: the steps of 5,000 images."""
    return float(least * max(1, min(10, 5000 // len(images)))) if epochs is None else epochs


@torch.no_grad()
def _reconstruction(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    """Cross-entropy and squared error of a pixel of the reconstruction, and the share of variance explained."""
    assert isinstance(model, Autoencoder)  # noqa: S101
    nats = squared = 0.0
    for part in torch.split(test.pixels, 500):
        x = as_pixels(part)
        output = model.output(model.encode(x))
        nats -= float(model.likelihood.log_prob(output, x).double().sum())
        squared += float(mse(model.likelihood.mean(output), x).sum())
    n, pixels = len(test), test.pixels[0].numel()
    return {"bce": nats / n / pixels, "mse": squared / n, "explained": collapse(model, test.pixels).explained}


@torch.no_grad()
def _denoised(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    """Mean peak signal-to-noise ratio of images under the noise of the training, and of what the denoiser makes."""
    assert isinstance(model, Denoiser)  # noqa: S101
    before = after = 0.0
    for i, part in enumerate(torch.split(test.pixels, 250)):
        x = as_pixels(part)
        y = Noisy(model.sigma)(x, generator(0, _NOISE, i))
        before += float(psnr(y.clamp(0, 1), x).sum())
        after += float(psnr(model(y).clamp(0, 1), x).sum())
    return {"psnr_noisy": before / len(test), "psnr": after / len(test)}


@torch.no_grad()
def _conditional_bound(model: nn.Module, preset: Preset, test: Images) -> dict[str, float]:
    """The bound given the class, and its KL, in nats an image, binarized as in training."""
    assert isinstance(model, ConvVAE)  # noqa: S101
    assert isinstance(preset.loss, ELBOLoss)  # noqa: S101
    bound, kl = mean_elbo(model, test.pixels, c=test.truth, binarize=preset.loss.binarize)
    return {"negative_elbo": -bound, "kl": kl}


AUTOENCODER = Kind(
    "autoencoder", "A dense autoencoder of one hidden layer.", autoencoder_for, _reconstruction, bound="none"
)
CONV_AUTOENCODER = Kind(
    "conv-autoencoder",
    "A convolutional autoencoder, of whole or corrupted images.",
    conv_autoencoder_for,
    _reconstruction,
    bound="none",
)
DENOISER = Kind("denoiser", "A U-Net that takes noise away.", denoiser_for, _denoised, bound="none")
CONDITIONAL_VAE = Kind(
    "conditional-vae",
    "A variational autoencoder of images of a class.",
    conditional_vae_for,
    _conditional_bound,
    bound="lower",
    data=labeled_images,
    labeled=True,
)
