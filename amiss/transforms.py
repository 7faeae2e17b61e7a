"""Differentiable, seeded views of an image: what a camera may do to it.

A transform takes images [R, C, H, W] and keys [R]; its randomness is a function of the keys alone.
"""

from dataclasses import dataclass

from torch import Tensor

from amiss.repro import normal, uniform

__all__ = ["Light", "Noise"]


@dataclass(frozen=True)
class Light:
    """Brightness and contrast: x -> a x + b.

    Attributes:
        contrast: Lowest and highest factor a.
        brightness: Lowest and highest offset b.
    """

    contrast: tuple[float, float] = (0.7, 1.3)
    brightness: tuple[float, float] = (-0.1, 0.1)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """One factor and one offset an image."""
        a, b = uniform(key, (2, 1, 1, 1), x.dtype).unbind(1)
        low, high = self.contrast
        dark, bright = self.brightness
        return x * (low + (high - low) * a) + (dark + (bright - dark) * b)


@dataclass(frozen=True)
class Noise:
    """Sensor noise: independent normal numbers of standard deviation `sigma` on every value."""

    sigma: float = 0.02

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Noise of its own for every image."""
        return x + self.sigma * normal(key, tuple(x.shape[1:]), x.dtype)
