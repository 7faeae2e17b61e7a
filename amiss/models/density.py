"""What models of data agree on: a `Likelihood` reads a network's output, a `Density` scores and draws."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.errors import UsageError

__all__ = ["Bernoulli", "Bound", "Density", "LatentVariable", "Likelihood", "Normal", "bits_per_dim"]

Bound = Literal["exact", "lower", "none"]
"""What `Density.log_prob` is: the log probability, a lower bound on it, or nothing that can be asked."""


class Likelihood(Protocol):
    """A distribution over data, its parameters read from a network's output.

    It owns the one convention: `log_prob` sums over data dimensions, one number a row, in nats.
    """

    @property
    def outputs(self) -> int:
        """Numbers that the network gives for each number of the data."""
        ...

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log probability of `x` [N, C, ...] under `output` [N, outputs * C, ...]: [N], nats."""
        ...

    def mean(self, output: Tensor) -> Tensor:
        """Mean of the distribution, of the shape of the data."""
        ...

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """One draw, of the shape of the data."""
        ...


@dataclass(frozen=True)
class Bernoulli:
    """Independent binary numbers; the output is their logits.

    For data strictly between 0 and 1 the value is the expected log probability over random binarizations
    of the data (a cross-entropy), not a density.
    """

    outputs: int = 1

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log probability of `x` [N, ...] in [0, 1] under logits of the same shape: [N], nats, at most 0."""
        loss = F.binary_cross_entropy_with_logits(_full(output), _full(x), reduction="none")
        return -loss.flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Probability of a 1, in [0, 1]."""
        return _full(output).sigmoid()

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """Zeros and ones."""
        return torch.bernoulli(self.mean(output).cpu(), generator=generator).to(output.device)


@dataclass(frozen=True)
class Normal:
    """Independent normal numbers in the image range [0, 1]; the mean is the sigmoid of the output.

    Attributes:
        sigma: Standard deviation, in units of the data. None: the network gives it too, as a second block
            of channels that holds log sigma, kept in [-6, 2] so that no pixel can buy infinite density.
    """

    sigma: float | None = None

    def __post_init__(self) -> None:
        if self.sigma is not None and not (math.isfinite(self.sigma) and self.sigma > 0):
            raise UsageError(
                "A normal likelihood needs a positive standard deviation.",
                slug="likelihood-sigma",
                seen=f"sigma={self.sigma}",
                needed="a finite number > 0, or None to learn it",
                hint="Pass sigma=0.1, or sigma=None.",
            )

    @property
    def outputs(self) -> int:
        """1 with a fixed sigma, 2 with a learned one."""
        return 1 if self.sigma is not None else 2

    def _split(self, output: Tensor) -> tuple[Tensor, Tensor]:
        output = _full(output)
        if self.sigma is not None:
            return output.sigmoid(), output.new_tensor(math.log(self.sigma))
        mean, log_sigma = output.chunk(2, dim=1)
        return mean.sigmoid(), log_sigma.clamp(-6, 2)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log density of `x` [N, C, ...]: [N], nats, of any sign."""
        mean, log_sigma = self._split(output)
        nats = -0.5 * ((_full(x) - mean) / log_sigma.exp()) ** 2 - log_sigma - 0.5 * math.log(2 * math.pi)
        return nats.flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Mean, in [0, 1]."""
        return self._split(output)[0]

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """The mean and noise; it may leave [0, 1]."""
        mean, log_sigma = self._split(output)
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        return mean + log_sigma.exp() * noise


def _full(t: Tensor) -> Tensor:
    """At least float32: likelihoods are not computed in reduced precision."""
    return t.to(torch.promote_types(t.dtype, torch.float32))


def bits_per_dim(log_prob: Tensor, dimensions: int) -> Tensor:
    """The only converter from nats an image to bits a dimension.

    Args:
        log_prob: Log probabilities [N], nats, summed over the data's dimensions.
        dimensions: Numbers in one datum, such as 784.

    Returns:
        Bits a dimension [N]. For a density on [0, 1] add 8 to compare with models of 256 gray levels.

    Raises:
        UsageError: `dimensions` is not positive.
    """
    if dimensions < 1:
        raise UsageError(
            "Bits a dimension need the number of dimensions.",
            slug="dimensions",
            seen=str(dimensions),
            needed="an integer >= 1",
            hint="Pass the count of numbers in one datum, such as x[0].numel().",
        )
    return -log_prob / (dimensions * math.log(2))


@runtime_checkable
class Density(Protocol):
    """A model that draws data and, but for `bound = "none"`, scores it."""

    bound: Bound

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Log probability of rows `x` given `c`, or a bound on it: [N], nats."""
        ...

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`n` draws; where `mask` is true they agree with `given` (completion, continuation)."""
        ...


@runtime_checkable
class LatentVariable(Density, Protocol):
    """A density with codes: what a search for latent examples walks on."""

    latent: int

    def encode(self, x: Tensor) -> Tensor:
        """The code of each row: [N, latent]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """The image of each code: [N, C, H, W] in [0, 1]."""
        ...

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes drawn from the prior [n, latent]."""
        ...
