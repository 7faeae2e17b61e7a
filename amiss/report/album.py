"""The pictures of a report: found, checked, thinned to fit one file, and turned into data URIs."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from amiss.errors import DataError

__all__ = ["LADDER", "Album", "Rung", "keep", "locate", "weight"]

_MOST_PIXELS = 64_000_000


@dataclass(frozen=True)
class Rung:
    """How much of the pictures one file may hold.

    Attributes:
        frames: Most frames of one trajectory.
        side: Longest side of originals and results, in pixels; larger ones are reduced.
        film: Longest side of frames and of fooling images.
        entries: Most cases, and most fooling images.
    """

    frames: int
    side: int
    film: int
    entries: int


LADDER: tuple[Rung, ...] = (
    Rung(120, 512, 512, 2000),
    Rung(40, 512, 384, 2000),
    Rung(20, 384, 256, 2000),
    Rung(16, 320, 192, 2000),
    Rung(12, 256, 160, 1000),
    Rung(8, 256, 128, 1000),
    Rung(8, 224, 96, 1000),
    Rung(6, 192, 80, 1000),
    Rung(4, 160, 64, 1000),
    Rung(4, 128, 64, 500),
    Rung(4, 96, 48, 300),
    Rung(2, 96, 48, 100),
    Rung(2, 64, 48, 30),
    Rung(2, 48, 48, 10),
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
        pictures: [width, height, data URI] of each picture.
        reduced: How many pictures were made smaller.
    """

    folder: Path
    pictures: list[tuple[int, int, str]] = field(default_factory=list)
    reduced: int = 0
    _known: dict[tuple[str, int], int] = field(default_factory=dict)
    _held: dict[bytes, int] = field(default_factory=dict)

    def add(self, name: object, side: int) -> int:
        """Embed a picture.

        Args:
            name: Path of a PNG relative to the folder.
            side: Longest side kept, in pixels; smaller pictures are embedded byte for byte.

        Returns:
            Its place in `pictures`.

        Raises:
            DataError: The file is missing, outside the folder, too large, or not a PNG that can be read.
        """
        key = (str(name), side)
        if key not in self._known:
            content = locate(self.folder, name).read_bytes()
            image = _read(content, str(name))
            factor = side / max(image.size)
            if factor < 1:
                image, content = _smaller(image, factor)
                self.reduced += 1
            if content not in self._held:
                uri = "data:image/png;base64," + base64.b64encode(content).decode()
                self._held[content] = len(self.pictures)
                self.pictures.append((*image.size, uri))
            self._known[key] = self._held[content]
        return self._known[key]


def weight(folder: Path, name: object, side: int) -> int:
    """About how many characters a picture takes once embedded at `side`, from its header and file size.

    Raises:
        DataError: The file is missing or outside the folder.
    """
    path = locate(folder, name)
    with path.open("rb") as stream:
        header = stream.read(24)
    longest = max(int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big"), 1)
    # Reduced pictures have fewer pixels but more detail in each: between the first and the second power.
    return math.ceil(4 / 3 * path.stat().st_size * min(1.0, side / longest) ** 1.5)


def _smaller(image: Image.Image, factor: float) -> tuple[Image.Image, bytes]:
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    width, height = (max(1, round(length * factor)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return image, stream.getvalue()


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
