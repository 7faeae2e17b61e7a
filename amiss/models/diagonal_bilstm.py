"""Diagonal BiLSTM: two LSTMs along the diagonals, which together see every earlier pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.models.masked import CausalConv, ConvCache, check_kernel, check_network
from amiss.models.pixel_network import PixelNetwork
from amiss.models.recurrence import gate_bias, lstm, places, recurrent_weight

__all__ = ["DiagonalBiLSTM"]


class DiagonalBiLSTM(PixelNetwork):
    """A causal convolution, then layers of two LSTMs, from the upper left and from the upper right.

    The gates of a pixel read the layer's input there and two states: that of the neighbor in the row, from which the
    cell goes on, and that of the pixel above. All pixels of a diagonal are computed at once, so an image takes
    2 size - 1 updates. A pixel may know the LSTM from the left at its own place; of the one from the right, which has
    passed pixels yet to come in the row, only the state of the row above. That one may read the value of a pixel at
    its place, and does: without it the last pixel of the row above would be out of sight. Each layer is added to its
    input.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        width: Channels of the maps between layers.
        state: Units of each LSTM.
        layers: Pairs of LSTMs.
        first: Width of the first kernel, odd.
        hidden: Units of the last hidden layer, for each channel.
        classes: Classes that images depend on; 0: on none.
        low: Side of the low-resolution image that images depend on; 0: on none.

    Raises:
        UsageError: Sizes that cannot mean anything.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, pixel recurrent neural networks, sections 3.2 to 3.4.
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
        check_network("DiagonalBiLSTM", sizes, {"width": 1024, "state": 1024, "layers": 64})
        check_kernel("DiagonalBiLSTM", first)
        super().__init__(channels, size, levels, components, width, hidden, classes, low)
        self.first = CausalConv(channels, width, first, rows=first // 2, own=first // 2)
        self.layers = nn.ModuleList(_Layer(channels, width, state) for _ in range(layers))

    def maps(self, x: Tensor, extra: Tensor) -> Tensor:
        """Features [N, width, H, W] of images `x` [N, C, H, W] in [-1, 1]."""
        maps, pixels, order = places(self.first(x) + extra), places(x), _orders(self.size).to(x.device)
        for layer in self.layers:
            maps = layer(maps, pixels, order)
        return maps.permute(2, 3, 0, 1)

    def maps_cache(self, n: int) -> "_MapsCache":
        """The same, one pixel after the other."""
        return _MapsCache(self, n)


def _orders(size: int) -> Tensor:
    """Places of a square along its diagonals, from the upper left and from the upper right: [2, size^2]."""
    y, x = torch.arange(size).repeat_interleave(size), torch.arange(size).repeat(size)
    left = torch.argsort((y + x) * size + y)
    return torch.stack([left, y[left] * size + size - 1 - x[left]])


class _Layer(nn.Module):
    """A residual layer on places [H, W, N, F]; weights come in pairs, from the left and from the right."""

    def __init__(self, channels: int, width: int, state: int) -> None:
        super().__init__()
        self.own = recurrent_weight(channels, width)
        self.see, self.bias = recurrent_weight(2, width, 4 * state), gate_bias(2, 1, 4 * state)
        self.carry = recurrent_weight(2, 2 * state, 4 * state)
        self.up = nn.Linear(2 * state, width)

    def forward(self, maps: Tensor, pixels: Tensor, order: Tensor) -> Tensor:
        side, _, n, _ = maps.shape
        ways = maps.flatten(0, 1), (maps + pixels @ self.own).flatten(0, 1)
        seen = torch.stack([way.index_select(0, o) for way, o in zip(ways, order, strict=True)]).flatten(1, 2)
        lengths = [n * min(d + 1, 2 * side - 1 - d) for d in range(2 * side - 1)]
        first, *diagonals = torch.baddbmm(self.bias, seen, self.see).split(lengths, 1)
        state, cell = lstm(first, None)
        states = [state]
        for d, gates in enumerate(diagonals, 1):
            # Up to the middle a diagonal is longer by one than that before it, whose ends have neighbors outside.
            if d < side:
                state, cell = F.pad(state, (0, 0, n, n)), F.pad(cell, (0, 0, n, n))
            carried = torch.cat([state[:, n:], state[:, :-n]], -1)
            state, cell = lstm(torch.baddbmm(gates, carried, self.carry), cell[:, n:])
            states.append(state)
        left, right = torch.cat(states, 1).unflatten(1, (side**2, n))
        back = order.argsort(1)
        left, right = left.index_select(0, back[0]), right.index_select(0, back[1, :-side])
        right = F.pad(right, (0, 0, 0, 0, side, 0))  # one row lower, where all that it has seen is past
        return maps + self.up(torch.cat([left, right], -1)).view_as(maps)


class _MapsCache:
    """The network, one pixel after the other; the LSTMs from the right walk a row once all of it is known."""

    def __init__(self, network: DiagonalBiLSTM, n: int) -> None:
        self.first = ConvCache(network.first, n, network.size)
        self.layers = [_LayerCache(layer, n, network.size) for layer in network.layers]  # type: ignore[arg-type]

    def row(self, y: int, extra: Tensor) -> None:
        """What rows above give to row `y`."""
        self.first.row(y, extra)
        if y:
            pixels = torch.stack([self.first.slot(y - 1, x) for x in range(len(extra))])
            for layer in self.layers:
                layer.finish(pixels)

    def at(self, y: int, x: int) -> Tensor:
        """Features [n, width] of the pixel (y, x), past the last nonlinearity."""
        maps = self.first.at(y, x)
        for layer in self.layers:
            maps = layer.at(x, maps)
        return maps.relu_()


class _LayerCache:
    """Inputs of the row in hand, and the states of both LSTMs in the row above, where the left one's are replaced."""

    def __init__(self, layer: _Layer, n: int, side: int) -> None:
        self.see, self.bias, self.carry = layer.see.detach(), layer.bias.detach(), layer.carry.detach()
        self.own = layer.own.detach()
        self.up, self.up_bias = layer.up.weight.detach().T.contiguous(), layer.up.bias.detach()
        self.inputs = self.see.new_zeros(side, n, len(self.up_bias))
        self.left, self.right = self.see.new_zeros(2, side, n, self.carry.shape[1] // 2)
        self.zero = torch.zeros_like(self.left[0])
        self.state, self.cell = self.zero, self.zero

    def _update(self, way: int, maps: Tensor, state: Tensor, above: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        gates = torch.addmm(self.bias[way], maps, self.see[way])
        return lstm(torch.addmm(gates, torch.cat([state, above], 1), self.carry[way]), cell)

    def finish(self, pixels: Tensor) -> None:
        """Walk back along the row whose pixels [W, n, C] have just become known, and begin the next one."""
        inputs, state, cell = self.inputs + pixels @ self.own, self.zero, self.zero
        for x in reversed(range(len(inputs))):
            state, cell = self._update(1, inputs[x], state, self.right[x], cell)
            self.right[x] = state
        self.state, self.cell = self.zero, self.zero

    def at(self, x: int, maps: Tensor) -> Tensor:
        self.inputs[x] = maps
        self.state, self.cell = self._update(0, maps, self.state, self.left[x], self.cell)
        self.left[x] = self.state
        return torch.addmm(self.up_bias, torch.cat([self.state, self.right[x]], 1), self.up).add_(maps)
