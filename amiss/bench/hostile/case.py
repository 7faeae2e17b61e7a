"""A source of images that means harm, what must come of it, and the healthy images beside it."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

__all__ = ["GOOD", "OUTSIDE", "SECRET", "SIDE", "Case", "Maker"]

SIDE = 16
"""All sources are opened at this size."""

GOOD = (200, 100, 50)
"""The one color of every healthy image."""

SECRET = (1, 2, 3)
"""The one color of the image that no source may reach."""

OUTSIDE = "outside"
"""The folder that no source may reach, beside theirs."""


@dataclass(frozen=True)
class Case:
    """A source and what must come of it.

    Attributes:
        name: What is wrong with it.
        source: What `open_data` is given.
        good: How many healthy images there are, and must be opened.
        opened: How many images must be opened in all: 0 where the source must be refused, None where any number will
            do that is not fewer than `good`.
        left_out: How many files must be named as left out, at least.
        label: The column of labels, where it matters.
        weights: Whether the source is a file of weights instead.
    """

    name: str
    source: str
    good: int = 0
    opened: int | None = None
    left_out: int = 0
    label: str | None = None
    weights: bool = False


@dataclass(frozen=True)
class Maker:
    """A place to make sources in. What lies in `OUTSIDE` there is a secret.

    Attributes:
        root: The folder.
        marker: A file that is there once code has run.
    """

    root: Path
    marker: Path

    @classmethod
    def at(cls, root: Path) -> "Maker":
        """Lay the secret down."""
        secret = root / OUTSIDE / "secret.png"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_bytes(cls.picture(SECRET))
        return cls(root, root / "code-ran")

    @property
    def secret(self) -> Path:
        """The image that no source may reach."""
        return self.root / OUTSIDE / "secret.png"

    def folder(self, name: str) -> Path:
        """A new folder with nothing in it."""
        path = self.root / name
        path.mkdir(parents=True)
        return path

    @staticmethod
    def picture(color: tuple[int, ...] = GOOD, kind: str = "PNG", mode: str = "RGB", **options: object) -> bytes:
        """The bytes of an image of one color."""
        buffer = io.BytesIO()
        Image.new(mode, (SIDE, SIDE), color if len(color) > 1 else color[0]).save(buffer, kind, **options)
        return buffer.getvalue()
