"""PixelCNN: each pixel from those above it and to its left, by masked convolutions."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.models.masked import CausalConv, ConvCache, check_kernel, check_network, dense
from amiss.models.pixel_network import PixelNetwork

__all__ = ["PixelCNN"]


class PixelCNN(PixelNetwork):
    """A wide first convolution that leaves its own pixel out (mask A), and residual blocks that do not (mask B).

    A block narrows to half of the maps, looks at the five nearest places, and widens again. Repeated, that look never
    reaches a wedge to the right of the pixel: the blind spot, which `amiss.training.measures.causality` shows and a
    gated network does not have. Each place of the first maps has a bias of its own.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        width: Channels inside a block; the maps have twice as many.
        blocks: Residual blocks.
        first: Width of the first kernel, odd.
        hidden: Units of the last hidden layer, for each channel.
        classes: Classes that images depend on; 0: on none.
        low: Side of the low-resolution image that images depend on; 0: on none.

    Raises:
        UsageError: Sizes that cannot mean anything.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, pixel recurrent neural networks, sections 3.4 and 3.5,
        table 1.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        levels: int = 2,
        components: int = 0,
        width: int = 32,
        blocks: int = 4,
        first: int = 7,
        hidden: int = 64,
        classes: int = 0,
        low: int = 0,
    ) -> None:
        check_network("PixelCNN", {"width": width, "blocks": blocks}, {"width": 1024, "blocks": 64})
        check_kernel("PixelCNN", first)
        super().__init__(channels, size, levels, components, 2 * width, hidden, classes, low)
        self.first = CausalConv(channels, 2 * width, first, rows=first // 2, own=first // 2)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))

    def maps(self, x: Tensor, extra: Tensor) -> Tensor:
        """Features [N, 2 width, H, W] of images `x` [N, C, H, W] in [-1, 1]."""
        maps: Tensor = self.first(x)
        maps = maps + extra.to(maps.dtype)  # under autocast the maps stay in reduced precision
        for block in self.blocks:
            maps = block(maps)
        return maps

    def maps_cache(self, n: int) -> "_MapsCache":
        """The same, one pixel after the other."""
        return _MapsCache(self, n)


class _Block(nn.Module):
    """maps + up(relu(look(relu(down(relu(maps))))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(2 * width, width, 1)
        self.look = CausalConv(width, width, 3, rows=1, own=2)
        self.up = nn.Conv2d(width, 2 * width, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.up(F.relu(self.look(F.relu(self.down(F.relu(maps))))))


class _BlockCache:
    """A block; weights are copied as they are now."""

    def __init__(self, block: _Block, n: int, side: int) -> None:
        self.look, (self.down, self.bias), self.up = (
            ConvCache(block.look, n, side),
            dense(block.down),
            dense(block.up)[0],
        )


class _MapsCache:
    """The network, one pixel after the other: two small products a block, and one more for what it looks at."""

    def __init__(self, network: PixelCNN, n: int) -> None:
        self.first = ConvCache(network.first, n, network.size)
        self.blocks = [_BlockCache(cast(_Block, block), n, network.size) for block in network.blocks]

    def row(self, y: int, extra: Tensor) -> None:
        """What rows above give to row `y`."""
        self.first.row(y, extra)
        for block in self.blocks:
            block.look.row(y)

    def at(self, y: int, x: int) -> Tensor:
        """Features [n, 2 width] of the pixel (y, x), past the last nonlinearity."""
        maps = self.first.at(y, x)
        for block in self.blocks:
            narrow = torch.addmm(block.bias, torch.relu(maps), block.down)
            torch.clamp_min(narrow, 0, out=block.look.slot(y, x))
            maps = torch.addmm(maps, block.look.at(y, x).relu_(), block.up)
        return maps.relu_()
