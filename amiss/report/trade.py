"""The page of what being sure costs: confidence beside the size of the change, and the pictures."""

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from amiss.analysis.trade import TradeOff

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Curve", "trade_chart", "write_trade_off"]

_WIDE, _HIGH, _LEFT, _TOP, _GAP = 300, 240, 62, 26, 34  # pixels of a panel, and around it
_TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1rem; }
figure { margin: 1rem 0; overflow-x: auto; }
figcaption, small { display: block; font-size: 0.8rem; opacity: 0.8; }
table { border-collapse: collapse; }
th, td { padding: 0.15rem 1rem 0.15rem 0; text-align: right; }
.strip div { display: flex; gap: 0.5rem; }
.strip span { width: 128px; }
.strip img { display: block; image-rendering: pixelated; }
"""


@dataclass(frozen=True)
class Curve:
    """One trade-off as the page shows it.

    Attributes:
        name: Its heading.
        text: What was varied, and what came out.
        trade: The trade-off.
        told: Its settings in words, one each.
        samples: Names of the first samples, each of which is pictured.
    """

    name: str
    text: str
    trade: TradeOff
    told: Sequence[str]
    samples: Sequence[str] = ()


def write_trade_off(path: Path, title: str, sentence: str, curves: Sequence[Curve]) -> Path:
    """Write one HTML file that asks nothing of the network.

    Args:
        path: The file.
        title: Of the page.
        sentence: What came out, in one.
        curves: What is shown, in order.

    Returns:
        The path.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    hashed = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("trade.html").render(
        policy=policy,
        style=Markup(_STYLE),  # noqa: S704 - ours
        title=title,
        sentence=sentence,
        curves=[_shown(curve) for curve in curves],
    )
    path.write_text(html, encoding="utf-8", newline="\n")
    return path


def trade_chart(trade: TradeOff) -> "Markup":
    """Confidence over L2 and over L_inf as SVG: a thin line a sample from where it began, the medians as dots."""
    from markupsafe import Markup

    wide = 2 * (_LEFT + _WIDE + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {_TOP + _HIGH + 50}" width="{wide}" '
        f'height="{_TOP + _HIGH + 50}" font-family="sans-serif" font-size="12" role="img">',
        "<title>Confidence of the wanted class over the size of the change</title>",
    ]
    gray = trade.linf * 255
    for place, (size, name) in enumerate(((trade.l2, "L2"), (gray, "L_inf, gray levels"))):
        parts += _panel(trade, size, name, _LEFT + place * (_LEFT + _WIDE + _GAP))
    return Markup("\n".join([*parts, "</svg>"]))  # noqa: S704 - numbers and words of ours


def _panel(trade: TradeOff, size: Tensor, name: str, left: int) -> list[str]:
    """One panel: axes, a line a sample, the medians."""
    step = _round_step(float(size.max()))
    top = step * max(1, math.ceil(float(size.max()) / step - 1e-9))
    low, high = _height(_TICKS[0]), _height(_TICKS[-1])

    def at(x: float, confidence: float) -> tuple[float, float]:
        share = (min(max(_height(confidence), low), high) - low) / (high - low)
        return left + _WIDE * x / top, _TOP + _HIGH * (1 - share)

    parts = [
        f'<rect x="{left}" y="{_TOP}" width="{_WIDE}" height="{_HIGH}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.4"/>',
        _text(left + _WIDE / 2, _TOP + _HIGH + 40, "middle", name),
        _text(left, _TOP - 10, "start", "confidence"),
    ]
    for tick in _TICKS:
        y = at(0, tick)[1]
        parts.append(f'<path d="M{left} {y:.1f}h{_WIDE}" stroke="currentColor" stroke-opacity="0.12"/>')
        parts.append(_text(left - 6, y + 4, "end", f"{100 * tick:g} %"))
    for k in range(round(top / step) + 1):
        parts.append(_text(at(k * step, 0.5)[0], _TOP + _HIGH + 18, "middle", f"{k * step:g}"))
    for i in range(size.shape[1]):
        points = [at(0, float(trade.before[i]))]
        points += [at(float(size[k, i]), float(trade.confidence[k, i])) for k in range(len(trade.settings))]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="#64748b" stroke-opacity="0.45"/>')
    middles = zip(size.median(1).values.tolist(), trade.confidence.median(1).values.tolist(), strict=True)
    for x, y in (at(*middle) for middle in middles):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#c2410c"/>')
    return parts


def _height(confidence: float) -> float:
    """Log-odds, in which what is called 100 % is still told apart."""
    inside = min(max(confidence, 1e-12), 1 - 1e-12)
    return math.log(inside / (1 - inside))


def _round_step(most: float) -> float:
    """A distance of ticks of 1, 2 or 5 times a power of ten, about five of which reach `most`."""
    if not most > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if 5 * power * factor >= most * (1 - 1e-9))


def _text(x: float, y: float, anchor: str, words: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="currentColor">{words}</text>'


def _shown(curve: Curve) -> dict[str, Any]:
    """A curve as the template takes it: pictures as data."""
    trade = curve.trade
    medians = [
        {"told": told, "confidence": _percent(c), "l2": f"{l2:.2f}", "linf": f"{255 * linf:.0f}"}
        for told, (_, c, l2, linf) in zip(curve.told, trade.medians, strict=True)
    ]
    samples = [
        {
            "name": name,
            "source": _uri(trade.source[i]),
            "before": _percent(float(trade.before[i])),
            "made": [
                {
                    "picture": _uri(trade.images[k, i]),
                    "confidence": _percent(float(trade.confidence[k, i])),
                    "l2": f"{float(trade.l2[k, i]):.2f}",
                }
                for k in range(len(trade.settings))
            ],
        }
        for i, name in enumerate(curve.samples)
    ]
    text = {"name": curve.name, "text": curve.text, "n": trade.source.shape[0]}
    return {**text, "chart": trade_chart(trade), "medians": medians, "samples": samples}


def _percent(share: float) -> str:
    """A share in percent, never rounded up to a whole that it is not."""
    return f"{math.floor(share * 1e4 + 1e-6) / 100:g} %" if share >= 1e-4 else "under 0.01 %"


def _uri(picture: Tensor) -> str:
    """A picture [C, H, W], uint8, as a PNG in a data URI."""
    from amiss.report.sheet import png

    return "data:image/png;base64," + base64.b64encode(png(picture.float() / 255)).decode()
