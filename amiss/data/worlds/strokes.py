"""How digits are written: strokes in a hand of their own, drawn four times too large and reduced."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from amiss.repro import fold, normal, uniform

__all__ = ["paint_scenes"]

Point = tuple[float, float]

_OVER = 4  # drawn so many times larger, then averaged down
_WOBBLE = 0.022  # how far the hand strays from a stroke's points, in heights of the digit
_HAND, _CHANCE = 1, 2  # streams of a digit's key
_MOST = 16  # points that one digit's strokes have at most
_HEIGHTS = (0.29, 0.43)  # of a small and a large digit, in sides of the picture

# The points of each digit's strokes, x from -0.3 to 0.3 and y from -0.5 (top) to 0.5. A round stroke is a curve
# through its points, an angular one goes straight from one to the next.
_STROKES: tuple[tuple[tuple[bool, tuple[Point, ...]], ...], ...] = (
    ((True, ((0, -0.5), (-0.27, -0.25), (-0.27, 0.25), (0, 0.5), (0.27, 0.25), (0.27, -0.25), (0, -0.5))),),
    ((False, ((-0.17, -0.3), (0.03, -0.5), (0.03, 0.5))),),
    (
        (True, ((-0.26, -0.27), (-0.12, -0.47), (0.14, -0.46), (0.25, -0.22), (0.08, 0.08), (-0.28, 0.5))),
        (False, ((-0.28, 0.5), (0.29, 0.5))),
    ),
    (
        (True, ((-0.25, -0.4), (0.02, -0.5), (0.24, -0.27), (-0.02, -0.03))),
        (True, ((-0.02, -0.03), (0.28, 0.2), (0.04, 0.5), (-0.27, 0.38))),
    ),
    ((False, ((0.06, -0.5), (-0.3, 0.16), (0.3, 0.16))), (False, ((0.14, -0.12), (0.14, 0.5)))),
    (
        (False, ((0.25, -0.5), (-0.2, -0.5), (-0.23, -0.06))),
        (True, ((-0.23, -0.06), (0.08, -0.13), (0.28, 0.15), (0.08, 0.48), (-0.25, 0.4))),
    ),
    ((True, ((0.2, -0.48), (-0.16, -0.22), (-0.25, 0.2), (0, 0.5), (0.25, 0.22), (0.02, -0.04), (-0.24, 0.18))),),
    ((False, ((-0.28, -0.5), (0.28, -0.5), (-0.06, 0.5))),),
    (
        (True, ((0, -0.02), (-0.21, -0.25), (0, -0.5), (0.21, -0.25), (0, -0.02))),
        (True, ((0, -0.02), (-0.27, 0.25), (0, 0.5), (0.27, 0.25), (0, -0.02))),
    ),
    (
        (True, ((0.23, -0.2), (0, 0.03), (-0.24, -0.22), (0, -0.5), (0.23, -0.2))),
        (True, ((0.23, -0.2), (0.22, 0.12), (0.04, 0.5))),
    ),
)

# Where digits stand, in sides of the picture: the five places of one, then the two of a pair.
_PLACES: tuple[tuple[Point, ...], ...] = (
    ((0.5, 0.5),),
    ((0.26, 0.5),),
    ((0.74, 0.5),),
    ((0.5, 0.25),),
    ((0.5, 0.75),),
    ((0.5, 0.255), (0.5, 0.745)),
    ((0.27, 0.5), (0.73, 0.5)),
)


def paint_scenes(labels: Tensor, looks: Tensor, size: int) -> Tensor:
    """Paint scenes, each a pure function of its labels and its key.

    Args:
        labels: [n, 5], int64: layout, first digit, whether it is large, second digit, whether it is large.
        looks: Keys [n], int64.
        size: Side of the images.

    Returns:
        Pixels [n, 1, size, size], uint8, white ink on black.
    """
    keys = fold(looks[:, None], torch.arange(2))
    chance = uniform(fold(keys, _CHANCE).flatten(), (8,), torch.float64).view(-1, 2, 8).tolist()
    stray = normal(fold(keys, _HAND).flatten(), (_MOST, 2), torch.float64).view(-1, 2, _MOST, 2).tolist()
    drawn = np.empty((len(labels), size, size), dtype=np.uint8)
    for i, (layout, *things) in enumerate(labels.tolist()):
        canvas = Image.new("L", (size * _OVER, size * _OVER))
        pen = ImageDraw.Draw(canvas)
        for j, place in enumerate(_PLACES[layout]):
            digit, large = things[2 * j : 2 * j + 2]
            _write(pen, digit, place, _HEIGHTS[large], chance[i][j], stray[i][j], size * _OVER)
        drawn[i] = np.asarray(canvas.reduce(_OVER))
    return torch.from_numpy(drawn)[:, None]


def _write(
    pen: ImageDraw.ImageDraw,
    digit: int,
    place: Point,
    height: float,
    chance: list[float],
    stray: list[list[float]],
    side: int,
) -> None:
    """One digit in a hand of its own: place, scale, width, slant and turn, the pen's width and its ink."""
    left, top, scale, broad, slant, turn, pressed, ink = chance
    height *= side * (0.94 + 0.12 * scale)
    broad, slant, turn = 0.9 + 0.25 * broad, 0.3 * (slant - 0.4), 0.24 * (turn - 0.5)
    x0, y0 = (side * (at + 0.04 * (lot - 0.5)) for at, lot in zip(place, (left, top), strict=True))
    cos, sin = math.cos(turn), math.sin(turn)
    width = max(1, round(side * (0.042 + 0.018 * pressed) * (1 if height > 0.39 * side else 0.8)))
    gray, done = round(200 + 55 * ink), 0
    for curved, points in _STROKES[digit]:
        moved = []
        for x, y in points:
            dx, dy = stray[done]
            done += 1
            x, y = (x + _WOBBLE * dx) * broad, y + _WOBBLE * dy
            x -= slant * y
            moved.append((x0 + height * (cos * x - sin * y), y0 + height * (sin * x + cos * y)))
        if points[0] == points[-1]:
            moved[-1] = moved[0]  # a closed stroke ends where it began
        path = _curve(moved) if curved else moved
        pen.line(path, fill=gray, width=width, joint="curve")
        for x, y in (path[0], path[-1]):
            pen.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=gray)


def _curve(points: list[Point], steps: int = 6) -> list[Point]:
    """A smooth path through points, closed where the last is the first (Catmull and Rom 1974)."""
    closed = points[0] == points[-1]
    around = [points[-2 if closed else 0], *points, points[1 if closed else -1]]
    path = []
    for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False):
        for k in range(steps):
            t = k / steps
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            path.append(
                (
                    sum(w * p[0] for w, p in zip(weights, (a, b, c, d), strict=True)) / 2,
                    sum(w * p[1] for w, p in zip(weights, (a, b, c, d), strict=True)) / 2,
                )
            )
    return [*path, points[-1]]
