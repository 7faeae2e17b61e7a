"""A world of drawn cells: tracks whose shape, motion, divisions and fate are known, and a marker that comes late.

A founder is of one of two lineages. It divides, and so do its daughters; whatever is measured of a cell is of its
own lineage, and more so with every generation. Two things tell the lineages apart:

- shape: cells of lineage 1 are longer, by one standard deviation of the spread between cells times `strength`;
- motion: steps of either lineage are equally long, but those of lineage 1 keep their direction, and those of lineage
  0 do not. No single frame, and no mean over frames, tells them apart by that.

In the last generation a marker appears at some frame, as it does under a microscope with a stain: what is known of a
cell before that frame was known before any marker told.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.data.sequences import Sequences
from amiss.errors import UsageError
from amiss.repro import fold, normal, uniform

__all__ = ["CellMovies", "sample_cells"]

SIDE, GENERATIONS = 27, 3
_SHORTEST, _LONGEST = 12, 20  # frames of a cell's life
_STEP, _KEEPS = 2.0, (0.1, 0.85)  # pixels a frame, and correlation of one step with the next, by lineage
_LENGTHS = (0.25, 0.12)  # mean log elongation, and its spread between cells
_CELL, _LIFE, _WALK, _PICTURE = 1, 2, 3, 4  # streams of a cell's key
_ROUND = 2  # frames before a division in which a cell is round and bright


@dataclass(frozen=True, eq=False)
class CellMovies:
    """n tracks of single cells before they are drawn.

    Attributes:
        lineage: Of each cell [n], 0 or 1: its founder's.
        family: Which founder a cell stems from [n].
        generation: 0 for a founder, 1 for its daughters, 2 for theirs [n].
        mother: Index of the cell that it came from [n]; -1 for founders.
        lengths: Frames of its life [n].
        onset: First frame with a marker [n]; -1 where none appears.
        elongation: Log ratio of its long to its short axis [n].
        steps: Motion from frame to frame [n, T, 2], pixels.
        keys: Nuisance keys [n]: angle, background and noise follow from them alone.
    """

    lineage: Tensor
    family: Tensor
    generation: Tensor
    mother: Tensor
    lengths: Tensor
    onset: Tensor
    elongation: Tensor
    steps: Tensor
    keys: Tensor

    def __len__(self) -> int:
        return len(self.lineage)

    def before_marker(self) -> Tensor:
        """Frames from each cell's first to the marker [n]: its own, or the one that comes first in a descendant."""
        left = torch.where(self.onset >= 0, self.onset, torch.full_like(self.onset, 10**6))
        for generation in range(GENERATIONS - 1, 0, -1):
            rows = (self.generation == generation).nonzero().flatten()
            mothers = self.mother[rows]
            left.scatter_reduce_(0, mothers, self.lengths[mothers] + left[rows], "amin")
        return left

    def movies(self) -> Sequences:
        """The tracks drawn: patches [n, T, 1, 27, 27] around each cell, and its steps beside them."""
        table = {
            name: getattr(self, name).clone()
            for name in ("family", "generation", "mother", "onset", "lineage", "elongation")
        }
        table["before_marker"] = self.before_marker()
        return Sequences.of(
            _paint(self),
            self.lengths,
            self.lineage,
            ("lineage 0", "lineage 1"),
            beside=self.steps / _STEP,
            table=table,
        )


def sample_cells(families: int, seed: int, strength: float = 1.0) -> CellMovies:
    """Draw lots for families of seven cells: a founder, two daughters, four granddaughters.

    Args:
        families: How many founders.
        seed: Families of one seed look the same whatever their number.
        strength: Difference of the lineages' shapes in the last generation, in spreads between cells.

    Raises:
        UsageError: No family, or a strength that is no number.
    """
    if families < 1 or not math.isfinite(strength):
        raise UsageError(
            "No such cells can be drawn.",
            slug="cells-argument",
            seen=f"families={families}, strength={strength}",
            needed="a family or more, and a finite strength",
            hint="sample_cells(200, seed=0)",
        )
    per = 2**GENERATIONS - 1
    family = torch.arange(families).repeat_interleave(per)
    place = torch.arange(per).repeat(families)  # 0; 1, 2; 3, 4, 5, 6: a mother's daughters are 2 i + 1 and 2 i + 2
    generation = (place + 1).float().log2().floor().long()
    mother = torch.where(place > 0, family * per + (place - 1) // 2, -1)
    founders = fold(torch.arange(families), seed)
    lineage = (uniform(fold(founders, _CELL), (1,))[:, 0] < 0.5).long()[family]
    keys = fold(fold(fold(family, seed), place), _LIFE)
    lots = uniform(keys, (2,), torch.float64)
    lengths = (_SHORTEST + lots[:, 0] * (_LONGEST - _SHORTEST + 1)).long()
    onset = torch.where(generation == GENERATIONS - 1, (lots[:, 1] * lengths).long(), -1)
    weight = strength * (generation + 1).double() / GENERATIONS
    spread = normal(fold(keys, _CELL), (1,), torch.float64)[:, 0]
    elongation = _LENGTHS[0] + _LENGTHS[1] * (spread + weight * (lineage.double() - 0.5))
    return CellMovies(
        lineage,
        family,
        generation,
        mother,
        lengths,
        onset,
        elongation.float(),
        _walk(keys, lineage, generation),
        keys,
    )


def _walk(keys: Tensor, lineage: Tensor, generation: Tensor) -> Tensor:
    """Steps [n, T, 2] of equal length on average, each correlated with the one before."""
    lots = normal(fold(keys, _WALK), (_LONGEST, 2))
    keeps = torch.tensor(_KEEPS)[lineage]
    keeps = (_KEEPS[0] + (keeps - _KEEPS[0]) * (generation + 1) / GENERATIONS)[:, None]
    steps = [lots[:, 0]]
    for t in range(1, _LONGEST):
        steps.append(keeps * steps[-1] + (1 - keeps**2).sqrt() * lots[:, t])
    return _STEP * torch.stack(steps, 1)


def _paint(cells: CellMovies) -> Tensor:
    """Patches [n, T, 1, 27, 27], uint8: a bright halo around a dark rim, as in a bright field."""
    n = len(cells)
    lots = uniform(fold(cells.keys, _PICTURE), (3,))
    turn = normal(fold(fold(cells.keys, _PICTURE), 1), (_LONGEST,)).cumsum(1) * 0.15 + math.pi * lots[:, :1]
    wobble = normal(fold(fold(cells.keys, _PICTURE), 2), (_LONGEST,)) * 0.1
    t = torch.arange(_LONGEST)
    age = (t / cells.lengths[:, None]).clamp(max=1)
    dividing = (t >= cells.lengths[:, None] - _ROUND) & (cells.generation[:, None] < GENERATIONS - 1)
    longer = torch.where(dividing, 0.0, 1.0) * (cells.elongation[:, None] + wobble)
    radius = 5.0 + 1.5 * age + 0.5 * lots[:, 1:2]
    axis = torch.arange(SIDE) - (SIDE - 1) / 2
    patches = torch.empty(n, _LONGEST, 1, SIDE, SIDE, dtype=torch.uint8)
    for row in range(n):  # one cell at a time: all at once would take gigabytes
        cos, sin = turn[row].cos()[:, None, None], turn[row].sin()[:, None, None]
        along = cos * axis[None, None, :] + sin * axis[None, :, None]
        across = cos * axis[None, :, None] - sin * axis[None, None, :]
        stretch = (longer[row] / 2).exp()[:, None, None]
        r = ((along / stretch).square() + (across * stretch).square()).sqrt() / radius[row][:, None, None]
        rim = (-((r - 0.85) / 0.12).square()).exp()
        halo = (-((r - 1.2) / 0.15).square()).exp()
        inside = (r < 0.85).float()
        bright = torch.where(dividing[row], 0.3, 0.05)[:, None, None]
        light = 0.5 - 0.25 * rim + 0.2 * halo + bright * inside + 0.1 * (lots[row, 2] - 0.5)
        noise = normal(fold(cells.keys[row : row + 1], 3), (_LONGEST, SIDE, SIDE))[0]
        patches[row, :, 0] = ((light + 0.06 * noise).clamp(0, 1) * 255).round().to(torch.uint8)
    return patches
