"""The few statistics that findings rest on, in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.findings.values import Share
from amiss.repro import generator
from amiss.trust.interval import wilson

__all__ = ["Whitening", "auc", "bootstrap", "difference", "likelihood", "logistic", "unit"]

_FLAT = 1e-6  # of the largest variance: directions of a code that are hardly used


@dataclass(frozen=True)
class Whitening:
    """The covariance of codes, and its roots.

    Attributes:
        covariance: [d, d].
        root: Its square root.
        inverse: The inverse of that.
    """

    covariance: Tensor
    root: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, codes: Tensor) -> "Whitening":
        """Of codes [n, d]; variances below a millionth of the largest are raised to it."""
        covariance = torch.cov(codes.T.double()).reshape(codes.shape[1], codes.shape[1])
        values, vectors = torch.linalg.eigh(covariance)
        values = values.clamp_min(float(values[-1]) * _FLAT).clamp_min(torch.finfo(torch.float64).tiny)
        root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
        return cls(covariance, root, inverse)

    def cosine(self, one: Tensor, other: Tensor) -> float:
        """Cosine between two directions [d] once both are whitened."""
        return float(unit(self.inverse @ one) @ unit(self.inverse @ other))

    def along(self, codes: Tensor, direction: Tensor) -> Tensor:
        """Where codes [n, d] lie along a direction: z Sigma^-1 d [n]."""
        return codes.double() @ (self.inverse @ (self.inverse @ direction))


def unit(v: Tensor) -> Tensor:
    """A vector of length 1, or zeros where it has none."""
    return v / v.norm().clamp_min(torch.finfo(v.dtype).tiny)


def logistic(features: Tensor, y: Tensor, steps: int = 60) -> tuple[Tensor, Tensor]:
    """Logistic regression with an intercept, by Newton's method.

    Args:
        features: [n, k].
        y: 0 or 1 [n].
        steps: Most iterations.

    Returns:
        Coefficients [k + 1], the intercept first, and their Wald statistics: coefficient over standard error.
    """
    x = torch.cat([torch.ones_like(features[:, :1]), features], 1).double()
    y, b = y.double(), x.new_zeros(x.shape[1])
    # A hair of ridge keeps the coefficients finite where the classes can be told apart without a mistake.
    ridge = 1e-6 * torch.eye(x.shape[1], dtype=x.dtype)
    hessian = ridge
    for _ in range(steps):
        p = torch.sigmoid(x @ b)
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + ridge
        step = torch.linalg.solve(hessian, x.T @ (y - p) - ridge @ b)
        b = b + step * (4 / step.abs().max().clamp_min(4))  # never far at once
        if float(step.abs().max()) < 1e-10:
            break
    return b, b / torch.linalg.inv(hessian).diagonal().clamp_min(0).sqrt()


def likelihood(features: Tensor, y: Tensor, coefficients: Tensor) -> float:
    """Log-likelihood, in nats, of a logistic regression.

    Args:
        features: [n, k].
        y: 0 or 1 [n].
        coefficients: [k + 1], the intercept first.
    """
    logit = coefficients[0] + features.double() @ coefficients[1:]
    return float((y.double() * logit - torch.nn.functional.softplus(logit)).sum())


def auc(score: Tensor, positive: Tensor) -> float:
    """Chance that a positive has the higher score than a negative; .5 says nothing. NaN without one of both."""
    up = positive.bool()
    n, m = int(up.sum()), int((~up).sum())
    if not n or not m:
        return float("nan")
    order = score.double().unique(return_inverse=True, return_counts=True)
    above = order[2].cumsum(0) - (order[2] - 1) / 2  # ties share their ranks
    return (float(above[order[1]][up].sum()) - n * (n + 1) / 2) / (n * m)


def bootstrap(hit: Tensor, seed: int, draws: int) -> Share:
    """The share of hits, with its 95 % percentile interval over redrawn images.

    Redrawing all or none gives all or none again, which would be an interval without a width: there it is Wilson's.

    Args:
        hit: [n], boolean.
        seed: Of the draws.
        draws: How many.
    """
    if not len(hit):
        return Share(float("nan"), float("nan"), float("nan"), 0)
    count = int(hit.sum())
    alike = count in (0, len(hit))
    low, high = wilson(count, len(hit)) if alike else _interval(_redrawn(hit, seed, draws))
    return Share(count / len(hit), low, high, len(hit))


def difference(there: Tensor, here: Tensor, seed: int, draws: int) -> Share:
    """What share of those who are right here would be wrong there, if the two groups differ in nothing else.

    Args:
        there: Who is wrong there [n], boolean.
        here: Who is wrong here [m], boolean.
        seed: Of the draws.
        draws: How many.
    """
    if not len(there) or not len(here):
        return Share(float("nan"), float("nan"), float("nan"), 0)

    def more(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b) / (1 - b).clamp_min(1e-9)).clamp(0, 1)

    value = float(more(there.double().mean(), here.double().mean()))
    low, high = _interval(more(_redrawn(there, seed, draws), _redrawn(here, seed + 1, draws)))
    return Share(value, low, high, int((~here.bool()).sum()))


def _redrawn(hit: Tensor, seed: int, draws: int) -> Tensor:
    rows = torch.randint(len(hit), (draws, len(hit)), generator=generator(seed, 3))
    return hit.double()[rows].mean(1)


def _interval(values: Tensor) -> tuple[float, float]:
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return low, high
