"""Pictures of what a captioner says: images with a sentence under each, as the pages show them."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from amiss.data import Images

__all__ = ["draw_panel"]

_WIDE, _HIGH, _LETTERS, _EDGE = 150, 180, 24, 11  # of a cell: sides, letters a line, white at its left


def draw_panel(path: Path, rows: Sequence[tuple[str, Images, Sequence[str]]], count: int) -> None:
    """Write a PNG: a row for each set of 64x64 images, with its name, and under each image what is said of it.

    Args:
        path: The file.
        rows: Name, images and sentences of each row.
        count: Images of a row; so many at the most.
    """
    count = min(count, *(len(images) for _, images, _ in rows))
    page = Image.new("RGB", (70 + count * _WIDE, len(rows) * _HIGH), "white")
    pen = ImageDraw.Draw(page)
    for j, (name, images, said) in enumerate(rows):
        pen.text((6, j * _HIGH + 58), name, fill="black")
        for i in range(count):
            gray = np.asarray(images.pixels[i].permute(1, 2, 0))
            picture = Image.fromarray(gray[:, :, 0] if gray.shape[2] == 1 else gray)
            left, top = 70 + i * _WIDE, j * _HIGH
            page.paste(picture.resize((128, 128), Image.Resampling.NEAREST), (left + _EDGE, top + 4))
            pen.multiline_text((left + _EDGE, top + 134), textwrap.fill(said[i], _LETTERS), fill="black", spacing=2)
    page.quantize(64).save(path, optimize=True)
