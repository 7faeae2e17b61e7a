"""How a traffic sign by the road is painted: flat shapes through a homography, before a street that stays behind."""

from collections.abc import Sequence
from itertools import pairwise
from math import cos, pi, sin

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from amiss.repro import fold, normal, uniform

__all__ = ["KINDS", "SPAN", "outline", "paint_signs"]

Color = tuple[int, int, int]
Point = tuple[float, float]
Shape = tuple[list[Point], str]

KINDS = ("stop", "yield", "no entry", "limit 30", "limit 100", "priority", "crossing", "turn")
"""What a sign can be."""

SPAN = 0.6
"""How far a sign reaches from the middle of the picture, in half sides, where nobody moved it."""

_OVER = 4  # drawn so many times larger, then averaged down
_STREET, _PAINT, _GRAIN = 1, 2, 3  # streams of a sign's key
_NOISE = 0.012  # standard deviation of the pixel noise
_INKS = {
    "red": (186, 28, 36),
    "white": (240, 240, 236),
    "blue": (28, 78, 168),
    "yellow": (246, 196, 38),
    "black": (24, 24, 26),
}
_GLYPHS: dict[str, tuple[tuple[Point, ...], ...]] = {  # strokes in a box one wide and two high, from its middle
    "0": (((-0.5, -1), (0.5, -1), (0.5, 1), (-0.5, 1), (-0.5, -1)),),
    "1": (((-0.3, -0.6), (0.1, -1), (0.1, 1)),),
    "3": (((-0.5, -1), (0.5, -1), (0.5, 1), (-0.5, 1)), ((-0.2, 0), (0.5, 0))),
    "S": (((0.5, -1), (-0.5, -1), (-0.5, 0), (0.5, 0), (0.5, 1), (-0.5, 1)),),
    "T": (((-0.5, -1), (0.5, -1)), ((0, -1), (0, 1))),
    "O": (((-0.5, -1), (0.5, -1), (0.5, 1), (-0.5, 1), (-0.5, -1)),),
    "P": (((-0.5, 1), (-0.5, -1), (0.5, -1), (0.5, 0), (-0.5, 0)),),
}


def outline(kind: int) -> list[Point]:
    """The corners of a sign of that kind, in half sides from the middle of the picture."""
    return _shapes(KINDS[kind])[0][0]


def paint_signs(kinds: Sequence[int], looks: Tensor, poses: Tensor, size: int) -> Tensor:
    """Paint pictures, each a pure function of its kind, its key and its pose.

    Args:
        kinds: What each sign is, by its number in `KINDS`; -1 for a street without one.
        looks: Keys [n], int64: the street, the paint, the light and the noise follow from them alone.
        poses: Homographies [n, 3, 3] from places in half sides of the picture to such of the frame.
        size: Side of the pictures.

    Returns:
        Pixels [n, 3, size, size], uint8.
    """
    street = uniform(fold(looks, _STREET), (64,), torch.float64).tolist()
    paint = uniform(fold(looks, _PAINT), (8,), torch.float64)
    matrices = poses.double().numpy()
    drawn = [
        np.asarray(_paint(kind, lots, light, pose, size))
        for kind, lots, light, pose in zip(kinds, street, paint.tolist(), matrices, strict=True)
    ]
    clean = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255
    light = (0.8 + 0.3 * paint[:, 0]).float().reshape(-1, 1, 1, 1)
    grain = _NOISE * normal(fold(looks, _GRAIN), (3, size, size))
    return ((clean * light + grain).clamp(0, 1) * 255).round().to(torch.uint8)


def _paint(kind: int, street: list[float], paint: list[float], pose: np.ndarray, size: int) -> Image.Image:
    """One picture without light and noise, from back to front."""
    image = Image.new("RGB", (size * _OVER, size * _OVER))
    pen = ImageDraw.Draw(image)
    _street(pen, street, size * _OVER)
    if kind >= 0:
        fade = 0.35 * paint[1]  # paint pales with the years, all of it alike
        for points, ink in _shapes(KINDS[kind]):
            places = np.array([(x, y, 1.0) for x, y in points]) @ pose.T
            pixels = ((places[:, :2] / places[:, 2:]) + 1) * (size * _OVER / 2) - 0.5
            shade = _mix(_INKS[ink], (190, 186, 178), fade)
            pen.polygon([(float(x), float(y)) for x, y in pixels], fill=shade)
    return image.reduce(_OVER)


def _shapes(kind: str) -> list[Shape]:
    """The flat shapes of a sign, from back to front; the first is its outline."""
    r = SPAN
    if kind == "stop":
        eighth = pi / 8
        return [
            (_ring(r, 8, eighth), "white"),
            (_ring(0.93 * r, 8, eighth), "red"),
            *_text("STOP", 0.24 * r, 0.42 * r, 0.05 * r, "white"),
        ]
    if kind == "yield":
        return [(_ring(r, 3, pi / 2), "red"), (_ring(0.58 * r, 3, pi / 2), "white")]
    if kind == "no entry":
        return [(_ring(r), "white"), (_ring(0.94 * r), "red"), (_block(0, 0, 0.68 * r, 0.17 * r), "white")]
    if kind.startswith("limit"):
        digits = kind.removeprefix("limit ")
        step = (0.5 if len(digits) == 2 else 0.38) * r
        return [(_ring(r), "red"), (_ring(0.8 * r), "white"), *_text(digits, 0.36 * r, step, 0.06 * r, "black")]
    if kind == "priority":
        return [(_ring(r, 4, 0), "black"), (_ring(0.93 * r, 4, 0), "white"), (_ring(0.68 * r, 4, 0), "yellow")]
    if kind == "crossing":
        figure = [(0, -0.14), (0.2, 0.42), (0.08, 0.42), (0, 0.16), (-0.1, 0.42), (-0.22, 0.42), (-0.06, 0.02)]
        return [
            (_block(0, 0, 0.86 * r, 0.86 * r), "blue"),
            ([(0, -0.72 * r), (0.76 * r, 0.64 * r), (-0.76 * r, 0.64 * r)], "white"),
            (_ring(0.12 * r, 16, 0, (0, -0.14 * r)), "black"),
            ([(x * r, (y + 0.1) * r) for x, y in figure], "black"),
        ]
    arrow = [(-0.5, 0.6), (-0.5, -0.16), (0.1, -0.16), (0.1, -0.46), (0.68, 0.02), (0.1, 0.5), (0.1, 0.18),
             (-0.16, 0.18), (-0.16, 0.6)]  # fmt: skip
    return [(_ring(r), "white"), (_ring(0.94 * r), "blue"), ([(x * r, y * r) for x, y in arrow], "white")]


def _ring(radius: float, corners: int = 48, turn: float = 0.0, middle: Point = (0.0, 0.0)) -> list[Point]:
    """A regular polygon, the first corner at an angle from the right."""
    angles = [turn + 2 * pi * i / corners for i in range(corners)]
    return [(middle[0] + radius * cos(a), middle[1] + radius * sin(a)) for a in angles]


def _block(x: float, y: float, w: float, h: float) -> list[Point]:
    """An upright rectangle around (x, y), w and h from there to its edges."""
    return [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]


def _text(word: str, half: float, step: float, line: float, ink: str) -> list[Shape]:
    """Letters in a row around the middle: `half` high above it, a `step` from one to the next, of strokes."""
    shapes: list[Shape] = []
    for i, letter in enumerate(word):
        middle = (i - (len(word) - 1) / 2) * step
        for stroke in _GLYPHS[letter]:
            points = [(middle + x * (step - 2.6 * line), y * half) for x, y in stroke]
            for (a, b), (c, d) in pairwise(points):
                # A stroke is upright, level or slanting; it is widened along both axes, so that corners meet.
                if a == c or b == d:
                    low, high = (min(a, c) - line, min(b, d) - line), (max(a, c) + line, max(b, d) + line)
                    shapes.append(([low, (high[0], low[1]), high, (low[0], high[1])], ink))
                else:
                    shapes.append(([(a, b - line), (c, d - line), (c, d + line), (a, b + line)], ink))
    return shapes


def _street(pen: ImageDraw.ImageDraw, lots: list[float], side: int) -> None:
    """Sky, ground, houses, trees and things in bright colors, at random places."""
    draw = iter(lots)

    def some(low: float, high: float) -> float:
        return low + (high - low) * next(draw)

    horizon = some(0.35, 0.8) * side
    sky = _mix((110, 150, 205), (215, 218, 222), next(draw))
    ground = _mix(_mix((72, 100, 52), (150, 138, 110), next(draw)), (84, 84, 88), next(draw))
    pen.rectangle((0, 0, side, horizon), fill=sky)
    pen.rectangle((0, horizon, side, side), fill=ground)
    for _ in range(3):
        left, wide, high = some(-0.2, 0.9) * side, some(0.15, 0.5) * side, some(0.1, 0.6) * side
        wall = _mix(_mix((150, 96, 72), (214, 200, 178), next(draw)), (120, 124, 130), next(draw))
        pen.rectangle((left, horizon - high, left + wide, horizon), fill=wall)
        pane = _mix(wall, (30, 36, 48), 0.6)
        for column in range(3):
            x = left + wide * (0.15 + 0.28 * column)
            pen.rectangle((x, horizon - 0.8 * high, x + 0.14 * wide, horizon - 0.45 * high), fill=pane)
    for _ in range(3):
        x, y, r = some(-0.1, 1.1) * side, horizon - some(0, 0.25) * side, some(0.05, 0.2) * side
        pen.rectangle((x - 0.1 * r, y, x + 0.1 * r, horizon + 0.1 * side), fill=(74, 56, 42))
        pen.ellipse((x - r, y - 1.2 * r, x + r, y + r), fill=_mix((36, 74, 34), (124, 146, 64), next(draw)))
    for _ in range(4):  # what is round or square, bright, and no sign
        x, y, w, h = some(0, 1) * side, some(0.1, 1) * side, some(0.03, 0.14) * side, some(0.03, 0.12) * side
        color = (int(some(20, 245)), int(some(20, 245)), int(some(20, 245)))
        if next(draw) < 0.5:
            pen.ellipse((x - w, y - h, x + w, y + h), fill=color)
        else:
            pen.rectangle((x - w, y - h, x + w, y + h), fill=color)


def _mix(one: Color, other: Color, share: float) -> Color:
    """A color between two."""
    a, b, c = (round(p + (q - p) * share) for p, q in zip(one, other, strict=True))
    return a, b, c
