"""What is drawn of movies and signals: areas under the curve over time before a marker, and signals with a burst."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

__all__ = ["marker_svg", "signals_svg"]

_COLORS = {"movie": "#2b6cb0", "frame": "#c05621", "known": "#888888"}
_NAMES = {
    "movie": "frames in their order, by a recurrent network",
    "frame": "each frame by itself",
    "known": "the most that shape and steps can tell",
}
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {h}" font-family="sans-serif" font-size="11">'
    '<rect width="640" height="{h}" fill="white"/>'
)


def marker_svg(curve: Sequence[Mapping[str, Any]]) -> str:
    """Draw areas under the curve over the frames that are left to the marker, with their intervals.

    Args:
        curve: Stretches of time, each with its edges `from` and `to`, an area for each of `movie`, `frame` and
            `known`, and their `intervals`; the stretch at the marker first.
    """
    far = max(row["to"] for row in curve)

    def place(row: Mapping[str, Any], value: float) -> tuple[float, float]:
        return 600 - 540 * (row["from"] + row["to"]) / 2 / far, 20 + 500 * (1 - value)

    parts = [_HEAD.format(h=310), '<path d="M60 20V270H600V20" fill="none" stroke="#888"/>']
    for value in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        parts.append(f'<text x="54" y="{24 + 500 * (1 - value):.0f}" text-anchor="end">{value:.1f}</text>')
    for row in curve:
        across = place(row, 0)[0]
        parts.append(f'<text x="{across:.0f}" y="284" text-anchor="middle">{row["from"]} to {row["to"]}</text>')
    parts.append('<text x="600" y="302" text-anchor="end">frames before the marker; it comes at the right</text>')
    for i, (name, color) in enumerate(_COLORS.items()):
        spots = [place(row, row[name]) for row in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        dashes = ' stroke-dasharray="4 3"' if name == "known" else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"{dashes}/>')
        for row, (x, y) in zip(curve, spots, strict=True):
            low, high = (place(row, max(0.5, end))[1] for end in row["intervals"][name])
            parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{color}"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>')
        parts.append(f'<text x="330" y="{220 + 16 * i}" fill="{color}">{_NAMES[name]}</text>')
    return "".join([*parts, "</svg>"]) + "\n"


def signals_svg(rows: Tensor, names: Sequence[str], middles: Sequence[float], seconds: float) -> str:
    """Draw signals [n, T], one below the other, with half a second around the middle of each burst in color.

    Args:
        rows: The signals.
        names: Of each.
        middles: Of each one's burst, seconds from its start.
        seconds: How long they are.
    """
    high = 80
    parts = [_HEAD.format(h=high * len(rows) + 20)]
    steps = 560 / (rows.shape[1] - 1)
    for i, row in enumerate(rows.tolist()):
        level = high * (i + 0.5)
        left, wide = 70 + 560 * (middles[i] - 0.25) / seconds, 560 * 0.5 / seconds
        parts.append(f'<rect x="{left:.1f}" y="{level - 36:.0f}" width="{wide:.1f}" height="72" fill="#fbd38d"/>')
        line = " ".join(f"{70 + steps * t:.1f},{level - 11 * value:.1f}" for t, value in enumerate(row))
        parts.append(f'<polyline points="{line}" fill="none" stroke="#2b6cb0"/>')
        parts.append(f'<text x="62" y="{level + 4:.0f}" text-anchor="end">{names[i]}</text>')
    parts.append(f'<text x="630" y="{high * len(rows) + 14}" text-anchor="end">{seconds:g} s</text>')
    return "".join([*parts, "</svg>"]) + "\n"
