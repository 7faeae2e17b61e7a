"""A figure is computed once into plain numbers, and drawn from those numbers alone."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amiss._version import __version__
from amiss.data.cells import csv_text
from amiss.disk import Disk
from amiss.figures.draw import save
from amiss.figures.world import World

__all__ = ["Figure", "Made", "make"]

Values = dict[str, Any]
"""What a figure shows: plain numbers, texts and lists of them."""


@dataclass(frozen=True)
class Figure:
    """One figure: how its numbers are found, and how they are drawn.

    Attributes:
        number: Its number in the paper.
        name: What it shows, in words fit for a file.
        compute: The numbers; `says` among them is its caption. An answer with `found` False has nothing to draw.
        draw: The picture of those numbers: a figure of matplotlib.
        table: The rows of a CSV file, where one is natural.
        faces: Whether it is made of drawn faces, whatever the data.
    """

    number: int
    name: str
    compute: Callable[[World], Values]
    draw: Callable[[Values], Any]
    table: Callable[[Values], list[dict[str, Any]]] | None = None
    faces: bool = False

    @property
    def stem(self) -> str:
        """Its files' name without the ending."""
        return f"figure-{self.number}-{self.name}"


@dataclass(frozen=True)
class Made:
    """A figure that lies in its folder.

    Attributes:
        figure: Which.
        values: Its numbers.
        files: Names of its files.
        fresh: Whether it was computed now, rather than found with the same settings.
    """

    figure: Figure
    values: Values
    files: tuple[str, ...]
    fresh: bool


def make(figure: Figure, world: World) -> Made:
    """Compute and draw one figure into the world's folder; numbers with the same settings are not found again.

    Args:
        figure: Which.
        world: Data, models and folder.

    Raises:
        UsageError: Matplotlib is missing.
        DataError: The disk refused, or the data will not do.
    """
    path, settings = world.place / f"{figure.stem}.json", _settings(figure, world)
    values = _found(path, settings)
    fresh = values is None
    if values is None:
        # What is read again must be what was computed, down to the type.
        values = json.loads(json.dumps(figure.compute(world)))
        whole = {"figure": figure.number, "name": figure.name, "settings": settings, "values": values}
        Disk().write(path, (json.dumps(whole, separators=(",", ":")) + "\n").encode())
    return Made(figure, values, (path.name, *_drawn(figure, values, world.place, fresh)), fresh)


def _settings(figure: Figure, world: World) -> dict[str, Any]:
    """All that its numbers follow from, as a file holds it."""
    data = "drawn faces" if figure.faces else world.fingerprint
    effort = {name: list(n) if isinstance(n, tuple) else n for name, n in asdict(world.effort).items()}
    return {"data": data, "seed": world.seed, "effort": effort, "amiss": __version__}


def _found(path: Path, settings: dict[str, Any]) -> Values | None:
    """The numbers in a file of the same settings; None where there is no such file."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        same = whole["settings"] == settings
        values: Values = whole["values"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return values if same and isinstance(values, dict) else None


def _drawn(figure: Figure, values: Values, place: Path, fresh: bool) -> list[str]:
    """Names of the pictures and of the table; those that lie there with the same numbers stay."""
    if values.get("found") is False:
        return []
    names = [f"{figure.stem}.png", f"{figure.stem}.svg"]
    if fresh or not all((place / name).is_file() for name in names):
        for name, content in zip(names, save(lambda: figure.draw(values)), strict=True):
            Disk().write(place / name, content)
    if figure.table is not None:
        Disk().write(place / f"{figure.stem}.csv", _csv(figure.table(values)).encode())
        names.append(f"{figure.stem}.csv")
    return names


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of one kind as CSV; the names of classes are anybody's, and no formulas."""
    return csv_text(list(rows[0]) if rows else [], [list(row.values()) for row in rows])
