"""A loss curve as a small drawing and as plain numbers, beside the model that it made."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

__all__ = ["curve_svg", "thinned", "write_curve"]

_COLORS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1")


def thinned(values: Sequence[float], points: int = 200) -> list[tuple[float, float]]:
    """Means of up to `points` equal stretches: (middle step, mean loss)."""
    count = min(points, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    pairs = pairwise(edges)
    return [((a + b + 1) / 2, math.fsum(values[a:b]) / (b - a)) for a, b in pairs]


Held = Mapping[str, Sequence[tuple[float, float]]]
"""For each player (step, loss) on rows held out."""


def curve_svg(losses: Mapping[str, Sequence[float]], *, held: Held | None = None, unit: str = "nats an image") -> str:
    """Draw the players' losses over the steps, on a logarithmic axis where all are positive.

    Args:
        losses: For each player one finite number a step.
        held: What the players lose on rows held out, drawn as dashes; what is not finite is left out.
        unit: What the axis says.
    """
    lines = {name: thinned(values) for name, values in losses.items() if values}
    dashes = {name: [(x, y) for x, y in (held or {}).get(name, ()) if math.isfinite(y)] for name in lines}
    flat = [y for line in (*lines.values(), *dashes.values()) for _, y in line]
    if not flat:
        return '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 240"/>'
    scale = math.log if min(flat) > 0 else float
    low, high = scale(min(flat)), scale(max(flat))
    last = max(len(values) for values in losses.values())

    def place(x: float, y: float) -> str:
        across = 60 + 560 * x / last
        return f"{across:.1f},{200 - 180 * ((scale(y) - low) / ((high - low) or 1)):.1f}"

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 240" font-family="sans-serif" font-size="11">',
        '<rect width="640" height="240" fill="white"/>',
        '<path d="M60 20V200H620" fill="none" stroke="#888"/>',
        f'<text x="54" y="24" text-anchor="end">{max(flat):.4g}</text>',
        f'<text x="54" y="203" text-anchor="end">{min(flat):.4g}</text>',
        f'<text x="620" y="218" text-anchor="end">step {last:.0f}</text>',
        f'<text x="60" y="14">{escape(unit)}</text>',
    ]
    for i, (name, line) in enumerate(lines.items()):
        color = _COLORS[i % len(_COLORS)]
        points = " ".join(place(x, y) for x, y in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        if dashes[name]:
            points = " ".join(place(x, y) for x, y in dashes[name])
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-dasharray="4 3"/>')
        parts.append(f'<text x="{60 + 140 * i}" y="234" fill="{color}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write_curve(
    path: Path | str, losses: Mapping[str, Sequence[float]], *, held: Held | None = None, unit: str = "nats an image"
) -> None:
    """Write `curve_svg` to a file."""
    Path(path).write_text(curve_svg(losses, held=held, unit=unit), encoding="utf-8")
