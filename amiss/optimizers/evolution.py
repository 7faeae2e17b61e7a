"""Evolution: a cell for each sample, and every child competes in all of them."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.repro import fold, uniform
from amiss.spaces.space import Space
from amiss.task import ALL, Answer, Level, Query, State

__all__ = ["MapElites", "ancestry"]

_COLUMNS = 5  # of a capture: generation, cell, individual, its parent, its mate


class MapElites(Optimizer):
    """Elites: each cell keeps the best of all that ever lived, and the next generation are children of elites.

    The first generation is drawn by the space. From then on parents are drawn uniformly from the cells, two by two;
    the space crosses them where it can, and varies their children. Every child competes in every cell, and may take
    many. The cells are the search's standing best; after the last generation of the budget the search ends.

    The state has the lineage: `captures` [n, 5] tells, of each cell that was ever taken, the generation, the cell,
    the individual's number, its parent's and its mate's (-1: none), in order; `count` of its rows are written.
    `holder` [cells] is the number of the individual in each cell (-1: none).

    Args:
        children: Children a generation.
        first: Individuals of the first generation; as many as children where left out.
        parents: "all": from all cells that are taken, so that who holds many cells has many children. "unsolved":
            from the cells that are not met, while there are some.

    Raises:
        UsageError: No children, or another word for `parents`.

    References:
        Mouret and Clune (2015), illuminating search spaces by mapping elites; Nguyen, Yosinski and Clune (2015),
        deep neural networks are easily fooled, section 2, and their code, in which every child competes everywhere.
    """

    wants: Level = "loss"
    competes = True

    def __init__(
        self, children: int = 200, first: int | None = None, parents: Literal["all", "unsolved"] = "unsolved"
    ) -> None:
        self.children, self.first, self.parents = children, children if first is None else first, parents
        if children < 1 or self.first < 1 or parents not in ("all", "unsolved"):
            raise UsageError(
                "A population cannot evolve like this.",
                slug="evolution-options",
                seen=f"children={children}, first={first}, parents={parents!r}",
                needed="1 individual or more, and parents='all' or 'unsolved'",
                hint="MapElites(children=200, parents='unsolved')",
            )

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """An empty lineage."""
        if type(domain.space).vary is Space.vary:
            raise ContractError(
                f"{type(domain.space).__name__} has no children: it does not say how parameters vary.",
                slug="contract-evolves",
                seen=f"MapElites in {type(domain.space).__name__}",
                needed="a space with vary(parents, key, turn)",
                hint="Search in Genome((1, 28, 28)) or CPPN((1, 28, 28)), or by another optimizer.",
            )
        n, key = len(domain.task), domain.task.key
        none = torch.full((n,), -1, dtype=torch.int64, device=key.device)
        lineage = {"captures": key.new_full((4 * n, _COLUMNS), -1), "count": 0, "holder": none}
        return {"turn": 0, "born": 0, "pool": none < 0, **lineage}

    def ask(self, state: State, domain: Domain) -> Query:
        """The next generation, each for all cells."""
        turn, best = state["turn"], domain.best["p"]
        if turn > domain.steps:
            return Query(best, torch.full_like(domain.everyone, -1), "loss")
        if turn == 0:
            return Query(self._drawn(domain), ALL, "loss")
        cells, mates = self._pairs(state, domain)
        return Query(domain.vary(domain.cross(_rows(best, cells), _rows(best, mates), turn), turn), ALL, "loss")

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Note who took which cells, and from which the next parents are drawn."""
        turn, born, holder = state["turn"], state["born"], state["holder"]
        told = {**state, "turn": turn + 1, "born": born + len(query), "pool": self._pool(domain)}
        if answer.won is None or not bool((taken := (answer.won >= 0).nonzero().flatten()).numel()):
            return told
        rows = answer.won[taken]
        parent = mate = torch.full_like(rows, -1)
        if turn > 0:
            cells, mates = self._pairs(state, domain)
            parent, mate = holder[cells[rows]], holder[mates[rows]]
        fresh = torch.stack([torch.full_like(rows, turn), taken, born + rows, parent, mate], 1)
        return {**told, "holder": holder.index_copy(0, taken, born + rows), **_noted(state, fresh)}

    def _drawn(self, domain: Domain) -> Any:
        """The first generation: starts of samples that are like the first one but for their keys."""
        place = torch.arange(self.first, device=domain.task.key.device)
        first = domain.task.rows(torch.zeros_like(place))
        return domain.space.start(replace(first, key=fold(fold(first.key, -3), place)))

    def _pool(self, domain: Domain) -> Tensor:
        """Cells that parents are drawn from [n]: those taken, of these the unsolved ones; all where there is none."""
        taken = domain.best["loss"].isfinite()
        unsolved = taken & ~domain.best["met"]
        if self.parents == "unsolved" and bool(unsolved.any()):
            return unsolved
        return taken if bool(taken.any()) else ~taken

    def _pairs(self, state: State, domain: Domain) -> tuple[Tensor, Tensor]:
        """The cell that each child's parent is taken from, and its mate's; rows 2i and 2i + 1 are a pair."""
        pool = state["pool"].nonzero().flatten()
        key = fold(fold(domain.task.key[:1], state["turn"]), -2)
        luck = uniform(key, ((self.children + 1) // 2, 2), torch.float64)[0]
        pairs = pool[(luck * len(pool)).long()]
        return pairs.flatten()[: self.children], pairs.flip(1).flatten()[: self.children]


def ancestry(state: State, cell: int) -> Tensor:
    """The line of an elite, from itself back to the first generation, by first parents.

    Args:
        state: Of `MapElites`.
        cell: Whose elite.

    Returns:
        One row [k, 5] of `captures` for each individual: when it first took a cell, which, its number, its parent's
        and its mate's. Empty where the cell was never taken.
    """
    captures = state["captures"][: state["count"]]
    first: dict[int, int] = {}
    for i, individual in enumerate(captures[:, 2].tolist()):
        first.setdefault(individual, i)
    line, own = [], int(state["holder"][cell])
    while own >= 0:
        line.append(first[own])
        own = int(captures[line[-1], 3])
    return captures[line]


def _rows(p: Any, rows: Tensor) -> Any:
    return p[rows] if isinstance(p, Tensor) else [p[i] for i in rows.tolist()]


def _noted(state: State, fresh: Tensor) -> State:
    """The captures with more rows written; where they are full there is room for twice as many."""
    captures, count = state["captures"], state["count"]
    room = len(captures)
    while room < count + len(fresh):
        room *= 2
    grown = captures.new_full((room, _COLUMNS), -1)
    grown[:count] = captures[:count]
    grown[count : count + len(fresh)] = fresh
    return {"captures": grown, "count": count + len(fresh)}
