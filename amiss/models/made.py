"""MADE: an autoencoder whose masks make each output a conditional of the chain rule."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.models.masked import MaskedLinear, check_condition, check_dense, check_network, gray_likelihood
from amiss.models.pixel_density import PixelDensity

__all__ = ["MADE"]


class MADE(PixelDensity):
    """A masked autoencoder for distribution estimation, in the order of the pixels.

    Hidden unit k of number m sees the first m dimensions alone, and dimension t is told by units of number t at most.
    Numbers are spread evenly over the units, so a step computes only those that it completes. Past the first layer a
    layer adds to what it reads; a linear way leads from the image to the output, as in `FVBN`.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.
        hidden: Units of a hidden layer.
        layers: Hidden layers.

    Raises:
        UsageError: Sizes that cannot mean anything, or more weights than there is sense in.

    References:
        Germain, Gregor, Murray and Larochelle 2015, equations 8 to 14 (masks, and connections past hidden layers);
        Nash and Durkan 2019, autoregressive energy machines, section 3 (residual layers).
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        levels: int = 2,
        components: int = 0,
        hidden: int = 1024,
        layers: int = 1,
    ) -> None:
        sizes = {"channels": channels, "size": size, "hidden": hidden, "layers": layers}
        check_network("MADE", sizes, {"channels": 16, "size": 64, "hidden": 2**14, "layers": 16})
        super().__init__(channels, size, gray_likelihood(levels, components))
        k, d = self.likelihood.outputs, self.dimensions
        check_dense("MADE", max(hidden, d), max(hidden, d * k))
        # An input's number counts it in; dimension t, of number t + 1, sees lower numbers.
        inputs = torch.arange(1, d + 1, device="cpu")
        self.numbers = 1 + torch.arange(hidden, device="cpu") * max(d - 1, 1) // hidden
        self.first = MaskedLinear(inputs, self.numbers, strict=False)
        self.layers = nn.ModuleList(MaskedLinear(self.numbers, self.numbers, strict=False) for _ in range(layers - 1))
        self.last = MaskedLinear(self.numbers, inputs.repeat(k), strict=True)
        self.past = MaskedLinear(inputs, inputs.repeat(k), strict=True)
        nn.init.zeros_(self.past.weight)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters [N, outputs, D] of images `x` [N, C, H, W] in [0, 1]."""
        check_condition(c, c is None)
        rows = self.flat(x)
        units: Tensor = self.first(rows)
        for layer in self.layers:
            units = units + layer(F.relu(units))
        out: Tensor = self.last(F.relu(units)) + self.past(rows)
        return out.unflatten(1, (-1, self.dimensions))

    def init_cache(self, n: int, c: Tensor | None = None) -> "_Cache":
        """No value is known, and no unit computed."""
        check_condition(c, c is None)
        return _Cache(self, n)

    def step(self, previous: Tensor | None, t: int, cache: "_Cache") -> Tensor:
        """Parameters [n, outputs] of dimension `t`, after dimension t - 1 had the values `previous`."""
        if previous is not None:
            cache.rows[:, t - 1] = previous
            cache.complete(t)
        there = cache.ends[t]
        told = torch.addmm(cache.bias[t], cache.units[-1, :, :there], cache.last[t, :there])
        return torch.addmm(told, cache.rows[:, :t], cache.past[t, :t])


class _Cache:
    """Values and rectified units so far; weights are copied as they are now."""

    def __init__(self, made: MADE, n: int) -> None:
        first, last, past = (layer.masked.detach() for layer in (made.first, made.last, made.past))
        outputs = made.likelihood.outputs
        self.first, self.first_bias = first.T.contiguous(), made.first.bias.detach()
        layers = [cast(MaskedLinear, layer) for layer in made.layers]
        self.layers = [(layer.masked.detach().T.contiguous(), layer.bias.detach()) for layer in layers]
        self.last, self.past = (w.unflatten(0, (outputs, -1)).permute(1, 2, 0).contiguous() for w in (last, past))
        self.bias = (made.last.bias + made.past.bias).detach().unflatten(0, (outputs, -1)).T.contiguous()
        # Units of number t and below, for each t: what dimension t is told by.
        self.ends = torch.searchsorted(made.numbers, torch.arange(made.dimensions), right=True).tolist()
        self.rows = first.new_zeros(n, made.dimensions)
        self.units = first.new_zeros(len(self.layers) + 1, n, len(first))

    def complete(self, t: int) -> None:
        """Compute the units that see the first `t` dimensions and no more."""
        new, there = slice(self.ends[t - 1], self.ends[t]), self.ends[t]
        if new.start == new.stop:
            return
        units = torch.addmm(self.first_bias[new], self.rows[:, :t], self.first[:t, new])
        torch.clamp_min(units, 0, out=self.units[0, :, new])
        for i, (weight, bias) in enumerate(self.layers):
            units = units + torch.addmm(bias[new], self.units[i, :, :there], weight[:there, new])
            torch.clamp_min(units, 0, out=self.units[i + 1, :, new])
