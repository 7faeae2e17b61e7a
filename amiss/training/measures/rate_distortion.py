"""What a codec keeps for how many bits: points, curves, a table and a drawing of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models import ImageCodec
from amiss.training.batches import as_pixels

__all__ = ["Curve", "RatePoint", "curve_at", "measure_rates", "rate_svg", "rate_table"]

_COLORS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#4a5568")


@dataclass(frozen=True, order=True)
class RatePoint:
    """One setting of a codec.

    Attributes:
        bits_per_pixel: Bits a place of the image, all of its channels together.
        psnr: Peak signal-to-noise ratio of the mean squared error of all images, in decibels.
    """

    bits_per_pixel: float
    psnr: float


Curve = Sequence[RatePoint]
"""Settings of one codec."""


@torch.no_grad()
def measure_rates(model: ImageCodec, images: Tensor) -> list[RatePoint]:
    """A point for each rate of a codec, by its own likelihood; files take a little more.

    Args:
        model: The codec, in eval mode.
        images: [n, C, H, W], uint8.
    """
    pixels = images[:, 0].numel()
    points = []
    for rate in range(model.rates):
        nats = error = 0.0
        for part in torch.split(images, 250):
            x = as_pixels(part)
            code = model.quantize(x, rate)
            nats += float(model.nats(code, rate).double().sum())
            error += float((model.reconstruct(code, rate) - x).double().square().sum())
        points.append(RatePoint(nats / math.log(2) / pixels, -10 * math.log10(error / images.numel())))
    return points


def curve_at(curve: Curve, bits_per_pixel: float) -> float:
    """The ratio that a curve has at so many bits a pixel, on the line between its two neighbors.

    Before its first point a curve has minus infinity, as it has no such setting; behind its last one what that has.

    Raises:
        UsageError: The curve has no points.
    """
    if not curve:
        raise UsageError(
            "A curve of rate and distortion needs points.",
            slug="rate-curve",
            seen="none",
            needed="one or more",
            hint="Measure the codec at some setting first.",
        )
    points = sorted(curve)
    if bits_per_pixel < points[0].bits_per_pixel:
        return -math.inf
    for one, two in pairwise(points):
        if one.bits_per_pixel <= bits_per_pixel < two.bits_per_pixel:
            share = (bits_per_pixel - one.bits_per_pixel) / (two.bits_per_pixel - one.bits_per_pixel)
            return one.psnr + share * (two.psnr - one.psnr)
    return points[-1].psnr


def rate_table(own: Curve, others: Mapping[str, Sequence[Curve]]) -> str:
    """A table in Markdown: each point of a codec, and by how much it is above others at the same bits.

    Args:
        own: The codec.
        others: Curves of each other codec, of which the best at the point counts.
    """
    names = list(others)
    lines = [
        f"| bits a pixel | PSNR | {' | '.join(f'above {name}' for name in names)} |",
        "|" + "---|" * (2 + len(names)),
    ]
    for point in sorted(own):
        gains = (point.psnr - max(curve_at(curve, point.bits_per_pixel) for curve in others[name]) for name in names)
        cells = [f"{point.bits_per_pixel:.3f}", f"{point.psnr:.2f} dB", *(f"{gain:+.2f} dB" for gain in gains)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def rate_svg(curves: Mapping[str, Curve]) -> str:
    """Draw the ratio of some codecs over the bits that they take.

    Args:
        curves: By name, each of one point or more.
    """
    points = [point for curve in curves.values() for point in curve]
    right = max(p.bits_per_pixel for p in points)
    low, high = math.floor(min(p.psnr for p in points)), math.ceil(max(p.psnr for p in points))

    def place(p: RatePoint) -> str:
        return f"{50 + 560 * p.bits_per_pixel / right:.1f},{300 - 270 * (p.psnr - low) / (high - low or 1):.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 330" font-family="sans-serif" font-size="11">',
        '<rect width="640" height="330" fill="white"/>',
        '<path d="M50 30V300H610" fill="none" stroke="#888"/>',
        f'<text x="44" y="34" text-anchor="end">{high} dB</text>',
        f'<text x="44" y="303" text-anchor="end">{low} dB</text>',
        f'<text x="610" y="318" text-anchor="end">{right:.2f} bits a pixel</text>',
        '<text x="50" y="318">0</text>',
    ]
    for i, (name, curve) in enumerate(curves.items()):
        color = _COLORS[i % len(_COLORS)]
        places = [place(p) for p in sorted(curve)]
        parts.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        for spot in places:
            x, y = spot.split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{color}"/>')
        parts.append(f'<text x="480" y="{200 + 16 * i}" fill="{color}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])
