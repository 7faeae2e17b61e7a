"""Which classes a generator draws, and how evenly: what a collapse loses first."""

import math

import torch
from torch import Tensor

from amiss.errors import DataError

__all__ = ["class_shares", "classes_drawn", "entropy", "histogram_kl"]


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """The share of each class among `labels` [n] from 0 to classes - 1: [classes], float64, sum 1.

    Raises:
        DataError: There are no labels, or some out of range.
    """
    if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(
            "These labels have no shares of classes.",
            slug="class-shares",
            seen=f"{len(labels)} labels" + (f", {int(labels.min())} to {int(labels.max())}" if len(labels) else ""),
            needed=f"at least one label, all from 0 to {classes - 1}",
            hint="Pass what a classifier of so many classes answers for the images.",
        )
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def classes_drawn(shares: Tensor, least: float = 0.01) -> int:
    """How many classes have a share of at least `least`."""
    return int((shares >= least).sum())


def entropy(shares: Tensor) -> float:
    """Entropy of shares [k] in nats, from 0 (one class alone) to log k (all alike)."""
    return -float(torch.special.xlogy(shares.double(), shares.double()).sum())


def histogram_kl(shares: Tensor, reference: Tensor) -> float:
    """KL(shares || reference) in nats: 0 where they agree, infinite where a class is drawn that is not there.

    A class that is never drawn costs little, log(1 / (1 - its share)); hence `classes_drawn` beside it.

    Args:
        shares: Shares of the classes among drawn images [k].
        reference: Their shares among real ones [k].

    Raises:
        DataError: They have different classes.

    References:
        Kullback and Leibler 1951, equation 2.4.
    """
    if shares.shape != reference.shape or shares.ndim != 1:
        raise DataError(
            "These shares are of different classes.",
            slug="class-histograms",
            seen=f"{tuple(shares.shape)} and {tuple(reference.shape)}",
            needed="shares [k] and [k] of the same classes",
            hint="Count both with class_shares(labels, k).",
        )
    p, q = shares.double(), reference.double()
    if bool(((p > 0) & (q == 0)).any()):
        return math.inf
    seen = p > 0
    return max(0.0, float((p[seen] * (p[seen] / q[seen]).log()).sum()))
