"""FVBN: each pixel by a logistic regression on those before it."""

import torch
from torch import Tensor, nn

from amiss.models.masked import MaskedLinear, check_condition, check_dense, check_network, gray_likelihood
from amiss.models.pixel_density import PixelDensity

__all__ = ["FVBN"]


class FVBN(PixelDensity):
    """A fully visible belief network: one linear layer with a triangular mask.

    For black and white images it is a logistic regression for each pixel, and the log likelihood is a concave
    function of the weights: there is no local optimum to end in. The weights begin at 0.

    Args:
        channels: Channels of the images.
        size: Height and width in pixels.
        levels: Values that a channel of a pixel can have, 2 to 256.
        components: Logistic distributions in the likelihood's mixture; 0 gives each level a logit of its own.

    Raises:
        UsageError: Sizes that cannot mean anything, or more weights than there is sense in.

    References:
        Neal 1992, connectionist learning of belief networks, section 2; Frey, Hinton and Dayan 1996, does the
        wake-sleep algorithm produce good density estimators, section 3 (fully visible).
    """

    def __init__(self, channels: int = 1, size: int = 28, levels: int = 2, components: int = 0) -> None:
        check_network("FVBN", {"channels": channels, "size": size}, {"channels": 16, "size": 64})
        super().__init__(channels, size, gray_likelihood(levels, components))
        check_dense("FVBN", self.dimensions, self.dimensions * self.likelihood.outputs)
        order = torch.arange(self.dimensions, device="cpu")
        self.regressions = MaskedLinear(order, order.repeat(self.likelihood.outputs), strict=True)
        for p in self.parameters():
            nn.init.zeros_(p)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Parameters [N, outputs, D] of images `x` [N, C, H, W] in [0, 1]."""
        check_condition(c, c is None)
        rows: Tensor = self.regressions(self.flat(x))
        return rows.unflatten(1, (-1, self.dimensions))

    def init_cache(self, n: int, c: Tensor | None = None) -> "_Cache":
        """No value is known yet."""
        check_condition(c, c is None)
        return _Cache(self.regressions, n, self.likelihood.outputs)

    def step(self, previous: Tensor | None, t: int, cache: "_Cache") -> Tensor:
        """Parameters [n, outputs] of dimension `t`, after dimension t - 1 had the values `previous`."""
        if previous is not None:
            cache.seen[:, t - 1] = previous
        return torch.addmm(cache.bias[t], cache.seen[:, :t], cache.weight[t, :t])


class _Cache:
    """Values so far [n, D], and weights by dimension [D, D, outputs]."""

    def __init__(self, layer: MaskedLinear, n: int, outputs: int) -> None:
        self.weight = layer.masked.detach().unflatten(0, (outputs, -1)).permute(1, 2, 0).contiguous()
        self.bias = layer.bias.detach().unflatten(0, (outputs, -1)).T.contiguous()
        self.seen = self.weight.new_zeros(n, len(self.bias))
