"""What the codes of an autoencoder are worth: bounds on the likelihood, dimensions in use, and collapse."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models.likelihoods import Likelihood
from amiss.repro import generator
from amiss.training.batches import as_pixels, binarized

__all__ = ["Bounds", "Collapse", "Variational", "active_units", "bounds", "collapse", "importance_bound"]

_BINARY, _CODES = 5, 6  # streams of randomness, those of `amiss.training.evaluate`
_ACTIVE = 0.01  # variance of a posterior mean over images from which on a dimension is in use


class Variational(Protocol):
    """An autoencoder with a normal posterior: what a bound on its likelihood is computed from.

    Attributes:
        latent: Dimensions of the code.
        likelihood: Of images under an output.
    """

    latent: int
    likelihood: Likelihood

    def posterior(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance [N, latent] of the code of images [N, C, H, W]."""
        ...

    def output(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """What the likelihood reads, for codes [N, latent]."""
        ...

    def log_prior(self, z: Tensor) -> Tensor:
        """Log density [N] of codes [N, latent], nats."""
        ...


@dataclass(frozen=True)
class Bounds:
    """Lower bounds on log p(x), nats an image, means over the images.

    Attributes:
        elbo: Of one code an image.
        importance: Of `codes` codes an image, weighted by importance; the same as `elbo` for one code.
        codes: How many.
        images: How many images.
    """

    elbo: float
    importance: float
    codes: int
    images: int


@torch.no_grad()
def importance_bound(
    model: Variational, x: Tensor, k: int, draws: torch.Generator, c: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The bound log (1/k) sum_i p(x, z_i) / q(z_i | x), and the mean of the logarithms, which is the plain bound.

    Its expectation rises with k and tends to log p(x).

    Args:
        model: The autoencoder.
        x: Images [N, C, H, W] in [0, 1].
        k: Codes drawn for each image.
        draws: Where they are drawn from, on the CPU.
        c: Classes [N], for a conditional model.

    Returns:
        The importance-weighted bound [N] and the plain one [N], nats, of the same codes.

    Raises:
        UsageError: k is not positive.

    References:
        Burda, Grosse and Salakhutdinov 2016, equation 8 and theorem 1.
    """
    if k < 1:
        raise UsageError(
            "A bound needs codes.",
            slug="bound-codes",
            seen=f"k={k}",
            needed="an integer >= 1",
            hint="Pass k=50 for a figure, or k=1 for the plain bound.",
        )
    mean, log_variance = model.posterior(x, c)
    weights = []
    for _ in range(k):
        noise = torch.randn(mean.shape, generator=draws).to(mean)
        z = mean + (0.5 * log_variance).exp() * noise
        log_q = -0.5 * (noise**2 + log_variance + math.log(2 * math.pi)).sum(1)
        weights.append(model.likelihood.log_prob(model.output(z, c), x) + model.log_prior(z) - log_q)
    all_ = torch.stack(weights).double()
    return all_.logsumexp(0) - math.log(k), all_.mean(0)


def bounds(
    model: Variational,
    images: Tensor,
    k: int,
    *,
    c: Tensor | None = None,
    binarize: bool = False,
    seed: int = 0,
    batch: int = 500,
) -> Bounds:
    """Both bounds on images that the model has not seen.

    Args:
        model: The autoencoder.
        images: [n, C, H, W], bytes or floats in [0, 1].
        k: Codes an image.
        c: Classes [n], for a conditional model.
        binarize: Draw each pixel as 0 or 1 with its gray value as probability (state it beside the figure).
        seed: Of the pixels and the codes.
        batch: Images at a time.

    Raises:
        UsageError: k is not positive.
    """
    elbo = importance = 0.0
    for i, rows in enumerate(torch.split(torch.arange(len(images)), batch)):
        x = as_pixels(images[rows])
        if binarize:
            x = binarized(x, generator(seed, _BINARY, i))
        best, plain = importance_bound(model, x, k, generator(seed, _CODES, i), None if c is None else c[rows])
        elbo, importance = elbo + float(plain.sum()), importance + float(best.sum())
    return Bounds(elbo / len(images), importance / len(images), k, len(images))


@torch.no_grad()
def active_units(model: Variational, images: Tensor, *, c: Tensor | None = None, batch: int = 500) -> Tensor:
    """Which dimensions of the code tell images apart: the variance over images of the posterior mean is above 0.01.

    Args:
        model: The autoencoder.
        images: [n, C, H, W], bytes or floats in [0, 1], n at least 2.
        c: Classes [n], for a conditional model.
        batch: Images at a time.

    Returns:
        One boolean a dimension [latent].

    References:
        Burda, Grosse and Salakhutdinov 2016, section 2 and table 1.
    """
    means = [
        model.posterior(as_pixels(images[rows]), None if c is None else c[rows])[0]
        for rows in torch.split(torch.arange(len(images)), batch)
    ]
    return torch.cat(means).double().var(0) > _ACTIVE


class _Reconstructs(Protocol):
    def __call__(self, x: Tensor, /) -> Tensor:
        """The reconstruction of images."""


@dataclass(frozen=True)
class Collapse:
    """Whether an autoencoder still tells images apart.

    Attributes:
        explained: Share of the variance of images that reconstructions explain: 1 for perfect ones, 0 for one that
            answers with the mean image whatever it is shown, and below for worse.
        varies: Mean variance of a pixel over the reconstructions, as a share of that over the images.
    """

    explained: float
    varies: float

    @property
    def collapsed(self) -> bool:
        """Whether the answers hardly depend on the images, or are no better than the mean image."""
        return self.explained < _ACTIVE or self.varies < _ACTIVE


@torch.no_grad()
def collapse(model: _Reconstructs, images: Tensor, *, batch: int = 500) -> Collapse:
    """Look for the collapse of an autoencoder: all images get one answer, such as black.

    Args:
        model: Gives the reconstruction of images [N, C, H, W] in [0, 1].
        images: [n, C, H, W], bytes or floats in [0, 1], not all the same.
        batch: Images at a time.
    """
    x = as_pixels(images)
    answers = torch.cat([model(part) for part in torch.split(x, batch)]).double()
    x = x.double()
    spread = x.var(0, correction=0).mean()
    error = (answers - x).square().mean()
    return Collapse(float(1 - error / spread), float(answers.var(0, correction=0).mean() / spread))
