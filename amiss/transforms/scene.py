"""A flat thing in a scene: the view of the thing alone, before a background that stays behind."""

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.repro import digest, fold, uniform
from amiss.transforms.view import View, warp

__all__ = ["Scene"]

_BACKGROUND = 1  # stream of a row's key, besides that of the view


class Scene:
    """What is inside a mask, seen from somewhere before a background: a sign by the road, a sticker on a wall.

    Args:
        view: From where; its wall has no part in this.
        mask: Which pixels of the picture belong to the thing [H, W], bool.
        backgrounds: What it may stand before [n, C, H, W], in [0, 1] or bytes; each row draws one.

    Raises:
        UsageError: A mask without a pixel, or backgrounds that do not fit it.
    """

    def __init__(self, view: View, mask: Tensor, backgrounds: Tensor) -> None:
        whole = backgrounds.ndim == 4 and len(backgrounds) > 0 and backgrounds.shape[2:] == mask.shape
        if not whole or not bool(mask.any()):
            raise UsageError(
                "The scene's mask and backgrounds do not fit together.",
                slug="transform-scene",
                seen=f"mask {tuple(mask.shape)} of {int(mask.sum())} pixels, backgrounds {tuple(backgrounds.shape)}",
                needed="a mask [H, W] with a pixel at least, and backgrounds [n, C, H, W]",
                hint="Scene(View(tilt=(-45, 45)), mask, photographs)",
            )
        self.view, self.mask = view, mask.bool()
        self.backgrounds = backgrounds.float() / 255 if backgrounds.dtype == torch.uint8 else backgrounds

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """The thing cut out of images [R, C, H, W], each at its own pose before its own background."""
        return self.place(x, self.view.homography(key, x.dtype), self.behind(key, x))

    def behind(self, key: Tensor, like: Tensor) -> Tensor:
        """The background of each row [R, C, H, W]."""
        lot = uniform(fold(key, _BACKGROUND), (1,))[:, 0]
        chosen = (lot * len(self.backgrounds)).long().to(self.backgrounds.device)
        return self.backgrounds[chosen].to(like)

    def place(self, x: Tensor, matrix: Tensor, behind: Tensor) -> Tensor:
        """The thing at given poses before given backgrounds.

        Args:
            x: Images [R, C, H, W].
            matrix: Homographies [R, 3, 3] (see `homography`).
            behind: Backgrounds [R, C, H, W].
        """
        mask = self.mask.to(x).expand(len(x), 1, *self.mask.shape)
        taken = warp(torch.cat([x * mask, mask], 1), matrix, self.view.over)
        return taken[:, :-1] + (1 - taken[:, -1:]) * behind

    def __repr__(self) -> str:
        held = digest(self.mask, self.backgrounds)[:12]
        return (
            f"Scene({self.view!r}, mask of {int(self.mask.sum())} pixels, {len(self.backgrounds)} backgrounds {held})"
        )
