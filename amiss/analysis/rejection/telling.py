"""How well scores tell nonsense from natural images: thresholds, shares let pass, areas under curves, intervals."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from amiss.analysis.findings.statistics import auc
from amiss.errors import DataError
from amiss.repro import generator
from amiss.trust import wilson

__all__ = ["Figure", "accepted_share", "auroc", "false_positives", "threshold_at"]

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Figure:
    """A number with its 95 % interval.

    Attributes:
        value: The number.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def threshold_at(natural: Tensor, share: float = 0.95) -> float:
    """The threshold that lets a fresh natural image pass with at least this probability.

    Of n scores it is the k-th lowest, k = floor((1 - share) (n + 1)): a fresh image of the same kind falls below it
    with a probability of k / (n + 1) at the most, whatever the scores' distribution.

    Args:
        natural: Scores of natural images that no rule was fitted on [n].
        share: The share to be let pass, in (0, 1).

    Raises:
        DataError: Too few scores to tell such a share, or one that is not finite.

    References:
        Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), distribution-free predictive inference for
        regression, section 2 (order statistics as thresholds).
    """
    k = int((1 - share) * (len(natural) + 1) + 1e-9)
    broken = int((~natural.isfinite()).sum())
    if k < 1 or k > len(natural) or broken:
        raise DataError(
            "No threshold can be told from these natural images.",
            slug="rejection-few",
            seen=f"{len(natural)} scores" + (f", {broken} of them not finite" if broken else ""),
            needed=f"finite numbers, 1 / (1 - {share:g}) of them or more",
            hint="Hold out a hundred natural images or more, and see that the score is finite on them.",
        )
    return float(natural.double().sort().values[k - 1])


def accepted_share(scores: Tensor, threshold: float) -> Figure:
    """The share of scores [n] at the threshold or above, with Wilson's interval."""
    k = int((scores >= threshold).sum())
    return Figure(k / max(len(scores), 1), *wilson(k, len(scores)))


def auroc(natural: Tensor, nonsense: Tensor) -> Figure:
    """The chance that a natural image scores higher than nonsense, ties half; its interval by DeLong.

    Where the two do not overlap, the variance is 0 and tells nothing: the interval is then Wilson's for as many
    pairs as the smaller sample has.

    Args:
        natural: Scores [n].
        nonsense: Scores [m]; one that is no number counts as rejected.

    References:
        DeLong, DeLong and Clarke-Pearson (1988), comparing the areas under two or more correlated receiver
        operating characteristic curves, eq. 3 to 6.
    """
    up, down = natural.double(), nonsense.double().nan_to_num(nan=-torch.inf)
    both = torch.cat([up, down])
    area = auc(both, torch.arange(len(both)) < len(up))
    # The placement of each score among the others' scores, ties half.
    above = _below(up, down)
    under = 1 - _below(down, up)
    variance = _variance(above) + _variance(under)
    if variance > 0:
        half = _Z * variance**0.5
        return Figure(area, max(0.0, area - half), min(1.0, area + half))
    n = min(len(up), len(down))
    return Figure(area, *wilson(round(area * n), n))


def false_positives(
    natural: Tensor, nonsense: Tensor, share: float = 0.95, *, seed: int = 0, draws: int = 1000
) -> Figure:
    """FPR95: the share of nonsense let pass where the very natural images given are let pass at 95 %.

    The interval redraws both samples (percentiles); where it has no width it is Wilson's. A redraw is known by two
    numbers, so that memory grows with the samples alone: the k-th lowest of n places drawn anew is that of a
    Beta(k, n - k + 1), and how many of m scores then pass is binomial.

    Args:
        natural: Scores [n].
        nonsense: Scores [m]; one that is no number counts as rejected.
        share: Of natural images to be let pass.
        seed: Of the redraws.
        draws: How many.

    References:
        Liang, Li and Srikant (2018), enhancing the reliability of out-of-distribution image detection, section 4.2;
        David and Nagaraja (2003), order statistics, section 2.1.
    """
    up, down = natural.double().sort().values, nonsense.double().nan_to_num(nan=-torch.inf).sort().values
    n, m = len(up), len(down)
    at = int((1 - share) * n + 1e-9)  # so many of n lie below the threshold
    value = float((down >= up[at]).double().mean())
    draw = np.random.default_rng(generator(seed, 21).initial_seed())
    place = torch.from_numpy(draw.beta(at + 1, n - at, draws) * n).long().clamp_max(n - 1)
    passing = m - torch.searchsorted(down, up[place])
    redrawn = draw.binomial(m, passing.numpy() / m) / m
    low, high = np.quantile(redrawn, (0.025, 0.975)).tolist()
    return Figure(value, low, high) if low < high else Figure(value, *wilson(round(value * m), m))


def _below(values: Tensor, others: Tensor) -> Tensor:
    """For each value the share of the others that lie below it, ties half."""
    ordered = others.sort().values
    low, high = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (low + high).double() / (2 * len(others))


def _variance(placements: Tensor) -> float:
    """The variance of the mean of placements; 0 for a single one."""
    return float(placements.var() / len(placements)) if len(placements) > 1 else 0.0
