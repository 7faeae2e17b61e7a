"""Densities of images, pixel by pixel: the order of their dimensions, and which images they are densities of."""

import torch
from torch import Tensor

from amiss.errors import ContractError, UsageError
from amiss.models.autoregressive import Autoregressive
from amiss.models.likelihoods import Discrete

__all__ = ["PixelDensity"]

_LARGEST = 2**16  # dimensions: a file that claims more is refused before memory is asked for


class PixelDensity(Autoregressive):
    """An autoregressive density of images [N, C, H, W] in [0, 1].

    Dimensions are ordered row by row, then column by column, then channel by channel:
    t = (row * width + column) * channels + channel, D of them.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        likelihood: Reads the parameters of one dimension, `likelihood.outputs` numbers.

    Raises:
        UsageError: A size that no image has.
    """

    likelihood: Discrete

    def __init__(self, channels: int, size: int, likelihood: Discrete) -> None:
        super().__init__(likelihood)
        if min(channels, size) < 1 or channels * size**2 > _LARGEST:
            raise UsageError(
                "No image has this size.",
                slug="density-size",
                seen=f"channels={channels}, size={size}",
                needed=f"positive numbers, and at most {_LARGEST} values in an image",
                hint="Pass, for instance, channels=1, size=28.",
            )
        self.channels, self.size = channels, size
        self.dimensions = channels * size**2

    def flat(self, x: Tensor) -> Tensor:
        """Images [N, C, H, W] as rows of dimensions [N, D], in their order."""
        return x.permute(0, 2, 3, 1).flatten(1)

    def shaped(self, rows: Tensor) -> Tensor:
        """Rows of dimensions [N, D] as images [N, C, H, W]."""
        return rows.unflatten(1, (self.size, self.size, self.channels)).permute(0, 3, 1, 2)

    def blank(self, n: int, given: Tensor | None) -> Tensor:
        """Black images [n, C, H, W]."""
        weight = next(self.parameters())
        return torch.zeros(n, self.channels, self.size, self.size, dtype=weight.dtype, device=weight.device)

    def check(self, x: Tensor) -> None:
        """Refuse other images than [N, C, H, W] whose values are the likelihood's levels.

        Raises:
            ContractError: The images have another shape, or values between the levels.
        """
        want = (self.channels, self.size, self.size)
        if x.ndim != 4 or tuple(x.shape[1:]) != want:
            raise ContractError(
                "The images do not fit this density.",
                slug="density-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]})",
                hint="Resize the images, or train a density for their size.",
            )
        levels = self.likelihood.levels
        steps = x.detach() * (levels - 1)
        if not bool(((steps - steps.round()).abs() < 1e-3).all()):
            raise ContractError(
                "The images hold values that this density gives no probability.",
                slug="density-levels",
                seen=f"values between the {levels} levels",
                needed=f"multiples of 1/{levels - 1} in [0, 1]",
                why="gray images were given to a density of black and white ones" if levels == 2 else "",
                hint="Binarize the images first." if levels == 2 else "Pass bytes divided by 255.",
            )
