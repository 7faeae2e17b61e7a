"""How near images are to others: squared error, peak signal-to-noise ratio, and structural similarity."""

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.errors import UsageError

__all__ = ["mse", "psnr", "ssim"]

_RADIUS, _SIGMA = 5, 1.5  # of the window of structural similarity, in pixels
_C1, _C2 = 0.01**2, 0.03**2


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference of the numbers of two images [N, C, H, W]: [N], float64.

    Raises:
        UsageError: They are not of one shape.
    """
    _check(x, y)
    return (x.double() - y.double()).square().flatten(1).mean(1)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of images [N, C, H, W] in [0, 1]: [N], decibels; infinite for equal images.

    It is taken image by image. The mean of these is not the ratio of the mean squared error.

    Raises:
        UsageError: They are not of one shape.
    """
    return -10 * mse(x, y).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of images [N, C, H, W] in [0, 1]: [N], at most 1, which equal images have.

    Means, variances and covariances are taken in a normal window of 11 x 11 pixels, of deviation 1.5, wherever it
    fits into the image, and averaged over places and channels.

    Raises:
        UsageError: They are not of one shape, or smaller than the window.

    References:
        Wang et al. 2004, equations 13 to 17.
    """
    _check(x, y)
    side = 2 * _RADIUS + 1
    if min(x.shape[2:]) < side:
        raise _refusal(x, y, f"images of {side} x {side} pixels or more", "compare small images by psnr")
    x, y = x.double(), y.double()
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    light = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return (light * structure).flatten(1).mean(1)


def _blurred(x: Tensor) -> Tensor:
    """Images seen through the window, rows first and then columns, where it fits."""
    places = torch.arange(-_RADIUS, _RADIUS + 1, dtype=x.dtype, device=x.device)
    window = (-0.5 * (places / _SIGMA) ** 2).exp()
    window = (window / window.sum()).repeat(x.shape[1], 1, 1, 1)
    x = F.conv2d(x, window.transpose(2, 3), groups=x.shape[1])
    return F.conv2d(x, window, groups=x.shape[1])


def _check(x: Tensor, y: Tensor) -> None:
    if x.ndim != 4 or x.shape != y.shape:
        raise _refusal(x, y, "two sets of as many images, of one size", "bring both to one size")


def _refusal(x: Tensor, y: Tensor, needed: str, hint: str) -> UsageError:
    return UsageError(
        "These images cannot be compared.",
        slug="measure-shapes",
        seen=f"{tuple(x.shape)} and {tuple(y.shape)}",
        needed=needed,
        hint=hint,
    )
