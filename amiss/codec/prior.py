"""The prior of a codec in whole numbers: which table each number of a code is coded in, and around which mean."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.codec.rans import Whole
from amiss.models.compression import FEATURES, LEAST, NEAR, WINDOWS, ImageCodec

__all__ = ["EDGES", "LARGEST", "MEAN_UNIT", "SCALE_UNIT", "WEIGHTS", "Prior", "Visit", "prior_of", "scale_of", "walk"]

SCALE_UNIT = 2**16
"""Scales, and the weights that they are sums of, are counted in parts of 1 / SCALE_UNIT."""

MEAN_UNIT = 128
"""Weights of means are counted in parts of 1 / MEAN_UNIT, from -127 to 127."""

LARGEST = 2**15
"""The magnitude of a number of a code is at most this."""

WEIGHTS = np.array([*range(8), *((8 + m) << e for e in range(20) for m in range(8))], np.int64)
"""What a weight of a scale may be, by the byte that it is stored as: eight values an octave, and those below 8."""

_FINEST = int(LEAST * SCALE_UNIT)
EDGES = np.array([_FINEST * (4 + m) << e >> 2 for e in range(11) for m in range(4)], np.int64)
"""Where levels of scales begin: four an octave, from the least scale on. Each level has one table."""

Visit = Callable[[int, int, int, Whole, Whole], Whole]
"""Told channel, row, column, the mean of each image's number there and the level of its scale, gives the numbers."""


@dataclass(frozen=True)
class Prior:
    """Whole numbers that say how a code is coded, at one rate.

    Attributes:
        active: Which channels are not 0 everywhere [code]; no others are coded.
        scales: For each channel the places in `WEIGHTS` of its weights [code, features], uint8.
        means: For each channel the weights of its four neighbors [code, 4], int8, in parts of 1 / MEAN_UNIT.
    """

    active: NDArray[np.bool_]
    scales: NDArray[np.uint8]
    means: NDArray[np.int8]


def prior_of(model: ImageCodec, rate: int) -> Prior:
    """The prior of a model at a rate, rounded to what a file can hold; all channels active."""
    wanted = model.scale_weights[rate].detach().cpu().double().numpy() * SCALE_UNIT
    # The nearest of two neighbors in a sorted table.
    above = np.searchsorted(WEIGHTS, wanted).clip(1, len(WEIGHTS) - 1)
    nearest = np.where(wanted - WEIGHTS[above - 1] < WEIGHTS[above] - wanted, above - 1, above)
    means = np.trunc(model.mean_weights.detach().cpu().double().numpy() * MEAN_UNIT).clip(-127, 127)
    return Prior(np.ones(model.grid[0], np.bool_), nearest.astype(np.uint8), means.astype(np.int8))


def scale_of(level: int) -> float:
    """The scale that the table of a level is made for: the middle of the level."""
    return float(EDGES[level] * (1 + 0.5 / (4 + level % 4))) / SCALE_UNIT


def walk(prior: Prior, grid: tuple[int, int, int], images: int, visit: Visit) -> Whole:
    """Go over the code of some images in the order in which it is coded, all images at once.

    The encoder and the decoder take the same way; the one looks numbers up, the other reads them. There is no
    arithmetic but that of whole numbers, so both see the same means and levels on any machine.

    Args:
        prior: Of the file.
        grid: Channels, rows and columns of the code.
        images: How many.
        visit: Gives the numbers [images] of each place.

    Returns:
        The code [channels, rows, columns, images].
    """
    channels, height, width = grid
    code = np.zeros((*grid, images), np.int64)
    sums = np.zeros((channels + 1, height, width, images), np.int64)  # magnitudes of the channels before each
    for c in range(channels):
        if prior.active[c]:
            weights, shares = WEIGHTS[prior.scales[c]], prior.means[c].astype(np.int64)
            scales = _across(sums, c, weights)
            size = np.abs(code[c])
            for i in range(height):
                for j in range(width):
                    mean = _weighted(code[c], i, j, shares)
                    scale = scales[i, j] + weights[2] * _weighted(size, i, j, np.array([2, 2, 1, 1]))
                    level = np.searchsorted(EDGES, scale, "right").clip(1) - 1
                    code[c, i, j] = visit(c, i, j, (mean + MEAN_UNIT // 2) // MEAN_UNIT, level)
                    size[i, j] = np.abs(code[c, i, j])
        sums[c + 1] = sums[c] + np.abs(code[c])
    return code


def _across(sums: Whole, c: int, weights: Whole) -> Whole:
    """The part of the scales of channel c that the channels before it give, and the constant part [h, w, n]."""
    assert len(weights) == FEATURES  # noqa: S101
    out = weights[0] + np.zeros_like(sums[c])
    out[0, 0] += weights[1]
    for weight, (near, far) in zip(weights[3:], WINDOWS, strict=False):
        out += weight * (sums[max(0, c - near)] - sums[max(0, c - far)])
    wide = np.pad(sums[c] - sums[max(0, c - NEAR)], ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    out += weights[-1] * (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])
    return out


def _weighted(plane: Whole, i: int, j: int, shares: Whole) -> Whole:
    """The weighted sum of what lies west, north, northwest and northeast [n]; stand-ins are the model's."""
    last = plane.shape[1] - 1
    if i == 0:
        west = plane[0, j - 1] if j else np.zeros_like(plane[0, 0])
        return west * int(shares.sum())
    north = plane[i - 1, j]
    west, northwest = (plane[i, j - 1], plane[i - 1, j - 1]) if j else (north, north)
    northeast = plane[i - 1, j + 1] if j < last else north
    out: Whole = west * shares[0] + north * shares[1] + northwest * shares[2] + northeast * shares[3]
    return out
