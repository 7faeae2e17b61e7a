"""How a face is painted: eleven numbers and a key to pixels, drawn four times too large and reduced."""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from amiss.repro import fold, uniform

__all__ = ["portraits"]

Color = tuple[int, int, int]
Point = tuple[float, float]

_OVER = 4  # drawn so many times larger, then averaged down
_CHUNK = 32  # faces that get light and noise at once: few enough to stay in the cache
_NOISE = 12.0  # half width of the pixel noise, in gray levels
_SHAPE, _GRAIN = 1, 2  # streams of a face's key

_SIDES = (-1, 1)
_DEPTHS = [i / 14 for i in range(15)]
_ARC = [i / 4 - 1 for i in range(9)]


class Traits(NamedTuple):
    """What is known of a face, each in [0, 1]."""

    hair: float
    glasses: float
    earrings: float
    mustache: float
    beard: float
    skin: float
    background: float
    smile: float
    face_width: float
    jaw: float
    brow: float


class Look(NamedTuple):
    """What varies from face to face and means nothing, each uniform in (0, 1)."""

    x: float
    y: float
    scale: float
    light: float
    slope: float
    locks: float
    gold: float
    red: float
    green: float
    blue: float


def portraits(attributes: Tensor, looks: Tensor, size: int) -> Tensor:
    """Paint faces, each a pure function of its attributes and its key.

    Args:
        attributes: [n, 11] in [0, 1], in the order of `Traits`.
        looks: Keys [n], int64.
        size: Side of the images.

    Returns:
        Pixels [n, 3, size, size], uint8.
    """
    shapes = uniform(fold(looks, _SHAPE), (len(Look._fields),))
    traits = [Traits(*row) for row in attributes.tolist()]
    chance = [Look(*row) for row in shapes.tolist()]
    light = 0.86 + 0.24 * shapes[:, Look._fields.index("light"), None]
    slope = 0.16 * (shapes[:, Look._fields.index("slope"), None] - 0.5)
    level = light + slope * torch.linspace(-1, 1, size)
    pixels = torch.empty((len(looks), 3, size, size), dtype=torch.uint8)
    for first in range(0, len(looks), _CHUNK):
        rows = slice(first, first + _CHUNK)
        faces = [np.asarray(_paint(t, c, size)) for t, c in zip(traits[rows], chance[rows], strict=True)]
        clean = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).to(torch.float32)
        lit = clean * level[rows, None, None, :] + _grain(looks[rows], size)
        pixels[rows] = lit.round().clamp(0, 255).to(torch.uint8)
    return pixels


def _grain(looks: Tensor, size: int) -> Tensor:
    """Triangular noise [n, 3, size, size] made of whole numbers, the same bits on every machine."""
    count = 6 * size * size
    words = fold(fold(looks, _GRAIN)[:, None], torch.arange(-(-count // 8)))
    grains = words.view(torch.uint8)[:, :count].reshape(-1, 2, 3, size, size).to(torch.float32)
    return (grains.sum(1) - 255) * (_NOISE / 255)


class _Easel:
    """A canvas on which places and lengths are in 48ths of the side, seen from the middle of the face."""

    def __init__(self, size: int, look: Look, wall: Color) -> None:
        unit = size * _OVER / 48
        self.zoom = unit * (0.95 + 0.08 * look.scale)
        self.left = unit * (24 + 3 * (look.x - 0.5))
        self.top = unit * (22.5 + 3 * (look.y - 0.5))
        self.image = Image.new("RGB", (size * _OVER, size * _OVER), wall)
        self.pen = ImageDraw.Draw(self.image)

    def _at(self, points: list[Point]) -> list[Point]:
        return [(self.left + self.zoom * x, self.top + self.zoom * y) for x, y in points]

    def oval(self, x: float, y: float, w: float, h: float, color: Color) -> None:
        """An ellipse around (x, y), w and h from there to its edge."""
        self.pen.ellipse(self._at([(x - w, y - h), (x + w, y + h)]), fill=color)

    def dome(self, x: float, y: float, w: float, h: float, color: Color) -> None:
        """The upper half of an oval."""
        self.pen.chord(self._at([(x - w, y - h), (x + w, y + h)]), 180, 360, fill=color)

    def ring(self, x: float, y: float, r: float, line: float, color: Color) -> None:
        """A circle of lines."""
        width = max(1, round(line * self.zoom))
        self.pen.ellipse(self._at([(x - r, y - r), (x + r, y + r)]), outline=color, width=width)

    def patch(self, points: list[Point], color: Color) -> None:
        """A polygon."""
        self.pen.polygon(self._at(points), fill=color)

    def block(self, x: float, top: float, bottom: float, w: float, round_by: float, color: Color) -> None:
        """A rounded rectangle around x."""
        corners = self._at([(x - w, top), (x + w, bottom)])
        self.pen.rounded_rectangle(corners, radius=round_by * self.zoom, fill=color)


def _paint(face: Traits, look: Look, size: int) -> Image.Image:
    """One face without light and noise, from back to front."""
    flesh = _mix((158, 104, 74), (244, 208, 180), face.skin)
    shadow = _mix(flesh, (70, 20, 20), 0.3)
    locks = _mix(_mix((34, 24, 20), (104, 62, 32), look.locks), (158, 124, 62), 0.6 * look.gold * look.locks)
    dark = _mix(locks, (14, 8, 8), 0.6)
    cloth = (int(40 + 170 * look.red), int(40 + 170 * look.green), int(40 + 170 * look.blue))
    wall = _mix((62, 84, 122), (226, 212, 180), face.background)
    width = 9.4 * (0.88 + 0.24 * face.face_width)
    outline = _outline(width, face.jaw)

    easel = _Easel(size, look, wall)
    easel.oval(0, 30, 19, 11.5, cloth)
    _hair_behind(easel, face.hair, width, locks)
    easel.patch([(-4.4, 8), (4.4, 8), (5, 20.5), (0, 22.5), (-5, 20.5)], shadow)
    for side in _SIDES:
        easel.oval(side * width, 1.2, 1.6, 2.6, shadow)
        if face.earrings > 0.5:
            easel.oval(side * (width + 0.5), 5.2, 1.5, 1.5, (250, 214, 60))
    easel.dome(0, 0.5, width, 13, flesh)
    easel.patch(outline, flesh)
    if face.beard > 0.5:
        easel.patch(_below(outline, 7.4), dark)
    _hair_above(easel, width, locks)
    _eyes(easel, face.brow, dark)
    if face.glasses > 0.5:
        for side in _SIDES:
            easel.ring(side * 4.2, 1, 3.1, 0.75, (24, 24, 30))
        easel.block(0, 0.4, 1.1, 1.2, 0, (24, 24, 30))
    easel.patch([(-0.2, 1.5), (1.5, 5.6), (-1.3, 5.6)], shadow)
    if face.mustache > 0.5:
        easel.patch([(0, 6.2), (3.4, 7), (4.2, 8.6), (0, 8), (-4.2, 8.6), (-3.4, 7)], dark)
    easel.patch(_mouth(face.smile), (168, 44, 52))
    return easel.image.reduce(_OVER)


def _outline(width: float, jaw: float) -> list[Point]:
    """The lower face: x = width (1 - t^p), from a pointed chin (p = 1.8) to a square jaw (p = 5.4)."""
    power = 1.8 * 3**jaw
    right = [(width * (1 - t**power), 0.5 + 13.5 * t) for t in _DEPTHS]
    return right + [(-x, y) for x, y in reversed(right)]


def _below(outline: list[Point], top: float) -> list[Point]:
    """The part of the lower face that lies below a height."""
    return [(x, y) for x, y in outline if y >= top]


def _hair_behind(easel: _Easel, length: float, width: float, color: Color) -> None:
    """Hair behind the head: it ends between temple and ear when short, and on the chest when long."""
    outer = width + 1.2 + 1.6 * length
    easel.oval(0, -3, outer, 11.5 + 1.5 * length, color)
    easel.block(0, -4, -1 + 23 * length, outer, 3, color)


def _hair_above(easel: _Easel, width: float, color: Color) -> None:
    """Hair on the forehead, the same at every length."""
    edge = [(x * (width + 0.6), -6.2 - 2.2 * (1 - x * x)) for x in _ARC]
    crown = [(x * (width + 0.6), -6.2 - 7.6 * (1 - x * x) ** 0.5) for x in reversed(_ARC)]
    easel.patch(edge + crown, color)


def _eyes(easel: _Easel, brow: float, dark: Color) -> None:
    """Eyes, and above them brows from thin and high to thick and low."""
    thick = 0.8 + 2 * brow
    high = -3.5 + 0.3 * brow
    for side in _SIDES:
        easel.oval(side * 4.2, 1, 2.2, 1.25, (246, 244, 240))
        easel.oval(side * 4.2, 1, 1.15, 1.25, (40, 34, 36))
        inner, outer = side * 1.6, side * 7
        arch = [(inner, high + 0.5), (side * 4.6, high - 0.4), (outer, high + 0.6)]
        easel.patch([*[(x, y - thick / 2) for x, y in arch], *[(x, y + thick / 2) for x, y in reversed(arch)]], dark)


def _mouth(smile: float) -> list[Point]:
    """Lips, from bent down and narrow to bent up and wide."""
    half, bend = 2.4 + 1.6 * smile, -1.1 + 3.2 * smile
    middle = [(half * x, 9.6 + bend * (0.5 - x * x)) for x in _ARC]
    upper = [(x, y - 0.75) for x, y in middle]
    lower = [(x, y + 0.75) for x, y in reversed(middle)]
    return upper + lower


def _mix(one: Color, other: Color, share: float) -> Color:
    """A color between two."""
    a, b, c = (round(p + (q - p) * share) for p, q in zip(one, other, strict=True))
    return a, b, c
