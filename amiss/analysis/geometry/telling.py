"""What tells adversaries from natural images by one number each: areas under curves, distances, rank correlation."""

import torch
from torch import Tensor

from amiss.analysis.findings.statistics import auc

__all__ = ["chance_below", "ks_distance", "spearman", "two_sided_auc"]


def chance_below(one: Tensor, other: Tensor) -> float:
    """The chance that a value of the one is below a value of the other, ties half: 0.5 where they do not differ.

    Args:
        one: Values of the one, any shape; NaN does not count.
        other: Values of the other, any shape.

    Returns:
        A number in [0, 1]; NaN where one of the samples is empty.
    """
    one, other = _values(one), _values(other)
    return auc(torch.cat([one, other]), torch.arange(len(one) + len(other)) >= len(one))


def two_sided_auc(one: Tensor, other: Tensor) -> float:
    """How well a threshold tells two samples apart, whichever of them lies higher.

    Args:
        one: Values of the one, any shape; NaN does not count.
        other: Values of the other, any shape.

    Returns:
        max(A, 1 - A) in [0.5, 1], with A the chance that the one is below the other; 0.5 says nothing. NaN where one
        of the samples is empty.
    """
    area = chance_below(one, other)
    return max(area, 1 - area)


def ks_distance(one: Tensor, other: Tensor) -> float:
    """The Kolmogorov-Smirnov distance: the widest gap between two samples' cumulative shares.

    Args:
        one: Values of the one, any shape; NaN does not count.
        other: Values of the other, any shape.

    Returns:
        A number in [0, 1]; 0 where they agree, NaN where one of the samples is empty.
    """
    one, other = _values(one).sort().values, _values(other).sort().values
    if not len(one) or not len(other):
        return float("nan")
    grid = torch.cat([one, other])
    shares = [torch.searchsorted(part, grid, right=True) / len(part) for part in (one, other)]
    return float((shares[0] - shares[1]).abs().max())


def spearman(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation of pairs, ties sharing their ranks.

    Args:
        one: Values [n].
        other: Values [n].

    Returns:
        A number in [-1, 1]; NaN for fewer than two pairs, or where one of the two never changes.
    """
    ranks = torch.stack([_ranks(one), _ranks(other)])
    away = ranks - ranks.mean(1, keepdim=True)
    lengths = away.norm(dim=1)
    return float((away[0] @ away[1]) / (lengths[0] * lengths[1])) if bool((lengths > 0).all()) else float("nan")


def _values(sample: Tensor) -> Tensor:
    flat = sample.double().flatten()
    return flat[~flat.isnan()]


def _ranks(values: Tensor) -> Tensor:
    _, inverse, counts = values.double().unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2)[inverse].double()
