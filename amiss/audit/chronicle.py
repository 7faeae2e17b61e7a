"""What is kept of an evolution on its way: elites at some generations, their ancestors, and how sure they were."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from amiss.data import to_bytes
from amiss.domain import Domain
from amiss.reading import take
from amiss.search import Search, Step
from amiss.task import ALL, Query, State

__all__ = ["SIDE", "Chronicle", "Told", "moments", "shrunk"]

SIDE = 64
"""Longest side of a picture that is kept in place of a large genome."""

_SMALL = (
    4096  # numbers of a genome that is kept itself: a graph has 444, a gray digit 784, a color image of 32 x 32 3072
)
_SLACK = 1024  # individuals that may be kept beyond need before the others are looked for


def moments(last: int, each: tuple[float, ...]) -> tuple[int, ...]:
    """Turns from 0 to the last: every power of ten times each of some factors, rounded.

    Args:
        last: The last turn, always among them.
        each: Factors in [1, 10), ascending.
    """
    found, power = {0, last}, 1
    while power <= last:
        found |= {turn for factor in each if (turn := round(factor * power)) <= last}
        power *= 10
    return tuple(sorted(found))


def shrunk(images: Tensor, side: int) -> Tensor:
    """Images, uint8 [R, C, H, W], whose longest side is at most so many pixels: means over areas of the larger ones.

    Args:
        images: They are left as they are where they are small already.
        side: In pixels.
    """
    height, width = images.shape[2:]
    if max(height, width) <= side:
        return images
    most = max(height, width)
    size = max(1, round(side * height / most)), max(1, round(side * width / most))
    small: Tensor = functional.adaptive_avg_pool2d(images.float(), size)
    return small.round().to(torch.uint8)


@dataclass(frozen=True)
class Chronicle:
    """A witness of searches: who held each cell at some turns, from whom each elite descends, and every loss.

    An individual is known by its number: how many were asked for before it. Of those that ever held a cell at one of
    the marks, and of all their ancestors, the genome is kept where it is small. Of a large one a small picture is
    kept instead, and of ancestors that held no cell at a mark nothing but their place in the line.

    Attributes:
        marks: Turns at which the holders of the cells are noted, ascending; the last turn is noted anyway.
        ticks: Turns at which losses and evaluations are noted, likewise.
    """

    marks: tuple[int, ...]
    ticks: tuple[int, ...]

    def begin(self, search: Search) -> State:
        """Nothing seen so far."""
        n = len(search.task)
        return {
            "born": 0,
            "asked": 0,
            "turn": -1,
            "holder": torch.full((n,), -1, dtype=torch.int64),
            "marks": [],
            "holders": [],
            "ticks": [],
            "evaluations": [],
            "losses": [],
            "numbers": torch.zeros(0, dtype=torch.int64),
            "pool": None,
            "enough": 0,  # individuals that were needed when the others were last looked for
        }

    def see(self, search: Search, step: Step, notes: State) -> State:
        """Note who took which cells, and what is needed of them."""
        assert step.answer.won is not None  # noqa: S101 - a search sets it
        won, born = step.answer.won.cpu(), notes["born"]
        taken = (won >= 0).nonzero().flatten()
        holder = notes["holder"].index_copy(0, taken, born + won[taken])
        told = {**notes, "born": born + len(step.query), "turn": step.turn, "holder": holder}
        told["asked"] += _evaluations(step.query)
        if len(taken) and _whole(step.state) and _descends(step.state):
            rows = won[taken].unique()
            told = _kept(told, born + rows, _of(step.query.p, rows))
            if len(told["numbers"]) > 2 * told["enough"] + _SLACK:
                told = _pruned(told, step.state, _origins(step.state))
        if step.turn in self.ticks:
            told = _ticked(told, step.state)
        return _marked(told, step.state, search.domain) if step.turn in self.marks else told

    def close(self, search: Search, state: State, notes: State) -> State:
        """The notes of the last turn, and nothing of individuals that no elite descends from."""
        if notes["turn"] >= 0 and notes["turn"] not in notes["ticks"]:
            notes = _ticked(notes, state)
        if notes["turn"] >= 0 and notes["turn"] not in notes["marks"]:
            notes = _marked(notes, state, search.domain)
        nobody = notes["holder"][:0]  # where a climber set out from does not matter any more
        notes = _pruned(notes, state, nobody)
        lineage = _lineage(state)
        needed = torch.isin(lineage[:, 2], _needed(notes, lineage, nobody))
        return {**{name: part for name, part in notes.items() if name != "enough"}, "captures": lineage[needed]}


@dataclass(frozen=True)
class Told:
    """The notes of all shards of a study as one.

    Attributes:
        marks: Turns at which holders are known [m].
        holders: Numbers of the individuals in the cells [m, n]; -1: none.
        ticks: Turns at which losses are known [t].
        evaluations: Images shown to the network until then, all shards together [t]; a gradient counts as three.
        losses: Of the cells' elites [t, n]; infinite where there was none.
        pool: Of some individuals by number: genome, or picture in bytes.
        first: Of some individuals by number: the turn at which it first took a cell, which cell, and its parent's
            number (-1: none, or it is not known).
    """

    marks: tuple[int, ...]
    holders: Tensor
    ticks: tuple[int, ...]
    evaluations: tuple[int, ...]
    losses: Tensor
    pool: dict[int, Tensor]
    first: dict[int, tuple[int, int, int]]

    @classmethod
    def of(cls, parts: list[tuple[list[int], State]], n: int) -> "Told":
        """Put together the notes of shards.

        A shard that ended before another keeps its last elites from then on.

        Args:
            parts: Positions of each shard's samples, and its notes: `Study.notes`.
            n: Samples in all.
        """
        marks, ticks = (tuple(sorted({turn for _, notes in parts for turn in notes[name]})) for name in _SERIES)
        holders = torch.full((len(marks), n), -1, dtype=torch.int64)
        losses = torch.full((len(ticks), n), torch.inf)
        evaluations = torch.zeros(len(ticks), dtype=torch.int64)
        pool: dict[int, Tensor] = {}
        first: dict[int, tuple[int, int, int]] = {}
        for shard, (samples, notes) in enumerate(parts):
            offset, cells = shard << 40, torch.tensor(samples)
            for i, held in enumerate(_filled(notes["marks"], notes["holders"], marks)):
                if held is not None:
                    holders[i, cells] = torch.where(held >= 0, held + offset, held)
            for i, loss in enumerate(_filled(notes["ticks"], notes["losses"], ticks)):
                if loss is not None:
                    losses[i, cells] = loss.float()
            for i, asked in enumerate(_filled(notes["ticks"], notes["evaluations"], ticks)):
                evaluations[i] += asked or 0
            if notes["pool"] is not None:
                pool |= dict(zip((notes["numbers"] + offset).tolist(), notes["pool"], strict=True))
            for turn, cell, own, parent, _ in notes["captures"].tolist():
                first.setdefault(own + offset, (turn, samples[cell], parent + offset if parent >= 0 else -1))
        return cls(marks, holders, ticks, tuple(evaluations.tolist()), losses, pool, first)

    def line(self, number: int) -> list[int]:
        """The numbers from an individual back to the first generation, by first parents; itself alone if unknown."""
        found = []
        while number >= 0:
            found.append(number)
            number = self.first.get(number, (0, 0, -1))[2]
        return found


_SERIES = ("marks", "ticks")


def _evaluations(query: Query) -> int:
    """Images that a query shows the network; where it wants more than losses, the way back counts as two."""
    rows = len(query) if query.owner is ALL else int((query.owner >= 0).sum())
    return rows * (1 if query.want in ("met", "loss") else 3)


def _descends(state: State) -> bool:
    """Whether the optimizer notes who descends from whom."""
    return "captures" in state["optimizer"]


def _whole(state: State) -> bool:
    """Whether genomes are small enough to be kept themselves."""
    p = state["best"]["p"]
    return isinstance(p, Tensor) and p[:1].numel() <= _SMALL


def _lineage(state: State) -> Tensor:
    """Captures [k, 5]: turn, cell, individual, its parent, its mate."""
    if not _descends(state):
        return torch.zeros(0, 5, dtype=torch.int64)
    optimizer = state["optimizer"]
    captures: Tensor = optimizer["captures"][: optimizer["count"]].cpu()
    return captures


def _origins(state: State) -> Tensor:
    """Whom climbers set out from: they may have lost their cells, and have children all the same."""
    climbers = state["optimizer"].get("climbers")
    origins: Tensor = torch.zeros(0, dtype=torch.int64) if climbers is None else climbers["origin"].cpu()
    return origins


def _needed(notes: State, lineage: Tensor, origins: Tensor) -> Tensor:
    """Numbers of origins, of those that hold a cell now or at a mark, and of all their ancestors, ascending."""
    parents = dict(zip(lineage[:, 2].tolist(), lineage[:, 3].tolist(), strict=True))
    found: set[int] = set()
    for number in torch.cat([origins, notes["holder"], *notes["holders"]]).unique().tolist():
        while number >= 0 and number not in found:
            found.add(number)
            number = parents.get(number, -1)
    return torch.tensor(sorted(found), dtype=torch.int64)


def _kept(notes: State, numbers: Tensor, values: Tensor) -> State:
    pool = values if notes["pool"] is None else torch.cat([notes["pool"], values])
    return {**notes, "numbers": torch.cat([notes["numbers"], numbers]), "pool": pool}


def _pruned(notes: State, state: State, origins: Tensor) -> State:
    """The notes without individuals that neither an elite nor an origin descends from."""
    if notes["pool"] is None:
        return notes
    there = torch.isin(notes["numbers"], _needed(notes, _lineage(state), origins))
    return {
        **notes,
        "numbers": notes["numbers"][there],
        "pool": notes["pool"][there],
        "enough": int(there.sum()),
    }


def _ticked(notes: State, state: State) -> State:
    return {
        **notes,
        "ticks": [*notes["ticks"], notes["turn"]],
        "evaluations": [*notes["evaluations"], notes["asked"]],
        "losses": [*notes["losses"], state["best"]["loss"].cpu().clone()],
    }


def _marked(notes: State, state: State, domain: Domain) -> State:
    """Who holds the cells, and what they look like where that is not kept yet."""
    holder = notes["holder"]
    told = {**notes, "marks": [*notes["marks"], notes["turn"]], "holders": [*notes["holders"], holder.clone()]}
    numbers, cells = _unlike(holder, notes["numbers"])
    if not len(numbers):
        return told
    p = state["best"]["p"]
    if _whole(state):
        return _kept(told, numbers, _of(p, cells))
    with torch.no_grad():
        some = cells.to(domain.task.key.device).split(64)
        pictures = [shrunk(to_bytes(domain.decode(take(p, rows), rows)), SIDE).cpu() for rows in some]
    return _kept(told, numbers, torch.cat(pictures))


def _unlike(holder: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers in the cells that are not known yet, ascending, and a cell of each."""
    first: dict[int, int] = {}
    for cell, number in enumerate(holder.tolist()):
        if number >= 0:
            first.setdefault(number, cell)
    fresh = sorted(set(first) - set(known.tolist()))
    return torch.tensor(fresh, dtype=torch.int64), torch.tensor([first[k] for k in fresh], dtype=torch.int64)


def _of(p: Any, rows: Tensor) -> Tensor:
    """Some genomes, which are tensors."""
    genomes: Tensor = p[rows.to(p.device)].cpu()
    return genomes


def _filled(turns: list[int], values: list[Any], wanted: tuple[int, ...]) -> list[Any]:
    """The value of the last turn up to each that is wanted; None before the first."""
    known, last, found = dict(zip(turns, values, strict=True)), None, []
    for turn in wanted:
        last = known.get(turn, last)
        found.append(last)
    return found
