"""Autoencoders without a likelihood of their own: a dense one of a single hidden layer, and a convolutional one."""

import torch
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models.coded import Coded
from amiss.models.likelihoods import Bernoulli
from amiss.models.pyramid import check_images, down, he_start, stages, up

__all__ = ["Autoencoder", "ConvAutoencoder", "DenseAutoencoder"]

_MOST = {"channels": 64, "size": 1024, "latent": 1024, "width": 1024, "hidden": 2**14}
_FOLLOW = 0.01  # share of each batch in the running mean of codes


class Autoencoder(Coded):
    """What autoencoders share: a code, its image, and a normal distribution around the codes that it has seen.

    An autoencoder is no density, and has no prior. The mean and the covariance of its codes are followed while it
    trains, as a batch norm follows its inputs: codes of that normal distribution are what `sample` decodes. A member
    gives `encoder` (images to codes) and `decoder` (codes to logits of pixels).

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        latent: Dimensions of the code.

    References:
        Hinton and Salakhutdinov 2006; Ghosh et al. 2020, section 4 (a distribution fitted to the codes).
    """

    likelihood = Bernoulli()
    encoder: nn.Module
    decoder: nn.Module
    center: Tensor
    scatter: Tensor

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.channels, self.size, self.latent = channels, size, latent
        self.register_buffer("center", torch.zeros(latent))
        self.register_buffer("scatter", torch.eye(latent))  # second moments

    def encode(self, x: Tensor) -> Tensor:
        """The code [N, latent] of images `x` [N, C, H, W] in [0, 1]."""
        check_images(x, self.channels, self.size)
        code: Tensor = self.encoder(x)
        code = code.to(torch.promote_types(code.dtype, torch.float32))
        if self.training:
            self._follow(code.detach())
        return code

    def output(self, z: Tensor) -> Tensor:
        """Logits of the pixels [N, C, H, W] for codes `z` [N, latent]."""
        grown: Tensor = self.decoder(z)
        return grown[..., : self.size, : self.size]

    def decode(self, z: Tensor) -> Tensor:
        """The image [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""
        return self.likelihood.mean(self.output(z))

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes [n, latent] of the normal around the codes seen, its deviation times `temperature`."""
        generator = generator or torch.Generator().manual_seed(0)
        covariance = (self.scatter - torch.outer(self.center, self.center)).double()
        values, axes = torch.linalg.eigh((covariance + covariance.T) / 2)
        draws = torch.randn(n, self.latent, generator=generator).to(values)
        codes = self.center + (temperature * draws * values.clamp_min(0).sqrt() @ axes.T).to(self.center)
        return self._code(codes)

    def _code(self, z: Tensor) -> Tensor:
        """Numbers as the encoder could have given them."""
        return z

    @torch.no_grad()
    def _follow(self, code: Tensor) -> None:
        with torch.autocast(code.device.type, enabled=False):
            self.center.lerp_(code.mean(0), _FOLLOW)
            self.scatter.lerp_(code.T @ code / len(code), _FOLLOW)


class DenseAutoencoder(Autoencoder):
    """One hidden layer of rectified units between all pixels and all pixels.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        latent: Units of the hidden layer: the code, never negative.

    Raises:
        UsageError: A count below 1, or one past all reason.

    References:
        Rumelhart, Hinton and Williams 1986 (the encoder problem).
    """

    def __init__(self, channels: int = 1, size: int = 28, latent: int = 32) -> None:
        _check({"channels": channels, "size": size, "latent": latent}, 1)
        super().__init__(channels, size, latent)
        pixels = channels * size**2
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, latent), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(latent, pixels), nn.Unflatten(1, (channels, size, size)))

    def _code(self, z: Tensor) -> Tensor:
        return z.clamp_min(0)


class ConvAutoencoder(Autoencoder):
    """Strided convolutions to a code, and pixel shuffles back; the halves of `ConvVAE` without its noise.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels, 8 or more.
        latent: Dimensions of the code.
        width: Channels of the first convolution; each later stage has twice as many.
        hidden: Units of the dense layer on each side of the code.

    Raises:
        UsageError: A count below 1, a side below 8, or a number past all reason.

    References:
        Masci et al. 2011 (convolutional autoencoders); Shi et al. 2016, equation 4 (the pixel shuffle).
    """

    def __init__(
        self, channels: int = 1, size: int = 28, latent: int = 32, width: int = 16, hidden: int = 256
    ) -> None:
        counts = {"channels": channels, "size": size, "latent": latent, "width": width, "hidden": hidden}
        _check(counts, 8)
        super().__init__(channels, size, latent)
        widths = stages(size, width)
        self.encoder = nn.Sequential(*down(channels, size, widths, hidden), nn.Linear(hidden, latent))
        self.decoder = up(latent, channels, size, widths, hidden)
        he_start(self)


def _check(counts: dict[str, int], smallest: int) -> None:
    """Refuse counts that mean nothing, and those that a hostile file could ask memory with."""
    if min(counts.values()) < 1 or counts["size"] < smallest or any(n > _MOST[name] for name, n in counts.items()):
        raise UsageError(
            "This autoencoder cannot be built.",
            slug="autoencoder-arguments",
            seen=", ".join(f"{name}={count}" for name, count in counts.items()),
            needed=f"size from {smallest}; at most " + ", ".join(f"{name} {_MOST[name]}" for name in counts),
            hint="Pass, for instance, DenseAutoencoder(channels=1, size=28, latent=32).",
        )
