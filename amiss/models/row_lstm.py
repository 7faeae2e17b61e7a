"""Row LSTM: one row after the other, all of its pixels at once, from a triangle of pixels above."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.models.masked import CausalConv, ConvCache, check_kernel, check_network
from amiss.models.pixel_network import PixelNetwork
from amiss.models.recurrence import gate_bias, lstm, places, recurrent_weight

__all__ = ["RowLSTM"]


class RowLSTM(PixelNetwork):
    """A causal convolution, then layers of LSTMs that run from the top row to the bottom.

    The gates of a pixel read the layer's input there and to the left (a masked convolution of width 3), and the
    states of three pixels of the row above (a convolution of width 3); its cell goes on from the pixel above. So the
    context widens by one pixel a row: a triangle, and beside it what the first convolution and the inputs see. Each
    layer is added to its input. All input gates are computed in one product before the rows are walked.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        width: Channels of the maps between layers.
        state: Units of each LSTM.
        layers: How many there are.
        first: Width of the first kernel, odd.
        hidden: Units of the last hidden layer, for each channel.
        classes: Classes that images depend on; 0: on none.
        low: Side of the low-resolution image that images depend on; 0: on none.

    Raises:
        UsageError: Sizes that cannot mean anything.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, pixel recurrent neural networks, sections 3.1, 3.3 and 3.4.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        levels: int = 2,
        components: int = 0,
        width: int = 32,
        state: int = 32,
        layers: int = 1,
        first: int = 7,
        hidden: int = 32,
        classes: int = 0,
        low: int = 0,
    ) -> None:
        sizes = {"width": width, "state": state, "layers": layers}
        check_network("RowLSTM", sizes, {"width": 1024, "state": 1024, "layers": 64})
        check_kernel("RowLSTM", first)
        super().__init__(channels, size, levels, components, width, hidden, classes, low)
        self.first = CausalConv(channels, width, first, rows=first // 2, own=first // 2)
        self.layers = nn.ModuleList(_Layer(width, state) for _ in range(layers))

    def maps(self, x: Tensor, extra: Tensor) -> Tensor:
        """Features [N, width, H, W] of images `x` [N, C, H, W] in [-1, 1]."""
        maps = places(self.first(x) + extra)
        for layer in self.layers:
            maps = layer(maps)
        return maps.permute(2, 3, 0, 1)

    def maps_cache(self, n: int) -> "_MapsCache":
        """The same, one pixel after the other."""
        return _MapsCache(self, n)


class _Layer(nn.Module):
    """A residual layer on places [H, W, N, F]."""

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.see, self.bias = recurrent_weight(2 * width, 4 * state), gate_bias(4 * state)
        self.carry = recurrent_weight(3 * state, 4 * state)
        self.up = nn.Linear(state, width)

    def forward(self, maps: Tensor) -> Tensor:
        height, side, n, _ = maps.shape
        left = F.pad(maps[:, :-1], (0, 0, 0, 0, 1, 0))
        seen = torch.cat([left, maps], -1).flatten(0, 2)
        rows = torch.addmm(self.bias, seen, self.see).view(height, side * n, -1).unbind()
        state, cell = lstm(rows[0], None)
        states = [state]
        for row in rows[1:]:
            state, cell = lstm(row + _above(state, n) @ self.carry, cell)
            states.append(state)
        return maps + self.up(torch.stack(states)).view_as(maps)


def _above(state: Tensor, n: int) -> Tensor:
    """States [W * n, H] of a row, those of each pixel beside its neighbors': [W * n, 3 H]."""
    wide = F.pad(state, (0, 0, n, n))
    return torch.cat([wide[: -2 * n], state, wide[2 * n :]], -1)


class _MapsCache:
    """The network, one pixel after the other; what the row above gives is one product a row and layer."""

    def __init__(self, network: RowLSTM, n: int) -> None:
        self.first = ConvCache(network.first, n, network.size)
        self.layers = [_LayerCache(layer, n, network.size) for layer in network.layers]  # type: ignore[arg-type]

    def row(self, y: int, extra: Tensor) -> None:
        """What rows above give to row `y`."""
        self.first.row(y, extra)
        for layer in self.layers:
            layer.row(y)

    def at(self, y: int, x: int) -> Tensor:
        """Features [n, width] of the pixel (y, x), past the last nonlinearity."""
        maps = self.first.at(y, x)
        for layer in self.layers:
            maps = layer.at(x, maps)
        return maps.relu_()


class _LayerCache:
    """States and cells of the row above, which the row in hand replaces pixel by pixel."""

    def __init__(self, layer: _Layer, n: int, side: int) -> None:
        self.see, self.bias, self.carry = layer.see.detach(), layer.bias.detach(), layer.carry.detach()
        self.up, self.up_bias = layer.up.weight.detach().T.contiguous(), layer.up.bias.detach()
        self.states = self.see.new_zeros(side, n, len(self.carry) // 3)
        self.cells, self.left = torch.zeros_like(self.states), self.see.new_zeros(n, len(self.up_bias))
        self.sums = self.see.new_zeros(side, n, len(self.bias))

    def row(self, y: int) -> None:
        self.left = torch.zeros_like(self.left)
        side, n, _ = self.states.shape
        carried = _above(self.states.flatten(0, 1), n) @ self.carry
        self.sums = (carried + self.bias).view(side, n, -1)

    def at(self, x: int, maps: Tensor) -> Tensor:
        gates = torch.addmm(self.sums[x], torch.cat([self.left, maps], 1), self.see)
        self.states[x], self.cells[x] = lstm(gates, self.cells[x])
        self.left = maps
        return torch.addmm(self.up_bias, self.states[x], self.up).add_(maps)
