"""Likelihoods: distributions over data whose parameters a network gives, and the one converter to bits."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.errors import UsageError

__all__ = [
    "Bernoulli",
    "Categorical",
    "Discrete",
    "Likelihood",
    "LogisticMixture",
    "Normal",
    "Stepwise",
    "Tokens",
    "bits_per_dim",
]


_MOST_LEVELS = 256


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


class Stepwise(Protocol):
    """A likelihood over finitely many values; what autoregressive models draw one by one."""

    @property
    def outputs(self) -> int:
        """Numbers that the network gives for each value."""
        ...

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log probability of `x` [N, 1, D] under `output` [N, outputs, D]: [N], nats."""
        ...

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """One draw [N, 1, D]."""
        ...

    def tempered(self, output: Tensor, temperature: float) -> Tensor:
        """The output of the sharper (below 1) or flatter (above 1) distribution."""
        ...


class Discrete(Likelihood, Stepwise, Protocol):
    """A likelihood over `levels` evenly spaced values in [0, 1]."""

    @property
    def levels(self) -> int:
        """How many values there are: 0, 1 / (levels - 1), ..., 1."""
        ...


@dataclass(frozen=True)
class Bernoulli:
    """Independent binary numbers; the output is their logits.

    For data strictly between 0 and 1 the value is the expected log probability over random binarizations
    of the data (a cross-entropy), not a density.
    """

    outputs: int = 1
    levels: int = 2

    def tempered(self, output: Tensor, temperature: float) -> Tensor:
        """Logits divided by the temperature."""
        return output / temperature

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


@dataclass(frozen=True)
class Categorical:
    """Any distribution over the levels; the output is their logits, [N, levels * C, ...] with the levels first.

    Attributes:
        levels: How many values there are.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, pixel recurrent neural networks, section 3.3.
    """

    levels: int = 256

    def __post_init__(self) -> None:
        _check_levels(self.levels)

    @property
    def outputs(self) -> int:
        """One logit a level."""
        return self.levels

    def _logits(self, output: Tensor) -> Tensor:
        return _full(output).unflatten(1, (self.levels, -1))

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log probability of `x` [N, C, ...], values of the levels: [N], nats, at most 0."""
        place = (x * (self.levels - 1)).round().long().clamp(0, self.levels - 1)
        return -F.cross_entropy(self._logits(output), place, reduction="none").flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Mean, in [0, 1]."""
        levels = torch.linspace(0, 1, self.levels, dtype=_full(output).dtype, device=output.device)
        return torch.tensordot(self._logits(output).softmax(1), levels, ([1], [0]))

    def tempered(self, output: Tensor, temperature: float) -> Tensor:
        """Logits divided by the temperature."""
        return output / temperature

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """Values of the levels: where one uniform number falls among the summed probabilities."""
        chances = self._logits(output).softmax(1).cumsum(1)
        place = (chances < _uniform(chances[:, 0], generator).unsqueeze(1)).sum(1)
        return place.clamp(max=self.levels - 1).to(chances.dtype) / (self.levels - 1)


@dataclass(frozen=True)
class Tokens:
    """Any distribution over whole numbers 0, 1, ...; the output is their logits, of which some may be -inf.

    Attributes:
        symbols: How many numbers there are.
    """

    symbols: int

    @property
    def outputs(self) -> int:
        """One logit a symbol."""
        return self.symbols

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log probability of `x` [N, 1, D], int64, under `output` [N, symbols, D]: [N], nats, at most 0."""
        return self.log_probs(output, x[:, 0]).sum(1)

    def log_probs(self, output: Tensor, x: Tensor) -> Tensor:
        """The same of each place: [N, D] of `x` [N, D]."""
        return -F.cross_entropy(_full(output), x, reduction="none")

    def tempered(self, output: Tensor, temperature: float) -> Tensor:
        """Logits divided by the temperature."""
        return output / temperature

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """Where one uniform number falls among the summed probabilities: [N, 1, D], int64."""
        chances = _full(output).softmax(1).cumsum(1)
        # Of the sum, not of 1: rounding must not draw a symbol behind the last possible one.
        lots = _uniform(chances[:, 0], generator) * chances[:, -1]
        return (chances <= lots.unsqueeze(1)).sum(1, keepdim=True)


@dataclass(frozen=True)
class LogisticMixture:
    """A mixture of logistic distributions, each integrated over the bin of a level.

    The output [N, 3 * components * C, ...] holds, in this order, logits of the components, their means (-1 stands for
    the lowest value and 1 for the highest) and the logarithms of their scales in the same units, no less than -7. The
    first and the last level take the tails, so the probabilities of all levels sum to 1.

    Attributes:
        components: Logistic distributions in the mixture.
        levels: How many values there are.

    References:
        Salimans, Karpathy, Chen and Kingma 2017, PixelCNN++, equation 2.
    """

    components: int = 5
    levels: int = 256

    def __post_init__(self) -> None:
        _check_levels(self.levels)
        if not 1 <= self.components <= _MOST_LEVELS:
            raise UsageError(
                "A mixture needs components.",
                slug="likelihood-components",
                seen=f"components={self.components}",
                needed=f"1 to {_MOST_LEVELS}",
                hint="Pass components=5.",
            )

    @property
    def outputs(self) -> int:
        """A logit, a mean and a scale for each component."""
        return 3 * self.components

    def _split(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means in [0, 1]'s units, log scales: [N, components, C, ...] each."""
        logits, means, scales = _full(output).unflatten(1, (3, self.components, -1)).unbind(1)
        return logits, 0.5 + 0.5 * means, scales.clamp_min(-7) - math.log(2)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Log probability of `x` [N, C, ...], values of the levels: [N], nats, at most 0."""
        logits, means, scales = self._split(output)
        x, bin_ = _full(x).unsqueeze(1), 1 / (self.levels - 1)
        precision = (-scales).exp()
        upper, lower = (x + bin_ / 2 - means) * precision, (x - bin_ / 2 - means) * precision
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)); the tails drop the factors at infinity.
        first, last = x < bin_ / 2, x > 1 - bin_ / 2
        below = F.logsigmoid(upper).masked_fill(last, 0)
        above = F.logsigmoid(-lower).masked_fill(first, 0)
        width = torch.log(-torch.expm1(-bin_ * precision)).masked_fill(first | last, 0)
        nats = torch.logsumexp(logits.log_softmax(1) + below + above + width, 1)
        return nats.flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """Mean of the mixture, its components cut to [0, 1]."""
        logits, means, _ = self._split(output)
        return (logits.softmax(1) * means.clamp(0, 1)).sum(1)

    def tempered(self, output: Tensor, temperature: float) -> Tensor:
        """Logits divided by the temperature, scales multiplied by it."""
        logits, means, scales = output.unflatten(1, (3, -1)).unbind(1)
        return torch.cat([logits / temperature, means, scales.clamp_min(-7) + math.log(temperature)], 1)

    def sample(self, output: Tensor, generator: torch.Generator) -> Tensor:
        """Values of the levels: a component, then a number of its distribution, rounded to its bin."""
        logits, means, scales = self._split(output)
        chances = logits.softmax(1).cumsum(1)
        place = (chances < _uniform(chances[:, 0], generator).unsqueeze(1)).sum(1, keepdim=True)
        place = place.clamp(max=self.components - 1)
        mean, scale = means.gather(1, place).squeeze(1), scales.gather(1, place).squeeze(1).exp()
        u = _uniform(mean, generator).clamp(1e-6, 1 - 1e-6)
        value = mean + scale * (u.log() - torch.log1p(-u))
        return (value * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)


def _full(t: Tensor) -> Tensor:
    """At least float32: likelihoods are not computed in reduced precision."""
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1) of a tensor's shape, type and device."""
    return torch.rand(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def _check_levels(levels: int) -> None:
    if not 2 <= levels <= _MOST_LEVELS:
        raise UsageError(
            "Gray levels are counted.",
            slug="likelihood-levels",
            seen=f"levels={levels}",
            needed=f"2 to {_MOST_LEVELS}",
            hint="Pass levels=256 for the bytes of an image.",
        )


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
