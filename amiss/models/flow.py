"""Normalizing flows: invertible maps to normal codes, of images themselves or of an autoencoder's codes."""

import importlib
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, ModelError, UsageError
from amiss.models.coded import Coded
from amiss.models.density import Bound
from amiss.models.vae import ConvVAE

__all__ = ["CodeFlow", "Flow", "PixelFlow"]

_MARGIN = 1e-3  # keeps the logit of a pixel finite
_MOST = 64  # couplings
_LARGEST = 2**18  # numbers that are mapped: a file that claims more is refused before memory is asked for
_SLOPE = 0.1  # of one map at the least: steep maps would multiply rounding errors from coupling to coupling


def _zuko() -> Any:
    """The package that holds the univariate maps and their inverses."""
    try:
        return importlib.import_module("zuko.transforms")
    except ImportError as error:
        raise ModelError(
            "A flow needs the package zuko, which cannot be imported.",
            slug="model-package",
            seen=f"{type(error).__name__}: {error}",
            needed="zuko",
            why="it is an extra that amiss does not install by itself",
            hint="pip install 'amiss[flow]'",
        ) from error


def _splits(count: int, transforms: int) -> list[list[bool]]:
    """For each coupling, which of the parts stay as they are: one bit of their number, then its reverse."""
    bits = max(1, (count - 1).bit_length())
    return [[(k >> (i // 2 % bits)) % 2 == i % 2 for k in range(count)] for i in range(transforms)]


class _Coupling(nn.Module):
    """One coupling: half of the numbers stay, and say how each of the others is mapped.

    Args:
        stays: Which numbers of a row stay.
        network: From those [N, a] to the parameters [N, k * b] of the maps of the others.
        bins: Of each spline; 0 for affine maps.
    """

    def __init__(self, stays: Tensor, network: nn.Sequential, bins: int) -> None:
        super().__init__()
        self.stays, self.network, self.bins = stays, network, bins
        # The map begins as the identity, so no depth is too much at the start.
        for p in network[-2 if isinstance(network[-1], nn.Flatten) else -1].parameters():
            nn.init.zeros_(p)

    def transform(self, device: torch.device) -> Any:
        """The map, as zuko applies and inverts it."""
        return _zuko().CouplingTransform(self._univariate, self.stays.to(device))

    def _univariate(self, fixed: Tensor) -> Any:
        zuko, bins = _zuko(), self.bins
        said = self.network(fixed).unflatten(1, (3 * bins - 1 if bins else 2, -1))
        if not bins:
            return zuko.DependentTransform(zuko.MonotonicAffineTransform(*said.unbind(1), slope=_SLOPE), 1)
        parameters = said.transpose(1, 2).split([bins, bins, bins - 1], dim=-1)
        return zuko.DependentTransform(zuko.MonotonicRQSTransform(*parameters, slope=_SLOPE), 1)


class Flow(Coded):
    """What flows share: a chain of couplings between codes [N, latent] and numbers of as many dimensions.

    Its members give `encode`, `decode` and `log_density`. There is no layer that looks across rows and none that
    draws, so a row's answer does not depend on its batch.

    Attributes:
        latent: Dimensions of the codes.

    References:
        Dinh, Sohl-Dickstein and Bengio 2017, equations 7 and 8 (affine couplings); Durkan et al. 2019, section 3.1
        (rational-quadratic splines).
    """

    bound: Bound = "exact"
    couplings: nn.ModuleList

    def chain(self, x: Tensor) -> Any:
        """The whole map from data to codes, on the device of `x`."""
        return _zuko().ComposedTransform(*[c.transform(x.device) for c in self.couplings])  # type: ignore[operator]

    def normal(self, x: Tensor) -> Tensor:
        """Log density [N], nats, of numbers `x` [N, latent] whose codes are standard normal."""
        u, stretch = self.chain(x).call_and_ladj(x)
        return stretch - 0.5 * (u.square() + math.log(2 * math.pi)).sum(1)

    @abstractmethod
    def log_density(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Exact log density [N], nats, of the `latent` numbers that stand for images `x` [N, C, H, W].

        Args:
            x: Images [N, C, H, W] in [0, 1].
            generator: Where the noise of the numbers is drawn from, on the CPU. None takes their middle.
        """


class PixelFlow(Flow):
    """A flow on pixels: as many codes as numbers in an image, and no reconstruction error.

    A pixel of 256 levels is spread over its level (dequantized) and brought to the real line by a logit. Couplings
    follow: in each one, half of the channels that four neighboring pixels become stay, and a small convolutional
    network reads from them a shift and a scale for the others.

    `decode(encode(x))` is x to rounding. A code may leave [0, 1] by half a gray level at either end; it is drawn at
    the end then, and its gradient passes.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels, even, 4 or more.
        transforms: Couplings, at most 64; 4 let each of four neighbors look at the others (8 for RGB).
        width: Channels inside the networks.

    Raises:
        UsageError: An argument that cannot mean anything.
        ModelError: zuko is not installed.

    References:
        Dinh, Sohl-Dickstein and Bengio 2017, sections 3.6 and 4.1 (squeezing; the logit of dequantized pixels).
    """

    center: Tensor
    spread: Tensor

    def __init__(self, channels: int = 1, size: int = 28, transforms: int = 8, width: int = 32) -> None:
        super().__init__()
        _zuko()
        whole = size >= 4 and size % 2 == 0 and channels >= 1 and channels * size * size <= _LARGEST
        if not whole or width < 1 or not 1 <= transforms <= _MOST:
            raise _refused(f"channels={channels}, size={size}, transforms={transforms}, width={width}")
        self.channels, self.size, self.latent = channels, size, channels * size * size
        half = size // 2
        # Written in by the preset: where the logits of the training images lie, and how far they spread.
        self.register_buffer("center", torch.zeros(self.latent))
        self.register_buffer("spread", torch.ones(self.latent))
        couplings = []
        for split in _splits(4 * channels, transforms):
            stay = sum(split)
            network = nn.Sequential(
                nn.Unflatten(1, (stay, half, half)),
                nn.Conv2d(stay, width, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, 2 * (4 * channels - stay), 3, padding=1),
                nn.Flatten(),
            )
            # On the CPU even where the weights are built without memory: it is part of the form, not of the file.
            stays = torch.tensor(split, device="cpu").repeat_interleave(half * half)
            couplings.append(_Coupling(stays, network, 0))
        self.couplings = nn.ModuleList(couplings)

    def logits(self, x: Tensor, noise: Tensor | float = 0.5) -> Tensor:
        """The logits [N, latent] of dequantized pixels, four neighbors as channels.

        Args:
            x: Images [N, C, H, W] in [0, 1].
            noise: Where in its gray level each pixel lies, in [0, 1).
        """
        self._check(x)
        level = (255 * x + noise) / 256
        return torch.logit(_MARGIN + (1 - 2 * _MARGIN) * nn.functional.pixel_unshuffle(level, 2)).flatten(1)

    def encode(self, x: Tensor) -> Tensor:
        """Codes [N, latent] of images `x` [N, C, H, W] in [0, 1], each pixel in the middle of its gray level."""
        y = (self.logits(x) - self.center) / self.spread
        return self.chain(y)(y)

    def decode(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""
        y = self.chain(z).inv(z) * self.spread + self.center
        level = (y.sigmoid() - _MARGIN) / (1 - 2 * _MARGIN)
        half = self.size // 2
        drawn = nn.functional.pixel_shuffle(level.unflatten(1, (4 * self.channels, half, half)), 2)
        drawn = (256 * drawn - 0.5) / 255
        # Black and white lie on the edge of what can be drawn: a clip that stops the gradient would stop there.
        return drawn + (drawn.clamp(0, 1) - drawn).detach()

    def log_density(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Exact log density [N], nats, of dequantized pixels on [0, 1]: their middle, or drawn in their levels.

        With noise that is drawn it is, less 8 bits a pixel, a lower bound on the log probability of the bytes.
        """
        noise = 0.5 if generator is None else torch.rand(x.shape, generator=generator).to(x.device)
        y = self.logits(x, noise)
        squeezed = math.log(1 - 2 * _MARGIN) - nn.functional.logsigmoid(y) - nn.functional.logsigmoid(-y)
        standard = (y - self.center) / self.spread
        return self.normal(standard) + (squeezed - self.spread.log()).sum(1)

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Exact log density [N], nats, of images on [0, 1], each pixel in the middle of its gray level."""
        self.refuse(c)
        return self.log_density(x)

    def _check(self, x: Tensor) -> None:
        want = (self.channels, self.size, self.size)
        if x.ndim != 4 or tuple(x.shape[1:]) != want:
            raise ContractError(
                "The images do not fit this flow.",
                slug="flow-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]})",
                hint="Resize the images, or train a flow for their size.",
            )


class CodeFlow(Flow):
    """A flow on the codes of an autoencoder: encode(x) = f(e(x)), decode(u) = g(f^-1(u)).

    f is trained so that the codes of all images together become standard normal: a step of length 1 is then as far
    in every direction, and typical codes lie within a known distance of 0. The autoencoder stays as it was, and what
    it loses is lost here too.

    Args:
        decoder: Keyword arguments of the `ConvVAE`, of two or more dimensions; None for its defaults.
        transforms: Couplings, at most 64.
        hidden: Units of each of the two hidden layers of a coupling's network.
        bins: Of each spline, 2 or more. A spline reaches from -5 to 5; beyond it codes stay as they are.

    Raises:
        UsageError: An argument that cannot mean anything.
        ModelError: zuko is not installed.

    References:
        Hoffman and Johnson 2016, section 3 (the aggregate posterior is not the prior); Rezende and Mohamed 2015,
        equation 7 (the density under a flow).
    """

    bound: Bound = "lower"

    def __init__(
        self, decoder: Mapping[str, Any] | None = None, transforms: int = 8, hidden: int = 64, bins: int = 8
    ) -> None:
        super().__init__()
        _zuko()
        self.vae = ConvVAE(**(decoder or {}))
        self.latent = self.vae.latent
        if not 2 <= self.latent <= _LARGEST or hidden < 1 or bins < 2 or not 1 <= transforms <= _MOST:
            raise _refused(f"latent={self.latent}, transforms={transforms}, hidden={hidden}, bins={bins}")
        couplings = []
        for split in _splits(self.latent, transforms):
            stay = sum(split)
            network = nn.Sequential(
                nn.Linear(stay, hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, (3 * bins - 1) * (self.latent - stay)),
            )
            couplings.append(_Coupling(torch.tensor(split, device="cpu"), network, bins))
        self.couplings = nn.ModuleList(couplings)

    def encode(self, x: Tensor) -> Tensor:
        """Codes [N, latent] of images `x` [N, C, H, W] in [0, 1]: the posterior means, mapped."""
        z = self.vae.encode(x)
        return self.chain(z)(z)

    def decode(self, z: Tensor) -> Tensor:
        """Mean images [N, C, H, W] in [0, 1] of codes `z` [N, latent]."""
        return self.vae.decode(self.chain(z).inv(z))

    def log_density(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Exact log density [N], nats, of the autoencoder's codes: the posterior means, or codes drawn."""
        return self.normal(self._drawn(x, generator)[0])

    def elbo(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The bound on log p(x) [N], nats, with the flow as the prior of one drawn code a row."""
        z, spent = self._drawn(x, generator or torch.Generator().manual_seed(0))
        return self.vae.likelihood.log_prob(self.vae.output(z), x) + self.normal(z) - spent

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """A lower bound on log p(x) [N], nats, from the same noise at every call."""
        self.refuse(c)
        return self.elbo(x)

    def _drawn(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Codes from the posterior, and their log density under it [N]; without a generator the means."""
        mean, log_variance = self.vae.posterior(x)
        noise = torch.zeros(mean.shape) if generator is None else torch.randn(mean.shape, generator=generator)
        noise = noise.to(mean)
        density = -0.5 * (noise.square() + log_variance + math.log(2 * math.pi)).sum(1)
        return mean + (0.5 * log_variance).exp() * noise, density


def _refused(seen: str) -> UsageError:
    return UsageError(
        "This flow cannot be built.",
        slug="flow-arguments",
        seen=seen,
        needed="positive counts, an even size >= 4, bins and latent >= 2, at most "
        f"{_MOST} transforms and {_LARGEST:,} numbers",
        hint="Pass, for instance, PixelFlow(channels=1, size=28) or CodeFlow({'latent': 16}).",
    )
