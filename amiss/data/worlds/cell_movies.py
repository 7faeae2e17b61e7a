"""A world of drawn cells: tracks whose shape, motion, divisions and fate are known, and a marker that comes late.

A founder is of one of two lineages. It divides, and so do its daughters; whatever is measured of a cell is of its
own lineage, and more so with every generation. Two things tell the lineages apart:

- shape: cells of lineage 1 are longer, by the standard deviation of the spread between cells times `strength`;
- motion: each step keeps a part of the one before, turned a little to the left in lineage 1 and to the right in
  lineage 0. A track that is read backwards turns the other way, so that the steps of a track without their order are
  drawn from one law for both lineages, however many of them are seen: no single frame, no mean over frames and no
  set of frames tells anything by its steps.

In the last generation a marker appears at some frame, as it does under a microscope with a stain: what is known of a
cell before that frame was known before any marker told.

References:
    Buggenthin et al. 2017, prospective identification of hematopoietic lineage choice by deep learning; Wan et al.
    2011, micropatterned mammalian cells exhibit phenotype-specific left-right asymmetry (PNAS 108: 12295).
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
_STEP, _KEEPS, _TURN = 2.0, 0.85, 0.3  # pixels a frame; what the next step keeps of one, and how far it is turned
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
        strength: Difference of the lineages' shapes in the last generation, in spreads between cells.
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
    strength: float

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

    def log_odds(self, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What could be known at the best: log odds [n] of lineage 1 by the shape, and by the first frames' steps.

        Args:
            lengths: Frames seen of each cell [n]; by default all of its life.

        Returns:
            The exact log ratios of likelihoods of the cell's elongation and of its steps, given its generation. Their
            sum is what both are worth together.
        """
        seen = self.lengths if lengths is None else torch.minimum(lengths, self.lengths)
        share = (self.generation + 1).double() / GENERATIONS
        shape = self.strength * share * (self.elongation.double() - _LENGTHS[0]) / _LENGTHS[1]
        old, new = self.steps[:, :-1].double() / _STEP, self.steps[:, 1:].double() / _STEP
        bend = old[:, :, 0] * new[:, :, 1] - old[:, :, 1] * new[:, :, 0]
        bend = torch.where(torch.arange(1, _LONGEST) < seen[:, None], bend, 0.0).sum(1)
        return shape, 2 * _KEEPS * (_TURN * share).sin() / (1 - _KEEPS**2) * bend

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


def sample_cells(families: int, seed: int, strength: float = 1.5) -> CellMovies:
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
        strength,
    )


def _walk(keys: Tensor, lineage: Tensor, generation: Tensor) -> Tensor:
    """Steps [n, T, 2] of equal length on average, each a part of the one before, turned, and chance."""
    lots = normal(fold(keys, _WALK), (_LONGEST, 2))
    turn = _TURN * (2 * lineage - 1) * (generation + 1) / GENERATIONS
    cos, sin = turn.cos(), turn.sin()
    steps = [lots[:, 0]]
    for t in range(1, _LONGEST):
        x, y = steps[-1].unbind(1)
        turned = torch.stack([cos * x - sin * y, sin * x + cos * y], 1)
        steps.append(_KEEPS * turned + math.sqrt(1 - _KEEPS**2) * lots[:, t])
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
