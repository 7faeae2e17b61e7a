"""Pictures of what a model makes: samples, reconstructions, and sheets that hold many images."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.data.files import to_bytes
from amiss.models import Density, Implicit, TokenDensity
from amiss.repro import generator

__all__ = ["Condition", "condition_of", "magnified", "pictures_of", "reconstructions", "samples", "sheet", "shrunk"]

_DRAWS = 8  # stream of randomness


@dataclass(frozen=True)
class Condition:
    """What a model's images depend on.

    Attributes:
        kind: "class" (a number for each image), "image" (of low resolution) or "caption" (its tokens).
        size: How many classes, or the side of the low-resolution image; 0 for captions.
    """

    kind: Literal["class", "image", "caption"]
    size: int = 0


def condition_of(model: nn.Module) -> Condition | None:
    """What `sample(n, c)` of a model takes for `c`; None where it takes nothing."""
    holder: Any = getattr(model, "condition", model)
    if callable(getattr(model, "read", None)):
        return Condition("caption")
    if low := getattr(holder, "low", 0):
        return Condition("image", low)
    return Condition("class", holder.classes) if getattr(holder, "classes", 0) else None


def sheet(images: Tensor, columns: int | None = None, gap: int = 1) -> Tensor:
    """Many images as one, row by row, on white.

    Args:
        images: [N, C, H, W] in [0, 1].
        columns: Images a row; by default as many as rows, or one more.
        gap: White pixels between neighbors and around all.

    Returns:
        uint8 [C, rows * (H + gap) + gap, columns * (W + gap) + gap], ready for `amiss.data.write_png`.
    """
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    page = torch.full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), 255, dtype=torch.uint8)
    for i, image in enumerate(to_bytes(images).cpu()):
        top, left = (gap + i // columns * (height + gap), gap + i % columns * (width + gap))
        page[:, top : top + height, left : left + width] = image
    return page


def magnified(page: Tensor, side: int = 512) -> Tensor:
    """A sheet [C, H, W] whose pixels are repeated as often as its sides stay within `side`; a larger one as it is."""
    times = max(1, side // max(page.shape[1:]))
    return page.repeat_interleave(times, 1).repeat_interleave(times, 2)


def shrunk(images: Tensor, side: int) -> Tensor:
    """Images [N, C, H, W] as [N, C, side, side]: each value is the mean of the pixels that it stands for."""
    return F.adaptive_avg_pool2d(images, side)


@torch.no_grad()
def samples(model: nn.Module, n: int, images: Tensor | None = None, seed: int = 0) -> Tensor | None:
    """Draws [n, C, H, W] of a model, of its classes in turn; None where it draws nothing.

    Args:
        model: In eval mode.
        n: How many.
        images: Images [m, C, H, W] in [0, 1] whose low-resolution form a model may ask for.
        seed: Of the draws.
    """
    if isinstance(model, TokenDensity) or not isinstance(model, Density | Implicit):
        return None
    device = next(model.parameters()).device
    asked, c = condition_of(model), None
    if asked is not None and asked.kind == "class":
        c = (torch.arange(n) % asked.size).to(device)
    if asked is not None and asked.kind == "image":
        if images is None:
            return None
        c = shrunk(images, asked.size)[torch.arange(n) % len(images)].to(device)
    return model.sample(n, c, generator=generator(seed, _DRAWS))


@torch.no_grad()
def reconstructions(model: nn.Module, images: Tensor) -> Tensor | None:
    """Images [m, C, H, W] and behind them what a model makes of their codes: [2m, C, H, W]; None without codes."""
    encode, decode = getattr(model, "encode", None), getattr(model, "decode", None)
    if encode is None or decode is None or condition_of(model) is not None:
        return None
    x = images.to(next(model.parameters()).device)
    return torch.cat([x, decode(encode(x)).to(x)])


def pictures_of(model: nn.Module, images: Tensor | None, seed: int = 0, n: int = 16) -> dict[str, Tensor]:
    """What is worth seeing of a model: "samples" and "reconstructions", as far as it has them.

    Args:
        model: In eval mode.
        images: Images [m, C, H, W] in [0, 1] that it was not trained on, where there are any.
        seed: Of the draws.
        n: Images on a sheet.

    Returns:
        Sheets as bytes [C, H, W], by name. Reconstructions stand below their images.
    """
    drawn = samples(model, n, images, seed)
    pairs = None if images is None else reconstructions(model, images[: n // 2])
    found = {} if drawn is None else {"samples": sheet(drawn)}
    return found if pairs is None else {**found, "reconstructions": sheet(pairs, len(pairs) // 2)}
