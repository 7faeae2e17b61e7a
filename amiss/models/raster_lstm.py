"""Raster LSTM: one LSTM over all pixels in reading order, which at each looks at a patch of earlier ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.models.masked import CausalConv, ConvCache, check_kernel, check_network
from amiss.models.pixel_network import PixelNetwork
from amiss.models.recurrence import places, recurrent_weight

__all__ = ["RasterLSTM"]


class RasterLSTM(PixelNetwork):
    """Features of a causal patch, and an LSTM that reads them pixel by pixel and is added to them.

    The patch tells the neighborhood of a pixel; the LSTM carries what lies further back. It also reads the pixel just
    before in reading order, which at the beginning of a row lies outside the patch.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        width: Features of a patch.
        state: Units of the LSTM.
        layers: LSTMs, one on top of the other.
        first: Width of the patch, odd.
        hidden: Units of the last hidden layer, for each channel.
        classes: Classes that images depend on; 0: on none.
        low: Side of the low-resolution image that images depend on; 0: on none.

    Raises:
        UsageError: Sizes that cannot mean anything.

    References:
        Theis and Bethge 2015, generative image modeling using spatial LSTMs (recurrence over causal neighborhoods,
        there in two dimensions); Hochreiter and Schmidhuber 1997.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        levels: int = 2,
        components: int = 0,
        width: int = 32,
        state: int = 64,
        layers: int = 1,
        first: int = 7,
        hidden: int = 32,
        classes: int = 0,
        low: int = 0,
    ) -> None:
        sizes = {"width": width, "state": state, "layers": layers}
        check_network("RasterLSTM", sizes, {"width": 1024, "state": 1024, "layers": 64})
        check_kernel("RasterLSTM", first)
        super().__init__(channels, size, levels, components, width, hidden, classes, low)
        self.first = CausalConv(channels, width, first, rows=first // 2, own=first // 2)
        self.before = recurrent_weight(channels, width)
        self.lstm = nn.LSTM(width, state, layers)
        self.up = nn.Linear(state, width)

    def maps(self, x: Tensor, extra: Tensor) -> Tensor:
        """Features [N, width, H, W] of images `x` [N, C, H, W] in [-1, 1]."""
        maps = places(F.relu(self.first(x) + extra))
        before = F.pad(places(x).flatten(0, 1)[:-1], (0, 0, 0, 0, 1, 0))
        states, _ = self.lstm(maps.flatten(0, 1) + before @ self.before)
        grown: Tensor = maps + self.up(states).view_as(maps)
        return grown.permute(2, 3, 0, 1)

    def maps_cache(self, n: int) -> "_MapsCache":
        """The same, one pixel after the other."""
        return _MapsCache(self, n)


class _MapsCache:
    """The network, one pixel after the other: a state and a cell for each LSTM."""

    def __init__(self, network: RasterLSTM, n: int) -> None:
        self.first = ConvCache(network.first, n, network.size)
        self.before = network.before.detach()
        self.up, self.up_bias = network.up.weight.detach().T.contiguous(), network.up.bias.detach()
        zero = self.up.new_zeros(n, len(self.up))
        self.lstms = [[t.detach() for t in weights] for weights in network.lstm.all_weights]
        self.states = [(zero, zero) for _ in self.lstms]
        self.side = network.size

    def row(self, y: int, extra: Tensor) -> None:
        """What rows above give to row `y`."""
        self.first.row(y, extra)

    def at(self, y: int, x: int) -> Tensor:
        """Features [n, width] of the pixel (y, x), past the last nonlinearity."""
        maps = self.first.at(y, x).relu_()
        read = maps
        if y or x:
            read = torch.addmm(read, self.first.slot(*divmod(y * self.side + x - 1, self.side)), self.before)
        for i, weights in enumerate(self.lstms):
            self.states[i] = torch.lstm_cell(read, self.states[i], *weights)
            read = self.states[i][0]
        return torch.addmm(self.up_bias, read, self.up).add_(maps).relu_()
