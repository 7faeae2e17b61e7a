"""Gated PixelCNN: a stack over the rows above and one over the own row, so that no earlier pixel is missed."""

from typing import cast

import torch
from torch import Tensor, nn

from amiss.models.masked import CausalConv, ConvCache, check_kernel, check_network, dense
from amiss.models.pixel_network import PixelNetwork

__all__ = ["GatedPixelCNN"]


class GatedPixelCNN(PixelNetwork):
    """Two stacks of gated convolutions: a vertical one that sees all rows above, a horizontal one that is told by it.

    The vertical stack needs no mask within a row, for its first layer ends at the row above: its field is a full
    rectangle. The horizontal one looks to the left alone. Together they see every earlier pixel of the field, where
    `PixelCNN` has a blind spot. The condition, and a bias for each place, are added to the first maps of both.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        width: Channels of the maps of each stack.
        blocks: Gated layers.
        first: Width of the first kernel, odd.
        hidden: Units of the last hidden layer, for each channel.
        classes: Classes that images depend on; 0: on none.
        low: Side of the low-resolution image that images depend on; 0: on none.

    Raises:
        UsageError: Sizes that cannot mean anything.

    References:
        van den Oord et al. 2016, conditional image generation with PixelCNN decoders, equation 2 and figure 2.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        levels: int = 2,
        components: int = 0,
        width: int = 32,
        blocks: int = 5,
        first: int = 7,
        hidden: int = 64,
        classes: int = 0,
        low: int = 0,
    ) -> None:
        check_network("GatedPixelCNN", {"width": width, "blocks": blocks}, {"width": 1024, "blocks": 64})
        check_kernel("GatedPixelCNN", first)
        super().__init__(channels, size, levels, components, width, hidden, classes, low)
        self.above = CausalConv(channels, width, first, rows=first // 2, own=0)
        self.left = CausalConv(channels, width, first, rows=0, own=first // 2)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))

    def maps(self, x: Tensor, extra: Tensor) -> Tensor:
        """Features [N, width, H, W] of images `x` [N, C, H, W] in [-1, 1]."""
        above, left = self.above(x), self.left(x)
        extra = extra.to(above.dtype)  # under autocast the maps stay in reduced precision
        above, left = above + extra, left + extra
        for block in self.blocks:
            above, left = block(above, left)
        return left

    def maps_cache(self, n: int) -> "_MapsCache":
        """The same, one pixel after the other."""
        return _MapsCache(self, n)


def _gate(maps: Tensor) -> Tensor:
    """Half of the channels (dimension 1) through tanh, times the sigmoid of the other."""
    value, gate = maps.chunk(2, 1)
    return value.tanh() * gate.sigmoid()


class _Block(nn.Module):
    """One layer of both stacks; the horizontal one adds to what it reads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.vertical = CausalConv(width, 2 * width, 3, rows=1, own=3)
        self.across = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.horizontal = CausalConv(width, 2 * width, 3, rows=0, own=2)
        self.out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, above: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        vertical = self.vertical(above)
        horizontal = self.horizontal(left) + self.across(vertical)
        return _gate(vertical), left + self.out(_gate(horizontal))


class _BlockCache:
    """A layer of both stacks; weights are copied as they are now."""

    def __init__(self, block: _Block, n: int, side: int) -> None:
        self.vertical, self.horizontal = ConvCache(block.vertical, n, side), ConvCache(block.horizontal, n, side)
        self.across, self.out = dense(block.across)[0], dense(block.out)[0]


class _MapsCache:
    """The network, the vertical stack one row after the other, the horizontal one pixel after the other."""

    def __init__(self, network: GatedPixelCNN, n: int) -> None:
        side = network.size
        self.above = ConvCache(network.above, n, side)
        self.first = ConvCache(network.left, n, side)
        self.blocks = [_BlockCache(cast(_Block, block), n, side) for block in network.blocks]

    def row(self, y: int, extra: Tensor) -> None:
        """All of the vertical stack at row `y`, and what it tells the horizontal one."""
        if y:
            self.above.seen[:, y - 1 + self.above.rows] = self.first.seen[:, y - 1]
        above = self.above.row(y, extra)
        self.first.row(y, extra)
        for block in self.blocks:
            block.vertical.put_row(y, above.permute(1, 2, 0))
            sums = block.vertical.row(y)
            block.horizontal.row(y, sums @ block.across)
            above = _gate(sums.flatten(0, 1)).unflatten(0, sums.shape[:2])

    def at(self, y: int, x: int) -> Tensor:
        """Features [n, width] of the pixel (y, x), past the last nonlinearity."""
        left = self.first.at(y, x)
        for block in self.blocks:
            block.horizontal.slot(y, x).copy_(left)
            left = torch.addmm(left, _gate(block.horizontal.at(y, x)), block.out)
        return left.relu_()
