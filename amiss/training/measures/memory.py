"""Whether a generator has learned its training images by heart: the nearest of them, beside that of unseen images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.errors import DataError
from amiss.training.batches import as_pixels

__all__ = ["Memory", "memorized", "nearest"]

_BLOCK = 10_000  # training images at a time


@torch.no_grad()
def nearest(images: Tensor, training: Tensor, *, batch: int = 500) -> tuple[Tensor, Tensor]:
    """The nearest training image of each image.

    Args:
        images: [n, C, H, W], bytes or floats in [0, 1].
        training: [m, C, H, W], the same.
        batch: Images at a time.

    Returns:
        Euclidean distances in pixels [n], units of the image range [0, 1], and positions [n], int64.

    Raises:
        DataError: A set is empty, or the images differ in shape.
    """
    if images.shape[1:] != training.shape[1:] or not len(images) or not len(training):
        raise DataError(
            "These images cannot be compared.",
            slug="nearest-shape",
            seen=f"{tuple(images.shape)} and {tuple(training.shape)}",
            needed="two sets of at least one image, all of one shape",
            hint="Open both at the same size.",
        )
    best = torch.full((len(images),), torch.inf)
    found = torch.zeros(len(images), dtype=torch.int64)
    for start in range(0, len(training), _BLOCK):
        block = as_pixels(training[start : start + _BLOCK]).flatten(1)
        half = block.square().sum(1) / 2
        for begin in range(0, len(images), batch):
            rows = slice(begin, begin + batch)
            x = as_pixels(images[rows]).flatten(1)
            # |x - y|^2 / 2 without |x|^2, which no choice of y changes.
            nearer, at = torch.addmm(half, x, block.T, alpha=-1).min(1)
            closer = nearer < best[rows]
            best[rows] = torch.where(closer, nearer, best[rows])
            found[rows] = torch.where(closer, at + start, found[rows])
    # Those differences of large numbers found the image; its distance is measured for itself.
    parts = zip(torch.split(images, batch), torch.split(found, batch), strict=True)
    distances = [(as_pixels(x) - as_pixels(training[at])).flatten(1).norm(dim=1) for x, at in parts]
    return torch.cat(distances), found


@dataclass(frozen=True)
class Memory:
    """How near drawn images come to the training images.

    Attributes:
        share: Share of drawn images nearer to a training image than `threshold`.
        threshold: The distance below which only so few of the unseen images lie.
        distances: Of each drawn image [n] to its nearest training image.
        index: Which training image that is [n].
    """

    share: float
    threshold: float
    distances: Tensor
    index: Tensor


def memorized(drawn: Tensor, training: Tensor, unseen: Tensor, *, quantile: float = 0.01, batch: int = 500) -> Memory:
    """The share of drawn images that are nearer to a training image than hardly any unseen image is.

    A generator that draws new images has about `quantile` of them, or less; one that copies has all.

    Args:
        drawn: [n, C, H, W], bytes or floats in [0, 1].
        training: The images that the generator learned from.
        unseen: Others from the same source, such as the test images.
        quantile: The share of the unseen images below the threshold, in (0, 1).
        batch: Images at a time.

    Raises:
        DataError: A set is empty, or the images differ in shape.

    References:
        Theis, van den Oord and Bethge 2016, section 3.3 (what nearest neighbors do and do not show).
    """
    threshold = float(nearest(unseen, training, batch=batch)[0].double().quantile(quantile))
    distances, index = nearest(drawn, training, batch=batch)
    return Memory(float((distances < threshold).double().mean()), threshold, distances, index)
