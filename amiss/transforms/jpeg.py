"""JPEG as a differentiable transform: the same cosines and tables, and a gradient that ignores the rounding."""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.repro import uniform
from amiss.transforms.ranges import Range, check_range, within

__all__ = ["JPEG"]

_BLOCK = 8
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))


@dataclass(frozen=True)
class JPEG:
    """Saved as JPEG and read again, at full resolution of color (4:4:4).

    Coefficients are rounded as a file rounds them; the gradient passes straight through the rounding. Values outside
    [0, 1] are clipped before and after, as no file holds them.

    Attributes:
        quality: Lowest and highest quality, 1 to 100, as libjpeg counts it.

    References:
        ITU-T T.81 (1992), annex A.3.3 (cosines) and annex K.1 (tables); Shin and Song (2017), JPEG-resistant
        adversarial images, section 3 (a differentiable stand-in).
    """

    quality: Range = (60.0, 95.0)

    def __post_init__(self) -> None:
        check_range(self, "quality", 1, 100)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """One quality an image; gray images [R, 1, H, W] have no color to lose."""
        rows, channels, height, width = x.shape
        quality = within(self.quality, uniform(key, (1,), x.dtype)).round()
        factor = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality).reshape(-1, 1, 1, 1)
        tables = torch.tensor([_LUMA, *[_CHROMA] * (channels - 1)], dtype=x.dtype, device=x.device)
        tables = ((tables * factor + 50) / 100).floor().clamp(1, 255)  # [R, C, 8, 8]
        padded = F.pad(255 * x.clamp(0, 1), (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
        turn = torch.tensor(_YCC if channels == 3 else ((1.0,),), dtype=x.dtype, device=x.device)
        planes = torch.einsum("dc,rchw->rdhw", turn, padded)
        planes = torch.cat([planes[:, :1] - 128, planes[:, 1:]], 1)
        high, wide = (side // _BLOCK for side in padded.shape[2:])
        blocks = planes.reshape(rows, channels, high, _BLOCK, wide, _BLOCK).transpose(3, 4)
        cosines = _cosines().to(x)
        table = tables[:, :, None, None]
        held = _rounded(cosines @ blocks @ cosines.mT / table) * table
        planes = (cosines.mT @ held @ cosines).transpose(3, 4).reshape(planes.shape)
        planes = torch.cat([planes[:, :1] + 128, planes[:, 1:]], 1)
        colors = torch.einsum("cd,rdhw->rchw", torch.linalg.inv(turn), planes)
        return (colors[:, :, :height, :width] / 255).clamp(0, 1)


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """The orthonormal cosine transform of 8 values [8, 8], float64."""
    rows = [
        [sqrt((1 if k == 0 else 2) / _BLOCK) * cos((2 * n + 1) * k * pi / (2 * _BLOCK)) for n in range(_BLOCK)]
        for k in range(_BLOCK)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _rounded(values: Tensor) -> Tensor:
    """Rounded, with the gradient of what was not rounded."""
    return values + (values.round() - values).detach()
