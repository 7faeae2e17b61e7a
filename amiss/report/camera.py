"""The page of an adversary before a camera: from where it holds, and photographs of a few."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from amiss.analysis.viewing import ViewMap

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["Example", "Shot", "Sight", "heat_map", "write_camera"]

_CELL, _LEFT, _TOP = 56, 64, 30  # pixels of a drawn map
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1rem; }
figure { margin: 1rem 0; overflow-x: auto; }
figcaption, small { display: block; font-size: 0.8rem; opacity: 0.8; }
.strip div { display: flex; gap: 0.5rem; }
.strip img { display: block; image-rendering: pixelated; border: 3px solid transparent; }
.met img { border-color: #c2410c; }
.lost img { border: 3px dashed #64748b; }
"""


@dataclass(frozen=True)
class Shot:
    """One photograph.

    Attributes:
        picture: What the camera took [C, H, W], in [0, 1].
        says: What the model says of it.
        met: Whether the adversary succeeds in it.
    """

    picture: Tensor
    says: str
    met: bool


@dataclass(frozen=True)
class Example:
    """One adversary and its photographs.

    Attributes:
        original: The picture as it was [C, H, W].
        picture: As it was changed.
        before: What the model says of the first.
        after: What it says of the second.
        shots: The photographs of the second.
    """

    original: Tensor
    picture: Tensor
    before: str
    after: str
    shots: Sequence[Shot]


@dataclass(frozen=True)
class Sight:
    """One kind of adversary: from where it holds, and examples.

    Attributes:
        name: Of the kind.
        text: What it is, and what came out.
        map: From where it holds.
        examples: A few of them.
    """

    name: str
    text: str
    map: ViewMap
    examples: Sequence[Example]


def write_camera(path: Path, title: str, sentence: str, sights: Sequence[Sight]) -> Path:
    """Write one HTML file that asks nothing of the network; photographs with a full frame are successes.

    Args:
        path: The file.
        title: Of the page.
        sentence: What came out, in one.
        sights: What is shown, in order.

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
    html = environment.get_template("camera.html").render(
        policy=policy,
        style=Markup(_STYLE),  # noqa: S704 - ours
        title=title,
        sentence=sentence,
        sights=[_told(sight) for sight in sights],
    )
    path.write_text(html, encoding="utf-8", newline="\n")
    return path


def heat_map(seen: ViewMap) -> "Markup":
    """A map as SVG: a row a distance, a column a viewing angle, the share as shade and as a number."""
    from markupsafe import Markup

    wide, high = _LEFT + _CELL * len(seen.tilts) + 8, _TOP + _CELL * len(seen.scales) + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>Share of successes by apparent size and viewing angle</title>",
        _text(_LEFT, 18, "start", "viewing angle"),
        _text(_LEFT - 8, _TOP - 4, "end", "size"),
    ]
    for row, scale in enumerate(seen.scales):
        y = _TOP + row * _CELL
        parts.append(_text(_LEFT - 8, y + _CELL / 2 + 5, "end", f"{scale:g}"))
        for column in range(len(seen.tilts)):
            x, share = _LEFT + column * _CELL, seen.share(row, column)
            shade = tuple(round(a + (b - a) * share) for a, b in zip((241, 245, 249), (194, 65, 12), strict=True))
            parts.append(f'<rect x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" fill="rgb{shade}"/>')
            ink = "#ffffff" if share > 0.6 else "#0f172a"
            parts.append(_text(x + _CELL / 2, y + _CELL / 2 + 5, "middle", f"{share:.2f}", ink))
    below = _TOP + _CELL * len(seen.scales) + 16
    parts += [
        _text(_LEFT + (column + 0.5) * _CELL, below, "middle", f"{tilt:g}°") for column, tilt in enumerate(seen.tilts)
    ]
    return Markup("\n".join([*parts, "</svg>"]))  # noqa: S704 - numbers and words of ours


def _text(x: float, y: float, anchor: str, words: str, ink: str = "currentColor") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{ink}">{words}</text>'


def _told(sight: Sight) -> dict[str, Any]:
    """A sight as the template takes it: pictures as data."""
    return {
        "name": sight.name,
        "text": sight.text,
        "map": heat_map(sight.map),
        "of": sight.map.of,
        "examples": [
            {
                "original": _uri(one.original),
                "picture": _uri(one.picture),
                "before": one.before,
                "after": one.after,
                "shots": [{"picture": _uri(s.picture), "says": s.says, "met": s.met} for s in one.shots],
            }
            for one in sight.examples
        ],
    }


def _uri(picture: Tensor) -> str:
    """A picture [C, H, W] in [0, 1] as a PNG in a data URI."""
    from amiss.report.sheet import png

    return "data:image/png;base64," + base64.b64encode(png(picture)).decode()
