"""How figures are drawn: classes by hue, by hatching and by name; files that are the same each time."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from amiss.errors import UsageError

__all__ = [
    "COLORS",
    "HATCHES",
    "blank",
    "canvas",
    "change",
    "needs_matplotlib",
    "picture",
    "plain",
    "regions",
    "save",
]

# Ten hues that people with any kind of color vision tell apart, one after the other around the classes.
COLORS = (
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933"),
    *("#ddcc77", "#cc6677", "#882255", "#aa4499", "#dddddd"),
)
"""Colors of the classes.

References:
    Tol (2021), color schemes, the scheme "muted".
"""

HATCHES = ("", "//", "..", "\\\\", "xx", "--", "||", "oo", "++", "**")
"""Hatchings of the classes, for prints without color."""

_LONGEST = 24  # characters of a name

_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.3,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "amiss",  # names inside the file do not change from one drawing to the next
    "savefig.dpi": 200,
}


def needs_matplotlib() -> Any:
    """The drawing library, which is an extra.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise UsageError(
            "Figures are drawn with matplotlib, which is not installed.",
            slug="figures-matplotlib",
            seen=str(error),
            needed="matplotlib 3.9 or later",
            why="it is an extra of this package",
            hint="pip install 'amiss[figures]'",
        ) from error
    return matplotlib


def save(draw: Callable[[], Any]) -> tuple[bytes, bytes]:
    """A drawing as PNG and as SVG; the same numbers give the same bytes.

    Args:
        draw: Draws, and returns a figure of matplotlib.
    """
    with needs_matplotlib().rc_context(_STYLE):
        figure = draw()
        files = []
        for kind, about in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            file = io.BytesIO()
            figure.savefig(file, format=kind, metadata=about)
            files.append(file.getvalue())
    return files[0], files[1]


def canvas(rows: int, columns: int, width: float, height: float, **grid: Any) -> tuple[Any, Any]:
    """A figure and its axes [rows, columns].

    Args:
        rows: Axes above one another.
        columns: Axes side by side.
        width: In inches.
        height: In inches.
        grid: What else `subplots` is to know.
    """
    figure = needs_matplotlib().figure.Figure((width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **grid)


def blank(axes: Any) -> None:
    """Take away ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def picture(axes: Any, image: Sequence[Any], title: str = "") -> None:
    """Show an image [C][H][W] of bytes."""
    pixels = torch.tensor(image, dtype=torch.uint8).permute(1, 2, 0)
    shown = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    axes.imshow(shown.numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _frame(axes, title)


def change(axes: Any, values: Sequence[Any], low: float, high: float, cmap: str, title: str = "") -> Any:
    """Show a change [C][H][W], the mean of its channels, on a scale; returns what a color bar needs."""
    mean = torch.tensor(values, dtype=torch.float64).mean(0)
    shown = axes.imshow(mean.numpy(), cmap=cmap, vmin=low, vmax=high, interpolation="nearest")
    _frame(axes, title)
    return shown


def _frame(axes: Any, title: str) -> None:
    blank(axes)
    axes.set_title(title, pad=2)


def regions(
    axes: Any, labels: Sequence[int], extent: Sequence[float], names: Sequence[str], *, named: bool = True
) -> None:
    """Draw a map of classes: each in its hue, hatched, with its name at the most inner place of its largest region.

    Args:
        axes: Where.
        labels: n * n classes, the lowest y first.
        extent: Lowest and highest x, lowest and highest y, of the nodes.
        names: Names of the classes.
        named: Whether the names are written into the map.
    """
    colors = needs_matplotlib().colors
    n = round(len(labels) ** 0.5)
    grid = torch.tensor(labels).reshape(n, n)
    left, right, low, high = extent
    half_x, half_y = (right - left) / (n - 1) / 2, (high - low) / (n - 1) / 2
    # A cell around each node.
    cells = (left - half_x, right + half_x, low - half_y, high + half_y)
    shades = [colors.to_rgb(COLORS[k % len(COLORS)]) for k in range(len(names))]
    lighter = colors.ListedColormap([[0.35 + 0.65 * part for part in shade] for shade in shades])
    axes.imshow(
        grid.numpy(), cmap=lighter, vmin=-0.5, vmax=len(names) - 0.5, origin="lower", extent=cells,
        interpolation="nearest", aspect="equal",
    )  # fmt: skip
    x, y = torch.linspace(left, right, n).numpy(), torch.linspace(low, high, n).numpy()
    for label in grid.unique().tolist():
        inside = (grid == label).float()
        if 0 < float(inside.mean()) < 1:
            axes.contour(x, y, inside.numpy(), levels=[0.5], colors="white", linewidths=0.5)
        hatch = HATCHES[label % len(HATCHES)]
        if hatch:
            axes.contourf(x, y, inside.numpy(), levels=[0.5, 1.5], colors="none", hatches=[hatch])
        if named:
            row, column = _inmost(inside)
            name(axes, float(x[column]), float(y[row]), names[label])
    axes.set_xlim(cells[0], cells[1])
    axes.set_ylim(cells[2], cells[3])


def _inmost(inside: torch.Tensor) -> tuple[int, int]:
    """The cell that lies deepest inside a region [n, n] of ones; of several the most central."""
    left = inside[None, None]
    while True:
        # Beyond the map there is no region, so that a name does not stand on the frame.
        fewer = 1 - F.max_pool2d(F.pad(1 - left, (1, 1, 1, 1), value=1.0), 3, stride=1)
        if not bool(fewer.any()):
            places = left[0, 0].nonzero().float()
            row, column = places[(places - places.mean(0)).norm(dim=1).argmin()].long().tolist()
            return row, column
        left = fewer


def name(axes: Any, x: float, y: float, text: str, *, above: bool = False) -> None:
    """Write a name on a map, readable on any color.

    Args:
        axes: Where.
        x: Its place.
        y: Its place.
        text: The name.
        above: Whether it stands a little above the place.
    """
    paper = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.annotate(
        plain(text), (x, y), xytext=(0, 6 if above else 0), textcoords="offset points", ha="center",
        va="bottom" if above else "center", fontsize=9, fontweight="bold", bbox=paper, zorder=9,
    )  # fmt: skip


def plain(name: str) -> str:
    """A name as it is, on one line and no longer than fits: to matplotlib a dollar begins a formula."""
    line = "".join(c if c.isprintable() else " " for c in name)  # no file of XML holds a control character
    return (line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}\u2026").replace("$", r"\$")
