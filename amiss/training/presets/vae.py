"""Recipes of variational autoencoders."""

from typing import Any

from torch import nn

from amiss.data.images import Images
from amiss.models import ConvVAE
from amiss.training.evaluate import mean_elbo, reconstruction_error
from amiss.training.kind import Kind
from amiss.training.losses import ELBOLoss
from amiss.training.preset import Preset, fast, preset_of, square

__all__ = ["VAE", "decoder_for", "faces_vae", "mnist_vae", "mnist_vae_long"]


def mnist_vae(seed: int = 0, latent: int = 16) -> Preset:
    """Autoencoder on dynamically binarized MNIST: at most 92 nats an image after two minutes on two cores."""
    arguments = {"channels": 1, "size": 28, "latent": latent, "width": 16, "hidden": 256}
    loss = ELBOLoss(binarize=True)
    return preset_of("vae", "ConvVAE", arguments, loss, epochs=10, batch=128, rate=8e-3, seed=seed, **fast())


def mnist_vae_long(seed: int = 0) -> Preset:
    """Autoencoder with a learned prior on dynamically binarized MNIST: at most 89 nats an image in a few minutes."""
    arguments = {"channels": 1, "size": 28, "latent": 24, "width": 16, "hidden": 256, "couplings": 6}
    loss = ELBOLoss(binarize=True)
    return preset_of("vae", "ConvVAE", arguments, loss, epochs=12, batch=128, rate=8e-3, seed=seed, **fast())


def faces_vae(seed: int = 0, latent: int = 32, sigma: float = 0.03) -> Preset:
    """Autoencoder on the drawn faces, sharp enough to keep brow and jaw."""
    arguments = {"channels": 3, "size": 48, "latent": latent, "likelihood": "normal", "sigma": sigma}
    return preset_of(
        "vae", "ConvVAE", arguments, ELBOLoss(), epochs=16, batch=64, rate=5e-3, clip=1e4, seed=seed, **fast()
    )


def decoder_for(
    images: Images,
    *,
    latent: int | None = None,
    beta: float = 1.0,
    couplings: int = 0,
    seed: int = 0,
    seconds: float = 90.0,
    epochs: float | None = None,
) -> Preset:
    """An autoencoder for any square images, ready in about a minute on two cores.

    Images that are nearly black and white get a Bernoulli likelihood and binary noise; all others a narrow
    normal one, for gray values under a Bernoulli likelihood carry so few nats that the code collapses.

    Args:
        images: The training images, square, 8 to 64 pixels a side.
        latent: Dimensions of the code; by default 16 for small gray images and 32 for the rest.
        beta: Factor on the KL term; 1 is the bound.
        couplings: Affine couplings of a prior that is learned beside the autoencoder; 0 keeps the standard normal.
        seed: Of weights, order and noise.
        seconds: The clock ends the run then at the latest.
        epochs: Passes over the images; by default what fits in about a minute.

    Raises:
        DataError: The images are not square.
    """
    channels, size = square(images)
    gray = channels == 1
    if latent is None:
        latent = 16 if gray and size <= 32 else 32
    arguments: dict[str, Any] = {"channels": channels, "size": size, "latent": latent}
    extreme = ((images.pixels < 32) | (images.pixels > 223)).float().mean().item()
    binary = gray and extreme > 0.8
    sigma = 0.05 if gray else 0.03
    arguments |= {"likelihood": "bernoulli"} if binary else {"likelihood": "normal", "sigma": sigma}
    if couplings:
        arguments["couplings"] = couplings
    loss = ELBOLoss(binarize=binary, beta=beta)
    batch = 128 if len(images) >= 10_000 else 64
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:
        steps = 3500 if size <= 32 else 2000
        length = {"steps": min(steps, 200 * max(1, len(images) // batch))}
    return preset_of(
        "vae", "ConvVAE", arguments, loss, **length, seconds=seconds, batch=batch, rate=4e-3, seed=seed, **fast(size),
        # A narrow deviation makes steep first steps, on saturated colors so steep that codes collapse.
        clip=0.0 if binary else 1e4,
    )  # fmt: skip


def _bound(model: nn.Module, preset: Preset, test: Images) -> dict[str, float]:
    """The bound and its KL in nats an image, binarized as in training, and the error of the reconstruction."""
    assert isinstance(model, ConvVAE)  # noqa: S101
    assert isinstance(preset.loss, ELBOLoss)  # noqa: S101
    bound, kl = mean_elbo(model, test.pixels, binarize=preset.loss.binarize)
    return {"negative_elbo": -bound, "kl": kl, "mse": reconstruction_error(model, test.pixels)}


VAE = Kind("vae", "A variational autoencoder: codes, and images of them.", decoder_for, _bound, bound="lower")
