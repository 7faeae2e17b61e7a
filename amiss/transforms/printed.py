"""Print-and-photograph: paper, a hand that holds it, a lens, a sensor and a file."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from amiss.repro import uniform
from amiss.transforms.jpeg import JPEG
from amiss.transforms.ranges import Range, check_range, within
from amiss.transforms.sensor import Blur, Light, Noise
from amiss.transforms.view import View

__all__ = ["PRINTED", "Print"]


@dataclass(frozen=True)
class Print:
    """Ink on paper: black is gray, white is not quite white, and each color's tones are bent a little.

    A channel x becomes black + (white - black) (x + bend x (1 - x)).

    Attributes:
        black: Lowest and highest value of full ink.
        white: Lowest and highest value of bare paper.
        bend: Lowest and highest bend of the tones, in [-1, 1]; above 0 the middle gets lighter.
    """

    black: Range = (0.0, 0.12)
    white: Range = (0.88, 1.0)
    bend: Range = (-0.25, 0.25)

    def __post_init__(self) -> None:
        check_range(self, "black", 0, 1)
        check_range(self, "white", self.black[1], 1)
        check_range(self, "bend", -1, 1)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """Three numbers a channel of every image."""
        shares = uniform(key, (3, x.shape[1], 1, 1), x.dtype).unbind(1)
        black, white, bend = (within(r, s) for r, s in zip((self.black, self.white, self.bend), shares, strict=True))
        return black + (white - black) * (x + bend * x * (1 - x))


PRINTED: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    Print(),
    View((0.8, 1.2), (-10, 10), (-20, 20), (-10, 10), (-0.05, 0.05), (0.2, 0.9)),
    Blur((0.0, 0.8)),
    Light((0.8, 1.2), (-0.1, 0.1)),
    Noise(0.02),
    JPEG((60, 95)),
)
"""A print held before a camera: at arm's length, nearly upright, nearly straight ahead."""
