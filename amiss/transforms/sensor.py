"""What light, lens and sensor do to an image: brightness and contrast, blur, noise."""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.repro import normal, uniform
from amiss.transforms.ranges import Range, check_range, within

__all__ = ["Blur", "Light", "Noise"]


@dataclass(frozen=True)
class Light:
    """Brightness and contrast: x -> a x + b.

    Attributes:
        contrast: Lowest and highest factor a.
        brightness: Lowest and highest offset b.
    """

    contrast: Range = (0.7, 1.3)
    brightness: Range = (-0.1, 0.1)

    def __post_init__(self) -> None:
        check_range(self, "contrast", 0)
        check_range(self, "brightness")

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """One factor and one offset an image."""
        a, b = uniform(key, (2, 1, 1, 1), x.dtype).unbind(1)
        return x * within(self.contrast, a) + within(self.brightness, b)


@dataclass(frozen=True)
class Noise:
    """Sensor noise: independent normal numbers of standard deviation `sigma` on every value."""

    sigma: float = 0.02

    def __post_init__(self) -> None:
        check_range(self, "sigma", 0)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Noise of its own for every image."""
        return x + self.sigma * normal(key, tuple(x.shape[1:]), x.dtype)


@dataclass(frozen=True)
class Blur:
    """A lens out of focus: a normal point spread, the border repeated.

    Attributes:
        sigma: Lowest and highest standard deviation, in pixels; 0 leaves the image as it is.
    """

    sigma: Range = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_range(self, "sigma", 0, 32)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """One width an image."""
        rows, channels, height, width = x.shape
        sigma = within(self.sigma, uniform(key, (1,), x.dtype))
        reach = max(1, ceil(3 * self.sigma[1]))
        place = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
        spread = torch.exp(-0.5 * (place / sigma.clamp_min(1e-3)).square())  # narrow enough, it is one point
        kernel = (spread / spread.sum(1, keepdim=True)).repeat_interleave(channels, 0)
        planes = x.reshape(1, rows * channels, height, width)
        # A kernel a plane, first along columns and then along rows: a normal spread is the product of two.
        for axis, padding in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
            weight = kernel.reshape(len(kernel), 1, *((-1, 1) if axis == 2 else (1, -1)))
            planes = F.conv2d(F.pad(planes, padding, mode="replicate"), weight, groups=len(kernel))
        return planes.reshape(x.shape)
