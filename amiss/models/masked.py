"""Layers that look back only: masked dense layers, and convolutions over rows above and pixels to the left."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.likelihoods import Bernoulli, Categorical, Discrete, LogisticMixture

__all__ = [
    "CausalConv",
    "ConvCache",
    "MaskedLinear",
    "check_condition",
    "check_dense",
    "check_kernel",
    "check_network",
    "dense",
    "gray_likelihood",
]


def gray_likelihood(levels: int, components: int = 0) -> Discrete:
    """The likelihood of values of so many levels.

    Args:
        levels: 2 to 256.
        components: Logistic distributions in a mixture; 0 gives each level a logit of its own.
    """
    if levels == 2 and not components:
        return Bernoulli()
    return LogisticMixture(components, levels) if components else Categorical(levels)


def check_network(name: str, sizes: Mapping[str, int], most: Mapping[str, int]) -> None:
    """Refuse sizes of a network that cannot mean anything, or that no file of ours would ask for.

    Args:
        name: Of the network.
        sizes: Arguments by name.
        most: The largest value of each; the least is 1, and 0 where the name is not in `most`.

    Raises:
        UsageError: A size lies outside.
    """
    wrong = {
        key: n for key, n in sizes.items() if not isinstance(n, int) or not (key in most) <= n <= most.get(key, 4096)
    }
    if wrong:
        raise UsageError(
            f"No {name} has these sizes.",
            slug="network-size",
            seen=", ".join(f"{key}={n}" for key, n in wrong.items()),
            needed=", ".join(f"{int(key in most)} <= {key} <= {most.get(key, 4096)}" for key in wrong),
            hint=f"See help(amiss.models.{name}) for what each size means.",
        )


def check_kernel(name: str, size: int) -> None:
    """Refuse a kernel without a middle, or a wider one than any image needs.

    Raises:
        UsageError: `size` is even, or outside 3 to 63.
    """
    if size % 2 == 0 or not 3 <= size <= 63:
        raise UsageError(
            f"No {name} has such a kernel.",
            slug="network-kernel",
            seen=f"a width of {size}",
            needed="an odd width from 3 to 63",
            hint="Pass first=7.",
        )


def check_condition(c: Tensor | None, fits: bool, needed: str = "nothing, for the network is unconditional") -> None:
    """Refuse a condition that does not fit, or one that nothing depends on.

    Raises:
        ContractError: `fits` is false.
    """
    if not fits:
        raise ContractError(
            "The condition is not what this density depends on.",
            slug="density-condition",
            seen="nothing" if c is None else f"{str(c.dtype).removeprefix('torch.')} {tuple(c.shape)}",
            needed=needed,
            hint="Pass what it was trained with, or c=None to an unconditional density.",
        )


def check_dense(name: str, before: int, after: int) -> None:
    """Refuse a dense layer of more than 2^27 weights.

    Raises:
        UsageError: The layer is larger.
    """
    if before * after > 2**27:
        raise UsageError(
            f"This {name} would have too many weights.",
            slug="network-weights",
            seen=f"a layer of {before} x {after}",
            needed=f"at most {2**27} weights in a layer",
            why="a dense layer joins all dimensions, each with several outputs or a logit for each of 256 levels",
            hint="Take smaller images, or levels=2, or a PixelCNN, whose weights do not grow with the images.",
        )


class MaskedLinear(nn.Linear):
    """A dense layer whose units see those of lower, or of no higher, number.

    Args:
        before: Numbers of the inputs [I], int64.
        after: Numbers of the outputs [O], int64.
        strict: Whether an output sees lower numbers only, not its own.

    References:
        Germain, Gregor, Murray and Larochelle 2015, equations 8, 9 and 12.
    """

    before: Tensor
    after: Tensor

    def __init__(self, before: Tensor, after: Tensor, strict: bool) -> None:
        super().__init__(len(before), len(after))
        # Not in the file, which could lie; and the mask itself is made when it is needed, for it is large.
        self.register_buffer("before", before, persistent=False)
        self.register_buffer("after", after[:, None] - int(strict), persistent=False)

    @property
    def masked(self) -> Tensor:
        """The weights in effect [O, I]."""
        return self.weight * (self.after >= self.before)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [N, O] of inputs [N, I]."""
        return F.linear(x, self.masked, self.bias)


class CausalConv(nn.Module):
    """A convolution over rows above and over a part of its own row; rows below have no weights at all.

    Args:
        before: Channels it reads.
        after: Channels it gives.
        size: Width of the kernel, odd; its half is the reach r.
        rows: Rows above that it reads.
        own: How many places of its own row it reads, from the leftmost: 0 none, r those to the left (mask A),
            r + 1 the pixel itself too (mask B), `size` all (a vertical stack).

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, section 3.4 (masks A and B).
    """

    mask: Tensor

    def __init__(self, before: int, after: int, size: int, *, rows: int, own: int) -> None:
        super().__init__()
        self.before, self.size, self.rows, self.own = before, size, rows, own
        taps = rows * size + own
        mask = torch.ones(rows + 1, size, device="cpu")  # even where weights have no memory yet
        mask[-1, own:] = 0
        self.register_buffer("mask", mask, persistent=False)
        bound = (before * taps) ** -0.5
        self.weight = nn.Parameter(torch.empty(after, before, rows + 1, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(after))

    @property
    def masked(self) -> Tensor:
        """The weights in effect [after, before, rows + 1, size]."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, after, H, W] of maps [N, before, H, W]."""
        # The padding below only makes rows that are cut off again.
        grown = F.conv2d(x, self.masked, self.bias, padding=(self.rows, self.size // 2))
        return grown[:, :, : x.shape[2]]


class ConvCache:
    """A causal convolution, one output after the other: what lies above is summed once a row, for all of its places.

    Args:
        conv: The convolution; its weights are copied as they are now.
        n: Rows of the batch.
        side: Height and width of the maps.
    """

    def __init__(self, conv: CausalConv, n: int, side: int) -> None:
        weight = conv.masked.detach()
        self.rows, self.reach, self.before, self.own = conv.rows, conv.size // 2, conv.before, conv.own
        self.bias = conv.bias.detach()
        self.whole = conv.own == conv.size  # then an output needs its entire row, which `row` gives
        self.above = weight if self.whole else weight[:, :, : conv.rows]
        self.left = weight[:, :, -1, : conv.own].permute(2, 1, 0).flatten(0, 1).contiguous()
        self.seen = weight.new_zeros(n, side + conv.rows, side + 2 * self.reach, conv.before)
        self.lines = self.seen.flatten(2)
        self.sums = weight.new_zeros(side, n, len(self.bias))

    def put_row(self, y: int, maps: Tensor) -> None:
        """Write what is read at row `y`, [n, before, W]."""
        self.seen[:, y + self.rows, self.reach : self.seen.shape[2] - self.reach] = maps.transpose(1, 2)

    def slot(self, y: int, x: int) -> Tensor:
        """Where to write what is read at (y, x): a view [n, before]."""
        return self.seen[:, y + self.rows, x + self.reach]

    def row(self, y: int, extra: Tensor | None = None) -> Tensor:
        """Sums over the rows above `y`, of every place: [W, n, after]; `extra` of that shape is added to them."""
        if self.above.shape[2]:
            block = self.seen[:, y : y + self.above.shape[2]].permute(0, 3, 1, 2)
            self.sums = F.conv2d(block, self.above, self.bias)[:, :, 0].permute(2, 0, 1).contiguous()
        else:
            self.sums = self.bias.expand_as(self.sums).clone()
        if extra is not None:
            self.sums += extra
        return self.sums

    def at(self, y: int, x: int) -> Tensor:
        """The output at (y, x), [n, after], once `row(y)` was called and what it reads is written."""
        taps = self.lines[:, y + self.rows, x * self.before : (x + self.own) * self.before]
        return torch.addmm(self.sums[x], taps, self.left)


def dense(conv: nn.Module) -> tuple[Tensor, Tensor]:
    """A convolution of one place as a matrix: weights [before, after] and bias [after] or [0], copied."""
    assert isinstance(conv, nn.Conv2d)  # noqa: S101 - modules of a list lose their type
    weight = conv.weight.detach().flatten(1).T.contiguous()
    return weight, weight.new_zeros(0) if conv.bias is None else conv.bias.detach()
