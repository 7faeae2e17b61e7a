"""Losses of autoencoders: how far the answer to a corrupted image is from the image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models import Autoencoder, Denoiser
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["Corruption", "DenoisingLoss", "Erased", "Noisy", "ReconstructionLoss"]


class Corruption(Protocol):
    """What is done to images before a model sees them."""

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Corrupted images, for images `x` [N, C, H, W] in [0, 1]; the noise is drawn on the CPU."""
        ...


@dataclass(frozen=True)
class Noisy:
    """Normal noise on every number; what it gives may leave [0, 1].

    Attributes:
        sigma: Its deviation, in units of the image range.

    Raises:
        UsageError: The deviation is negative.
    """

    sigma: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < float("inf"):
            raise _refusal(f"sigma={self.sigma}", "a finite deviation, 0 or more", "Noisy(0.2)")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The images and noise."""
        return x + self.sigma * torch.randn(x.shape, generator=generator).to(x)


@dataclass(frozen=True)
class Erased:
    """Pixels made black at random, all channels of a pixel at once.

    Attributes:
        share: Chance of each pixel, in [0, 1].

    Raises:
        UsageError: The share is out of range.
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise _refusal(f"share={self.share}", "a share in [0, 1]", "Erased(0.3)")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The images with holes."""
        n, _, height, width = x.shape
        kept = torch.rand(n, 1, height, width, generator=generator) >= self.share
        return x * kept.to(x)


@dataclass(frozen=True)
class ReconstructionLoss:
    """How badly an autoencoder reconstructs an image from its code, perhaps that of a corrupted image.

    It reads `image` in [0, 1].

    Attributes:
        measure: "bce", the cross-entropy of pixels as probabilities, nats summed over an image; "mse", the squared
            error summed over an image.
        corruption: What is done to the image that is encoded; None leaves it.

    References:
        Vincent et al. 2008, section 2.3 (denoising).
    """

    measure: Literal["bce", "mse"] = "bce"
    corruption: Corruption | None = None
    turns: tuple[tuple[str, ...], ...] = (("autoencoder",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"autoencoder": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed error."""
        coder, image = expect(model, Autoencoder, "ReconstructionLoss"), batch["image"]
        shown = image if self.corruption is None else self.corruption(image, batch.generator())
        output = coder.output(coder.encode(shown))
        if self.measure == "bce":
            return {"autoencoder": -coder.likelihood.log_prob(output, image).sum()}
        return {"autoencoder": (coder.likelihood.mean(output) - image).square().sum()}


@dataclass(frozen=True)
class DenoisingLoss:
    """The squared error of a denoiser, summed over an image: its answer to the corrupted image, minus the image.

    It reads `image` in [0, 1]. Where the noise is normal, of the denoiser's own deviation, the least loss is that of
    the mean of all images that the noisy one may have been.

    Attributes:
        corruption: What is done to the image; None is noise of the denoiser's own deviation.

    References:
        Vincent et al. 2008, section 2.3; Miyasawa 1961.
    """

    corruption: Corruption | None = None
    turns: tuple[tuple[str, ...], ...] = (("denoiser",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"denoiser": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed squared error."""
        denoiser, image = expect(model, Denoiser, "DenoisingLoss"), batch["image"]
        corruption = self.corruption or Noisy(denoiser.sigma)
        answer = denoiser(corruption(image, batch.generator()))
        return {"denoiser": (answer - image).square().sum()}


def _refusal(seen: str, needed: str, example: str) -> UsageError:
    return UsageError(
        "Images cannot be corrupted like this.",
        slug="corruption-range",
        seen=seen,
        needed=needed,
        hint=f"Pass, for instance, {example}.",
    )
