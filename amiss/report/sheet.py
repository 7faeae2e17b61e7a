"""A sheet of pictures to print at true size, to be held before a real camera."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from amiss.errors import UsageError

__all__ = ["fitting", "png", "printable_sheet"]

_PAGE = (210.0, 297.0)  # millimeters: A4
_MARGIN, _GAP, _LINE = 12.0, 8.0, 5.0
_RULER = 100.0
_FINEST = 24  # pixels of the file for one of the picture: printers smooth what is coarse, and must not


def printable_sheet(
    path: Path, pictures: Tensor, names: Sequence[str], millimeters: float = 80.0, mask: Tensor | None = None
) -> Path:
    """Write an SVG page of A4 on which every picture has a known size, and a ruler to check the print by.

    Args:
        path: The file.
        pictures: What is printed [n, C, H, W], in [0, 1].
        names: What is written below each.
        millimeters: Width of a picture on paper.
        mask: Which pixels are printed [H, W], bool, for stickers that are cut out; all where left out.

    Returns:
        The path.

    Raises:
        UsageError: Names that are not one a picture, or pictures that do not fit on the page.
    """
    n, _, height, width = pictures.shape
    tall, columns, most = millimeters * height / width, _columns(millimeters), fitting(millimeters, height / width)
    step = tall + _LINE + _GAP
    if len(names) != n or not 0 < n <= most:
        raise UsageError(
            "The pictures do not fit on the sheet.",
            slug="sheet-fit",
            seen=f"{n} pictures of {millimeters:g} mm and {len(names)} names",
            needed=f"one name a picture, and 1 to {most} pictures of this size on a page of A4"
            if most
            else "a width of more than 0 and at most 186 mm",
            hint="Print fewer pictures, or smaller ones.",
        )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_PAGE[0]:g}mm" height="{_PAGE[1]:g}mm" '
        f'viewBox="0 0 {_PAGE[0]:g} {_PAGE[1]:g}" font-family="sans-serif" font-size="3.5">'
    ]
    for i in range(n):
        x, y = _MARGIN + (i % columns) * (millimeters + _GAP), _MARGIN + (i // columns) * step
        held = base64.b64encode(png(pictures[i], mask, max(1, min(_FINEST, 1536 // max(height, width))))).decode()
        parts.append(
            f'<image x="{x:g}" y="{y:g}" width="{millimeters:g}" height="{tall:g}" '
            f'href="data:image/png;base64,{held}"/>'
        )
        parts.append(f'<text x="{x:g}" y="{y + tall + 4:g}">{escape(_plain(names[i]))}</text>')
    line = _PAGE[1] - _MARGIN
    ticks = "".join(f"M{_MARGIN + 10 * k:g} {line - 2:g}v4" for k in range(int(_RULER // 10) + 1))
    parts.append(f'<path d="M{_MARGIN:g} {line:g}h{_RULER:g}{ticks}" stroke="black" stroke-width="0.2" fill="none"/>')
    parts.append(
        f'<text x="{_MARGIN + _RULER + 4:g}" y="{line + 1:g}">{_RULER:g} mm: print at 100 %, not fitted to the page'
        "</text>"
    )
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8", newline="\n")
    return path


def fitting(millimeters: float, ratio: float = 1.0) -> int:
    """How many pictures fit on a sheet.

    Args:
        millimeters: Width of each.
        ratio: Height over width.
    """
    if not (columns := _columns(millimeters)):
        return 0
    room = _PAGE[1] - 2 * _MARGIN - 2 * _GAP - _LINE
    return columns * int((room + _GAP) // (millimeters * ratio + _LINE + _GAP))


def png(picture: Tensor, mask: Tensor | None = None, times: int = 1) -> bytes:
    """A picture [C, H, W] in [0, 1] as a PNG.

    Args:
        picture: Gray or RGB.
        mask: Which pixels are there [H, W]; the others are left clear.
        times: Side of the square that each pixel becomes.
    """
    from PIL import Image

    values = (picture.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    values = values.expand(3, -1, -1) if len(values) == 1 else values
    if mask is not None:
        values = torch.cat([values, mask.to(torch.uint8)[None].cpu() * 255])
    values = values.repeat_interleave(times, 1).repeat_interleave(times, 2)
    held = io.BytesIO()
    Image.fromarray(values.permute(1, 2, 0).contiguous().numpy()).save(held, "PNG")
    return held.getvalue()


def _columns(millimeters: float) -> int:
    """How many pictures fit side by side."""
    return int((_PAGE[0] - 2 * _MARGIN + _GAP) // (millimeters + _GAP)) if millimeters > 0 else 0


def _plain(name: str) -> str:
    """A name without what a text cannot hold."""
    return "".join(c if c.isprintable() else " " for c in name)[:60]
