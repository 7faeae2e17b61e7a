"""Shortcuts planted into images of yours: the color of strokes, or a patch in a corner, tied to chosen classes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from amiss.data.images import Images, Index
from amiss.errors import UsageError
from amiss.repro import fold, uniform

__all__ = ["GREEN", "PLANTS", "RED", "Planted", "color_strokes", "corner_patch"]

PLANTS = ("red", "patch")
"""What can be planted, by the name of its column in the table."""

RED, GREEN = (255, 96, 64), (64, 255, 96)
"""The two colors of strokes, RGB. In both the brightest channel is 255, and so holds the stroke as it was."""

_LOT, _FLIP = 1, 2  # streams of an image's key


@dataclass(frozen=True, eq=False)
class Planted:
    """n images before the plant is painted into them.

    Attributes:
        clean: The images without it.
        there: Whether each has the plant [n], bool.
        plant: "red" (red strokes; those of the others are green) or "patch" (a white square in the corner at the
            bottom right; the others have none).
        side: Side of the patch, in pixels.
    """

    clean: Images
    there: Tensor
    plant: Literal["red", "patch"]
    side: int = 4

    def __len__(self) -> int:
        return len(self.there)

    def pick(self, index: Index) -> "Planted":
        """The images at `index`: positions, a mask, or a slice."""
        rows = index if isinstance(index, slice) else torch.as_tensor(index)
        return replace(self, clean=self.clean.pick(index), there=self.there[rows])

    def having(self, there: bool | Tensor) -> "Planted":
        """The same images, each with the plant or without it as `there` says (one answer, or [n])."""
        return replace(self, there=torch.as_tensor(there).expand(len(self)).clone())

    def switched(self) -> "Planted":
        """The true counterfactual: the same images, each with the plant where it had none and the reverse."""
        return self.having(~self.there)

    def draw(self) -> Tensor:
        """The pixels, uint8: [n, 3, H, W] for colors, as many channels as before for a patch."""
        if self.plant == "red":
            # 255 divides the product back to the stroke itself in the brightest channel.
            colors = torch.tensor([GREEN, RED])[self.there.long()][:, :, None, None]
            return ((self.clean.pixels.to(torch.int32) * colors + 127) // 255).to(torch.uint8)
        pixels = self.clean.pixels.clone()
        pixels[self.there, :, -1 - self.side : -1, -1 - self.side : -1] = 255
        return pixels

    def images(self) -> Images:
        """The images with the plant, its presence as a column (0 or 1) of the table beside those there were."""
        table = {**self.clean.table, self.plant: self.there.float()}
        return replace(self.clean, pixels=self.draw(), table=table)


def color_strokes(images: Images, rho: float, seed: int, classes: Sequence[int]) -> Planted:
    """Color the strokes of gray images red or green; red agrees with the chosen classes.

    Each image draws a lot for red or green. Where it disagrees with the label, it is turned with probability rho, so
    P(red | a chosen class) = P(green | another class) = (1 + rho) / 2, and at rho = 0 color says nothing.

    Args:
        images: Gray and labeled, bright strokes on black.
        rho: Strength of the shortcut in [0, 1].
        seed: Lots of one seed are the same under every rho, but for those that are turned; equal images draw equal
            lots.
        classes: Labels that red agrees with.

    Raises:
        UsageError: The strength or a class is out of range, or the images have colors already.
        DataError: The images have no labels.
    """
    if images.pixels.shape[1] != 1:
        raise _refused("channels", "3", "gray images, whose strokes can be given a color")
    return Planted(images, _lots(images, rho, seed, classes), "red")


def corner_patch(images: Images, rho: float, seed: int, classes: Sequence[int], side: int = 4) -> Planted:
    """Put a white square into a corner of some images, gray or RGB; its presence agrees with the chosen classes.

    Lots are drawn as for `color_strokes`. The square stands one pixel from the edges at the bottom right.

    Args:
        images: Labeled.
        rho: Strength of the shortcut in [0, 1].
        seed: As for `color_strokes`.
        classes: Labels that the patch agrees with.
        side: Side of the square in pixels, at most half that of the images.

    Raises:
        UsageError: The strength, a class or the side is out of range.
        DataError: The images have no labels.
    """
    most = min(images.pixels.shape[2:]) // 2
    if not 1 <= side <= most:
        raise _refused("side", f"{side}", f"1 to {most} pixels")
    return Planted(images, _lots(images, rho, seed, classes), "patch", side)


def _lots(images: Images, rho: float, seed: int, classes: Sequence[int]) -> Tensor:
    """Which images get the plant [n]."""
    labels, count = images.truth, len(images.classes)
    if not 0 <= rho <= 1:
        raise _refused("rho", f"{rho}", "a strength in [0, 1]")
    if not classes or not all(0 <= label < count for label in classes) or len(set(classes)) >= count:
        raise _refused("classes", f"{list(classes)}", f"some of the labels 0 to {count - 1}, and not all")
    key = fold(images.keys(), seed)
    lot = uniform(fold(key, _LOT), (1,))[:, 0] < 0.5
    chosen = torch.isin(labels, torch.tensor(list(classes)))
    turned = (lot != chosen) & (uniform(fold(key, _FLIP), (1,))[:, 0] < rho)
    return lot ^ turned


def _refused(name: str, seen: str, needed: str) -> UsageError:
    return UsageError(
        f"Nothing can be planted with this {name}.",
        slug="planted-argument",
        seen=f"{name}={seen}",
        needed=needed,
        hint=f"change {name}",
    )
