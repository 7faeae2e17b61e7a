"""Which earlier pixels a density looks at, and whether it looks at later ones: read off its gradients."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models import PixelDensity
from amiss.repro import generator

__all__ = ["Causality", "causality"]


@dataclass(frozen=True)
class Causality:
    """What the parameters of some dimensions depend on.

    Attributes:
        at: The dimensions asked about.
        seen: Whether each depends on each dimension [len(at), D], bool.
        channels: Channels of the images.
        size: Their height and width.
    """

    at: tuple[int, ...]
    seen: Tensor
    channels: int
    size: int

    @property
    def later(self) -> int:
        """Dependences of a dimension on itself or a later one; a density has none."""
        return sum(int(row[t:].sum()) for t, row in zip(self.at, self.seen, strict=True))

    @property
    def reach(self) -> int:
        """How many rows or columns away the farthest dimension that is seen lies."""
        return int((self._distances * self.seen).max())

    @property
    def share(self) -> float:
        """Share of the earlier dimensions no farther away than `reach` that are seen, in [0, 1]."""
        dimensions = torch.arange(self.seen.shape[1])
        field = (self._distances <= self.reach) & (dimensions < torch.tensor(self.at)[:, None])
        return float((self.seen & field).sum() / field.sum().clamp_min(1))

    @property
    def picture(self) -> Tensor:
        """For each dimension asked about, which pixels it sees in any channel [len(at), H, W], bool."""
        return self.seen.unflatten(1, (self.size, self.size, self.channels)).any(3)

    @property
    def _distances(self) -> Tensor:
        """The larger of the distances in rows and in columns [len(at), D]."""
        pixels = torch.arange(self.seen.shape[1]) // self.channels
        own = torch.tensor(self.at)[:, None] // self.channels
        rows, columns = pixels // self.size - own // self.size, pixels % self.size - own % self.size
        return torch.maximum(rows.abs(), columns.abs())


def causality(
    model: PixelDensity, at: Sequence[int] | None = None, c: Tensor | None = None, *, draws: int = 8, seed: int = 0
) -> Causality:
    """Ask a density which dimensions the parameters of others depend on.

    A dependence is a gradient other than 0, in float64, at any of some random images: a unit that is off at one of
    them is likely on at another.

    Args:
        model: The density; it is not changed.
        at: Dimensions to ask about; by default those of the pixel in the middle.
        c: One condition [1, ...], for a conditional model.
        draws: Random images.
        seed: Of the images, and of the weights by which a dimension's parameters are summed.

    Raises:
        UsageError: A dimension that the images do not have.

    References:
        van den Oord et al. 2016, conditional image generation with PixelCNN decoders, figure 1 (the blind spot).
    """
    middle = (model.size // 2 * (model.size + 1)) * model.channels
    asked = tuple(range(middle, middle + model.channels)) if at is None else tuple(at)
    if not asked or min(asked) < 0 or max(asked) >= model.dimensions:
        raise UsageError(
            "The images do not have these dimensions.",
            slug="causality-dimensions",
            seen=f"{min(asked)} to {max(asked)}" if asked else "none",
            needed=f"0 to {model.dimensions - 1}",
            hint="Count them as (row * width + column) * channels + channel.",
        )
    model = copy.deepcopy(model).double()
    levels = model.likelihood.levels
    shape = (draws, model.channels, model.size, model.size)
    x = torch.randint(levels, shape, generator=generator(seed)) / max(levels - 1, 1)
    x = x.double().to(next(model.parameters()).device).requires_grad_()
    output = model(x, None if c is None else c.expand(draws, *c.shape[1:]))
    weights = torch.randn(output.shape[:2], generator=generator(seed, 1)).to(output)
    rows = []
    for t in asked:
        slope = torch.autograd.grad((output[:, :, t] * weights).sum(), x, retain_graph=True, allow_unused=True)[0]
        rows.append(torch.zeros(model.dimensions) if slope is None else model.flat(slope.abs()).sum(0).cpu())
    return Causality(asked, torch.stack(rows) > 0, model.channels, model.size)
