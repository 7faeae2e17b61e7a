"""Where champions come from: the pictures of a line, who descends from whom, and who changed its goal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.champions.asking import confidence
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import UsageError
from amiss.optimizers.evolution import ancestry
from amiss.search import Step
from amiss.spaces.space import Space
from amiss.task import State, Task

__all__ = ["Descent", "Frames", "Lineage", "Switches", "descent", "follow", "frames", "lines", "switches"]

_ROOM = 1024  # genomes that are kept before it is first asked who of them has descendants


@dataclass(frozen=True)
class Lineage:
    """What is left of an evolution: who took which cell when, and the genomes of all ancestors of its champions.

    Attributes:
        captures: Generation, cell, individual, its parent and its mate, of each cell that was ever taken [n, 5].
        holder: The individual in each cell [cells]; -1 where none is.
        individual: Numbers of the champions and their ancestors [k], ascending; while climbers are under way, also of
            those that they set out from.
        p: Their genomes [k, ...].
    """

    captures: Tensor
    holder: Tensor
    individual: Tensor
    p: Tensor


@dataclass(frozen=True)
class Frames:
    """The line of a champion as pictures, k of them, the oldest first and the champion last.

    Attributes:
        cell: Whose champion.
        individual: Their numbers [k].
        generation: When each first took a cell [k].
        held: Which cell that was [k].
        own: Probability of that cell's class [k], float64.
        champion: Probability of the champion's class [k], float64.
        images: The pictures [k, C, H, W], uint8.
    """

    cell: int
    individual: Tensor
    generation: Tensor
    held: Tensor
    own: Tensor
    champion: Tensor
    images: Tensor


@dataclass(frozen=True)
class Descent:
    """How many champions descend from whom, by first parents.

    Attributes:
        individual: Numbers of the champions and their ancestors [k], those with the most descendants first.
        generation: When each first took a cell [k].
        cells: How many cells it holds or its descendants hold [k].
    """

    individual: Tensor
    generation: Tensor
    cells: Tensor

    @property
    def founders(self) -> int:
        """Of how many individuals of the first generation a line is left."""
        return int((self.generation == 0).sum())


@dataclass(frozen=True)
class Switches:
    """How often a cell was taken by a child of another cell's elite.

    Attributes:
        captures: Cells that were taken by children, in all.
        switched: Those whose own elite was not the child's parent.
    """

    captures: int
    switched: int

    @property
    def share(self) -> float:
        """The switched ones as a share in [0, 1]; NaN where there was no capture."""
        return self.switched / self.captures if self.captures else float("nan")


def follow(walk: Iterable[Step], known: Lineage | None = None) -> Lineage:
    """Walk an evolution to its end, and keep the genomes of its champions' ancestors.

    The state of `MapElites` has the numbers of all who ever held a cell, but the genomes of those alone who hold one
    now. Genomes without descendants are forgotten from time to time, so that what is held stays a small multiple of
    what is handed back.

    Args:
        walk: Of a probe whose optimizer is `MapElites` and whose parameters are tensors.
        known: What is known of the walk so far, where it is gone on with from a state.

    Raises:
        UsageError: The walk has no step, and nothing is known.
    """
    kept = {} if known is None else dict(zip(known.individual.tolist(), known.p, strict=True))
    count, room, state = 0 if known is None else len(known.captures), _ROOM, None
    for step in walk:
        state, best = step.state["optimizer"], step.state["best"]["p"]
        for _, cell, individual, *_ in state["captures"][count : state["count"]].tolist():
            kept.setdefault(individual, best[cell].clone())
        count = state["count"]
        if len(kept) > room:
            kept = _alive(kept, state)
            room = max(room, 2 * len(kept))
    if state is None:
        if known is None:
            raise UsageError(
                "There is no evolution to follow.",
                slug="lineage-empty",
                seen="a walk without a step",
                needed="one step or more, or what is known of it",
                why="a state whose budget is spent",
                hint="follow(probe.walk(classifier, classes(classifier)))",
            )
        return known
    captures, holder = state["captures"][:count].cpu(), state["holder"].cpu()
    kept = _alive(kept, state)
    individual = sorted(kept)
    return Lineage(captures, holder, torch.tensor(individual), torch.stack([kept[i] for i in individual]).cpu())


def lines(captures: Tensor, holder: Tensor) -> list[Tensor]:
    """The lines of all champions by first parents, the oldest first and the champion last.

    Args:
        captures: Of `Lineage`, or those written in the state of `MapElites` [n, 5].
        holder: The individual in each cell [cells].

    Returns:
        For each cell the rows [k, 5] of captures where its ancestors first took a cell; none where it is empty.
    """
    first, parent = _first(captures), captures[:, 3].tolist()
    return [captures[_climb(own, first, parent)[::-1]] for own in holder.tolist()]


def frames(classifier: Classifier, space: Space, lineage: Lineage, cell: int, batch: int = 200) -> Frames:
    """The line of a champion as pictures, and what the classifier takes each for.

    Args:
        classifier: Who is asked: of each picture, for the class it held and for the champion's.
        space: That the genomes are of.
        lineage: From `follow`.
        cell: Whose champion; cells are classes, as `classes(classifier)` makes them.
        batch: Images a pass.

    References:
        Nguyen, Yosinski and Clune (2015), innovation engines (the line of a champion across classes).
    """
    line = ancestry(_state(lineage), cell).flip(0)
    rows = torch.searchsorted(lineage.individual, line[:, 2].contiguous())
    images = to_bytes(space.decode(Task(key=torch.zeros(len(rows), dtype=torch.int64)), lineage.p[rows]))
    own = confidence(classifier, images, line[:, 1], batch)
    champion = confidence(classifier, images, torch.full_like(line[:, 1], cell), batch)
    return Frames(cell, line[:, 2], line[:, 0], line[:, 1], own, champion, images)


def descent(lineage: Lineage) -> Descent:
    """How many cells each individual's descendants hold: where one line spread over many classes.

    References:
        Nguyen, Yosinski and Clune (2015), innovation engines (adaptive radiation: one ancestor, many classes).
    """
    count: dict[tuple[int, int], int] = {}
    for line in lines(lineage.captures, lineage.holder):
        for generation, _, individual, *_ in line.tolist():
            count[individual, generation] = count.get((individual, generation), 0) + 1
    order = sorted(count, key=lambda own: (-count[own], own))
    told = torch.tensor([(*own, count[own]) for own in order], dtype=torch.int64)
    return Descent(*told.reshape(-1, 3).unbind(1))


def switches(captures: Tensor) -> Switches:
    """How often evolution changed its goal: a child of one cell's elite became the elite of another cell.

    Args:
        captures: Of `Lineage`, or of the state of `MapElites` [n, 5].

    References:
        Nguyen, Yosinski and Clune (2015), innovation engines (goal switching).
    """
    holder: dict[int, int] = {}
    taken, switched, turn = 0, 0, -1
    fresh: dict[int, int] = {}
    for generation, cell, individual, parent, _ in captures.tolist():
        if generation != turn:  # parents are drawn before anyone of their generation is let in
            holder |= fresh
            fresh, turn = {}, generation
        fresh[cell] = individual
        if parent >= 0:
            taken += 1
            switched += holder.get(cell) != parent
    return Switches(taken, switched)


def _state(lineage: Lineage) -> State:
    """What `ancestry` reads of a state."""
    return {"captures": lineage.captures, "count": len(lineage.captures), "holder": lineage.holder}


def _first(captures: Tensor) -> dict[int, int]:
    """For each individual the row of its first capture."""
    first: dict[int, int] = {}
    for row, individual in enumerate(captures[:, 2].tolist()):
        first.setdefault(individual, row)
    return first


def _climb(own: int, first: Mapping[int, int], parent: Sequence[int]) -> list[int]:
    """Rows of first captures from an individual up to its founder."""
    rows = []
    while own >= 0:
        rows.append(first[own])
        own = parent[rows[-1]]
    return rows


def _alive(kept: dict[int, Tensor], state: State) -> dict[int, Tensor]:
    """Of the genomes those of champions, and of those that climbers set out from, and of all their ancestors."""
    captures = state["captures"][: state["count"]]
    first, parent = _first(captures), captures[:, 3].tolist()
    ends = [state["holder"], *([state["climbers"]["origin"]] if "climbers" in state else [])]
    alive: set[int] = set()
    for own in torch.cat(ends).tolist():
        while own >= 0 and own not in alive:
            alive.add(own)
            own = parent[first[own]]
    return {individual: p for individual, p in kept.items() if individual in alive}
