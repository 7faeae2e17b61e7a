"""The pictures of a report: found, checked, thinned to fit one file, and turned into data URIs."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from amiss.errors import DataError

__all__ = ["LADDER", "Album", "Rung", "keep", "locate"]

Record = dict[str, Any]

_MOST_PIXELS = 64_000_000


@dataclass(frozen=True)
class Rung:
    """How much of the pictures one file may hold.

    Attributes:
        frames: Most frames of one trajectory.
        side: Longest side of a picture, in pixels; larger ones are reduced.
        entries: Most cases, and most fooling images.
    """

    frames: int
    side: int
    entries: int


LADDER: tuple[Rung, ...] = (
    Rung(120, 512, 2000),
    Rung(40, 512, 2000),
    Rung(20, 384, 2000),
    Rung(20, 256, 1000),
    Rung(12, 192, 1000),
    Rung(8, 128, 1000),
    Rung(8, 96, 500),
    Rung(6, 64, 300),
    Rung(4, 64, 100),
    Rung(4, 64, 30),
    Rung(2, 48, 10),
)
"""From generous to frugal: frames go first, then size, then entries."""


def locate(folder: Path, name: object) -> Path:
    """The file of a picture that a record names.

    Args:
        folder: The run folder.
        name: Path relative to `folder`.

    Raises:
        DataError: The picture is not there, or lies outside the folder.
    """
    home = folder.resolve()
    path = (home / str(name)).resolve()
    if not isinstance(name, str) or not path.is_relative_to(home):
        raise DataError(
            "A picture of the report lies outside the run folder.",
            slug="report-image-outside",
            seen=repr(name),
            needed="a path relative to the run folder, without '..'",
            hint="Write the picture into the run folder and name it from there.",
        )
    if not path.is_file():
        raise DataError(
            "A picture that the report needs is missing.",
            slug="report-image-missing",
            seen=name,
            needed="a PNG file in the run folder",
            why="the run was moved without its images, or ended before they were written",
            hint="Copy the whole run folder, or run the audit again with the same command.",
        )
    return path


def keep(labels: Sequence[object], most: int) -> list[int]:
    """Which frames of a trajectory to show: the ends, the first new label, the rest evenly spaced.

    Args:
        labels: The classifier's label at each frame.
        most: How many frames may stay, at least 2.

    Returns:
        Ascending indices into `labels`, at most `most`.
    """
    count = len(labels)
    if count <= most:
        return list(range(count))
    turn = next((i for i, label in enumerate(labels) if label != labels[0]), 0)
    must = sorted({0, turn, count - 1} if most > 2 else {0, count - 1})
    spare = most - len(must)
    even = {round((i + 1) * (count - 1) / (spare + 1)) for i in range(spare)}
    return sorted(even.union(must))


@dataclass
class Album:
    """Pictures of one report, each embedded once however often it is named.

    Attributes:
        folder: The run folder that names are relative to.
        side: Longest side kept, in pixels; smaller pictures are embedded byte for byte.
        pictures: [width, height, data URI] of each picture.
        reduced: How many pictures were made smaller.
    """

    folder: Path
    side: int
    pictures: list[tuple[int, int, str]] = field(default_factory=list)
    reduced: int = 0
    _known: dict[str, int] = field(default_factory=dict)
    _held: dict[bytes, int] = field(default_factory=dict)

    def add(self, name: object) -> int:
        """Embed a picture.

        Args:
            name: Path of a PNG relative to the folder.

        Returns:
            Its place in `pictures`.

        Raises:
            DataError: The file is missing, outside the folder, too large, or not a PNG that can be read.
        """
        path = locate(self.folder, name)
        if str(name) in self._known:
            return self._known[str(name)]
        content = path.read_bytes()
        if content not in self._held:
            self._held[content] = len(self.pictures)
            self.pictures.append(self._embed(content, str(name)))
        self._known[str(name)] = self._held[content]
        return self._held[content]

    def _embed(self, content: bytes, name: str) -> tuple[int, int, str]:
        image = _read(content, name)
        factor = self.side / max(image.size)
        if factor < 1:
            if image.mode not in ("L", "RGB", "RGBA"):
                image = image.convert("RGB")
            image = image.resize(_shrunk(image.size, factor), Image.Resampling.LANCZOS)
            stream = io.BytesIO()
            image.save(stream, "PNG", optimize=True)
            content, self.reduced = stream.getvalue(), self.reduced + 1
        return *image.size, "data:image/png;base64," + base64.b64encode(content).decode()

    def cost(self, names: Sequence[object]) -> int:
        """About how many characters the pictures would take, from file sizes alone."""
        total = 0.0
        for name in dict.fromkeys(names):
            path = locate(self.folder, name)
            size = path.stat().st_size
            with path.open("rb") as stream:
                header = stream.read(24)
            longest = max(int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big"), 1)
            total += size * min(1.0, self.side / longest) ** 2
        return math.ceil(total * 4 / 3)


def _shrunk(size: tuple[int, int], factor: float) -> tuple[int, int]:
    width, height = size
    return max(1, round(width * factor)), max(1, round(height * factor))


def _read(content: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels")
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            "A picture of the report cannot be read.",
            slug="report-image-broken",
            seen=f"{name}: {error}",
            needed=f"a whole PNG of at most {_MOST_PIXELS // 1_000_000} megapixels",
            why="the file was cut short or is of another kind",
            hint="Delete the file and run the audit again with the same command.",
        ) from error
    return image
