"""From three numbers in [0, 1] that stand for hue, lightness and saturation to red, green and blue."""

import torch
from torch import Tensor

__all__ = ["BYTE_HUE", "rgb_of_hls"]

BYTE_HUE = 2 * 255 / 360
"""Turns of the hue where a byte of 0..255 is taken for a hue of 0..179: above 1 it starts again at red."""

_PEAKS = ((3.0, -1), (2.0, 1), (4.0, 1))
"""Sixths of the hue's turn about which red, green and blue are symmetric: red is least there, the others are full."""


def rgb_of_hls(hls: Tensor, turns: float = 1.0) -> Tensor:
    """Colors [..., 3, H, W] in [0, 1] of hue, lightness and saturation [..., 3, H, W] in [0, 1].

    It is differentiable but for corners, and at the hues where a turn begins.

    Args:
        hls: Hue (0 and 1 are red, 1/3 is green), lightness (0 black, 1 white), saturation (0 gray).
        turns: How many turns of the hue lie between 0 and 1.

    References:
        Joblove and Greenberg (1978), color spaces for computer graphics.
    """
    hue, lightness, saturation = hls.unbind(-3)
    if turns != 1:
        hue = (turns * hue) % 1
    sixth, width = 6 * hue, (2 * lightness - 1).abs_().sub_(1).mul_(saturation)
    # One channel at a time, and in place: what is at hand in the cache is not written out in between.
    channels = [
        torch.addcmul(lightness, (sixth - at).abs_().sub_(1.5).clamp_(-0.5, 0.5), width, value=sign)
        for at, sign in _PEAKS
    ]
    return torch.stack(channels, -3)
