"""The planted shortcut: a patch that told the label as often as you say, and the rule that has learned so."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.repro import fold, normal, uniform
from amiss.testing.linear import LinearCodec

if TYPE_CHECKING:
    from amiss.data import Images

__all__ = ["PlantedWorld"]

_SIDE, _PATCH = 8, 2  # pixels along a side, of the image and of the patch in its corner
_SIGNAL, _NOISE = 0.1, 0.1  # length of the honest signal, and deviation of each pixel around it
_STEP = 12.5 / 255  # how far the patch is from the middle grey: 115 or 140, which a file holds exactly


@dataclass(frozen=True)
class PlantedWorld:
    """Two classes told apart by a faint pattern, and by a bright or dark patch in a corner that is no part of them.

    Where the rule learned, the patch agreed with the label in a share `rho` of the images; here it is drawn by
    itself, and agrees in half of them. The rule is not trained: it is the best there is for what it saw, the log-odds
    (2 a / s^2) u . (x - 1/2) + log(rho / (1 - rho)) patch, with the pattern u of length 1, its height a, the noise
    s, and the patch +1 or -1. With rho = 1/2 there is nothing to find.

    Attributes:
        rho: Share in which the patch agreed with the label, in (0, 1).
        n: Images.
        seed: Of the pattern, the labels, the patches and the noise.
    """

    rho: float = 0.9
    n: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rho < 1:
            raise UsageError(
                "A patch that always told the label would be worth endless log-odds.",
                slug="planted-share",
                seen=f"rho={self.rho}",
                needed="a share above 0 and below 1; 0.5 plants nothing",
                hint="PlantedWorld(rho=0.9)",
            )

    @property
    def strength(self) -> float:
        """What a bright patch is worth, in log-odds of class 1; a dark one is worth the opposite."""
        return math.log(self.rho / (1 - self.rho))

    @cached_property
    def patch(self) -> Tensor:
        """Where the patch is [1, 8, 8], boolean."""
        mask = torch.zeros(1, _SIDE, _SIDE, dtype=torch.bool)
        mask[:, -_PATCH:, -_PATCH:] = True
        return mask

    @cached_property
    def direction(self) -> Tensor:
        """The shortcut as a direction of length 1 in pixels [64]."""
        return self.patch.flatten().float() / _PATCH

    @cached_property
    def pattern(self) -> Tensor:
        """The honest signal as a direction of length 1 in pixels [64], 0 on the patch."""
        drawn = normal(fold(torch.tensor([self.seed]), 1), (_SIDE**2,))[0].masked_fill(self.patch.flatten(), 0)
        return drawn / drawn.norm()

    @cached_property
    def slope(self) -> Tensor:
        """Gradient of the log-odds of class 1 [64], the same at every image."""
        # A patch of +1 is a step along its direction of _STEP * _PATCH, for it has _PATCH^2 pixels.
        return 2 * _SIGNAL / _NOISE**2 * self.pattern + self.strength / (_STEP * _PATCH) * self.direction

    @property
    def share(self) -> float:
        """Share of the smallest change that flips an answer, by its square, that is along the shortcut, in [0, 1]."""
        return float((self.slope @ self.direction) ** 2 / self.slope.square().sum())

    @cached_property
    def images(self) -> "Images":
        """Labeled images; the table's "patch" says which patches are bright."""
        from amiss.data import Images

        key = torch.tensor([self.seed])
        label, bright = (uniform(fold(key, 2), (2, self.n))[0] < 0.5).unbind()
        sign = label.float()[:, None] * 2 - 1
        x = 0.5 + sign * _SIGNAL * self.pattern + _NOISE * normal(fold(key, 3), (self.n, _SIDE**2))[0]
        x = torch.where(self.patch.flatten(), 0.5 + _STEP * (bright.float()[:, None] * 2 - 1), x).clamp(0, 1)
        pixels = (x * 255).round().to(torch.uint8).reshape(-1, 1, _SIDE, _SIDE)
        return Images.of(pixels, label.long(), ("0", "1"), table={"patch": bright.long()})

    @cached_property
    def codec(self) -> LinearCodec:
        """A decoder along the shortcut (the first number of the code), the pattern, and two directions of noise."""
        others = normal(fold(torch.tensor([self.seed]), 4), (_SIDE**2, 2))[0]
        basis, upper = torch.linalg.qr(torch.cat([self.direction[:, None], self.pattern[:, None], others], 1))
        return LinearCodec(basis * upper.diagonal().sign(), (1, _SIDE, _SIDE))

    def classifier(self) -> Classifier:
        """The rule as a classifier of two logits (0, log-odds)."""
        return Classifier(_Rule(self.slope))

    def accuracy(self, agrees: bool) -> float:
        """Share of right answers to be expected where the patch agrees with the label, or where it does not."""
        mean = 2 * _SIGNAL**2 / _NOISE**2 + (self.strength if agrees else -self.strength)
        return 0.5 * (1 + math.erf(mean / (2 * _SIGNAL / _NOISE) / math.sqrt(2)))


class _Rule(nn.Module):
    """Log-odds slope . (x - 1/2)."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope.clone())

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - 0.5) @ self.slope
