"""From where a success holds: its share at each distance and viewing angle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from amiss.repro import fold
from amiss.transforms import View

__all__ = ["ViewMap", "photographs", "view_map"]


@dataclass(frozen=True)
class ViewMap:
    """How often something held, seen from each of a grid of places.

    Attributes:
        scales: Apparent sizes, 1 over the distance: the rows.
        tilts: Viewing angles in degrees: the columns.
        met: How many photographs it held in, row by row.
        of: How many there were at each place.
    """

    scales: tuple[float, ...]
    tilts: tuple[float, ...]
    met: tuple[tuple[int, ...], ...]
    of: int

    def share(self, row: int, column: int) -> float:
        """Share of the photographs at one place in which it held, in [0, 1]."""
        return self.met[row][column] / self.of

    @property
    def mean(self) -> float:
        """Share of all photographs in which it held, in [0, 1]."""
        return sum(map(sum, self.met)) / (self.of * len(self.scales) * len(self.tilts))


def photographs(x: Tensor, key: Tensor, transforms: Sequence[Callable[[Tensor, Tensor], Tensor]]) -> Tensor:
    """Pictures through transforms, one after the other, each with randomness of its own.

    Args:
        x: Pictures [R, C, H, W] in [0, 1].
        key: What their views are drawn from [R].
        transforms: In order.

    Returns:
        Photographs [R, C, H, W] in [0, 1].
    """
    for place, transform in enumerate(transforms):
        x = transform(x, fold(key, place))
    return x.clamp(0, 1)


def view_map(
    judge: Callable[[View], Tensor], scales: Sequence[float], tilts: Sequence[float], view: View | None = None
) -> ViewMap:
    """Judge from each distance and viewing angle; what else a view draws, it goes on drawing.

    Args:
        judge: What holds of the photographs that a view takes: bool, any shape, as many for every view.
        scales: Apparent sizes, the rows of the map.
        tilts: Viewing angles in degrees, its columns.
        view: Whose scale and tilt are replaced; by default one that changes nothing else.
    """
    view = View() if view is None else view
    rows, of = [], 0
    for scale in scales:
        row = []
        for tilt in tilts:
            met = judge(replace(view, scale=(scale, scale), tilt=(tilt, tilt)))
            row.append(int(met.sum()))
            of = met.numel()
        rows.append(tuple(row))
    return ViewMap(tuple(scales), tuple(tilts), tuple(rows), of)
