"""Evolution: a cell for each sample, and every child competes in all of them."""

from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.climbers import asking, climbed, climbing, placed, waiting
from amiss.optimizers.optimizer import Optimizer
from amiss.repro import fold, uniform
from amiss.spaces.space import Space
from amiss.task import ALL, Answer, Level, Query, State

__all__ = ["MapElites", "Parents", "ancestry"]

Parents = Literal["all", "unsolved", "unsure"]
"""Which cells parents are drawn from."""

_COLUMNS = 5  # of a capture: generation, cell, individual, its parent, its mate
_FLOOR = 0.02  # of the likelihood of a cell that is not met, so that none is left alone
_QUIET = 2  # generations of climbers in a row that take no cell, until children have their turn


class MapElites(Optimizer):
    """Elites: each cell keeps the best of all that ever lived, and the next generation are children of elites.

    The first generation is drawn by the space. From then on parents are drawn uniformly from the cells, two by two;
    the space crosses them where it can, and varies their children. Every child competes in every cell, and may take
    many. The cells are the search's standing best; after the last generation of the budget the search ends.

    The state has the lineage: `captures` [n, 5] tells, of each cell that was ever taken, the generation, the cell,
    the individual's number, its parent's and its mate's (-1: none), in order; `count` of its rows are written.
    `holder` [cells] is the number of the individual in each cell (-1: none).

    With `gradient` climbers leave the elites of the cells that parents are taken from, one a cell, by steps of Adam
    down their own cells' losses; the image of every step competes in every cell. A climber whose cell is taken by
    another starts anew from there. Where cells wait for a climber, one that has not taken its own for ten steps goes
    to the cell that was climbed least. As long as climbers take cells they are the next generation; then children
    are.

    Args:
        children: Children a generation.
        first: Individuals of the first generation; as many as children where left out.
        parents: "all": from all cells that are taken, so that who holds many cells has many children. "unsolved":
            from the cells that are not met, while there are some. "unsure": from these, and while they are more than
            the children in proportion to p (1 - p) + 0.02, with p = exp(-loss), the probability that `Confidence`
            asks for: from where a change of log-odds is the largest change of probability.
        gradient: Step size of the climbers, of whom there are no more than children; None: there are none, and no
            gradient is asked for.

    Raises:
        UsageError: No children, another word for `parents`, or a step size that is not above 0.

    References:
        Mouret and Clune (2015), illuminating search spaces by mapping elites; Nguyen, Yosinski and Clune (2015),
        deep neural networks are easily fooled, section 2, and their code, in which every child competes everywhere.
    """

    wants: Level = "loss"
    competes = True
    gradient: float | None = None

    def __init__(
        self,
        children: int = 200,
        first: int | None = None,
        parents: Parents = "unsolved",
        *,
        gradient: float | None = None,
    ) -> None:
        self.children, self.first, self.parents = children, children if first is None else first, parents
        if gradient is not None:
            self.gradient, self.wants = gradient, "grad"
        steep = gradient is None or gradient > 0
        if children < 1 or self.first < 1 or parents not in get_args(Parents) or not steep:
            raise UsageError(
                "A population cannot evolve like this.",
                slug="evolution-options",
                seen=f"children={children}, first={first}, parents={parents!r}, gradient={gradient}",
                needed="1 individual or more, parents='all', 'unsolved' or 'unsure', and a step size above 0 or none",
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
        begun = {"turn": 0, "born": 0, "pool": none < 0, **lineage}
        if self.gradient is None:
            return begun
        return {**begun, "quiet": 0, "climbers": waiting(min(n, self.children), domain.best["p"])}

    def ask(self, state: State, domain: Domain) -> Query:
        """The next generation, each for all cells."""
        turn, best = state["turn"], domain.best["p"]
        if turn > domain.steps:
            return Query(best, torch.full_like(domain.everyone, -1), "loss")
        if turn == 0:
            return Query(self._drawn(domain), ALL, "loss")
        if self._climbs(state):
            return asking(state["climbers"])
        cells, mates = self._pairs(state, domain)
        parents = _rows(best, cells)
        if type(domain.space).cross is not Space.cross:
            parents = domain.cross(parents, _rows(best, mates), turn)
        return Query(domain.vary(parents, turn), ALL, "loss")

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Note who took which cells, and from which the next parents are drawn."""
        turn, born = state["turn"], state["born"]
        told = {**state, "turn": turn + 1, "born": born + len(query), "pool": self._pool(domain)}
        if answer.won is None:
            return told
        taken = (answer.won >= 0).nonzero().flatten()
        if len(taken):
            rows = answer.won[taken]
            parent, mate = self._parents(state, domain, rows)
            fresh = torch.stack([torch.full_like(rows, turn), taken, born + rows, parent, mate], 1)
            told |= {"holder": state["holder"].index_copy(0, taken, born + rows), **_noted(state, fresh)}
        return told if self.gradient is None else {**told, **self._moved(state, told, domain, answer)}

    def _parents(self, state: State, domain: Domain, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of the parent and of the mate of rows that were asked; a climber's parent is its origin."""
        none = torch.full_like(rows, -1)
        if state["turn"] == 0:
            return none, none
        if self._climbs(state):
            return state["climbers"]["origin"][climbing(state["climbers"])[rows]], none
        cells, mates = self._pairs(state, domain)
        return state["holder"][cells[rows]], state["holder"][mates[rows]]

    def _climbs(self, state: State) -> bool:
        """Whether it is the climbers' turn."""
        return self.gradient is not None and state["turn"] > 0 and state["quiet"] < _QUIET

    def _moved(self, state: State, told: State, domain: Domain, answer: Answer) -> State:
        """The climbers after a turn of anybody's, and for how many of their own turns nothing was taken."""
        assert self.gradient is not None and answer.won is not None  # noqa: S101, PT018 - as `tell` has seen
        climbers, born, quiet = state["climbers"], state["born"], 0
        if self._climbs(state):
            climbers = climbed(climbers, domain, answer, self.gradient, born)
            quiet = 0 if bool((answer.won >= 0).any()) else state["quiet"] + 1
        took = torch.where(answer.won >= 0, born + answer.won, -1)
        return {
            "quiet": quiet,
            "climbers": placed(climbers, domain.best["p"], told["holder"], told["pool"] > 0, took),
        }

    def _drawn(self, domain: Domain) -> Any:
        """The first generation: starts of samples that are like the first one but for their keys."""
        place = torch.arange(self.first, device=domain.task.key.device)
        first = domain.task.rows(torch.zeros_like(place))
        return domain.space.start(replace(first, key=fold(fold(first.key, -3), place)))

    def _pool(self, domain: Domain) -> Tensor:
        """How likely parents are drawn from each cell [n]: from those taken, of these the unsolved ones, if any."""
        taken = domain.best["loss"].isfinite()
        unsolved = taken & ~domain.best["met"]
        if self.parents == "all" or not bool(unsolved.any()):
            return (taken if bool(taken.any()) else ~taken).double()
        if self.parents == "unsolved" or int(unsolved.sum()) <= self.children:
            return unsolved.double()  # the cells that are left are the hard ones
        p = (-domain.best["loss"].double()).exp()
        return torch.where(unsolved, p * (1 - p) + _FLOOR, 0)

    def _pairs(self, state: State, domain: Domain) -> tuple[Tensor, Tensor]:
        """The cell that each child's parent is taken from, and its mate's; rows 2i and 2i + 1 are a pair."""
        upto = state["pool"].double().cumsum(0)
        luck = _luck(int(domain.task.key[0]), state["turn"], (self.children + 1) // 2).to(upto.device)
        pairs = torch.searchsorted(upto, luck * upto[-1], right=True)  # a cell of no likelihood is passed over
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


@lru_cache(maxsize=4)
def _luck(key: int, turn: int, pairs: int) -> Tensor:
    """What the pairs of a generation are drawn by [pairs, 2], float64: whoever asks needs it, and whoever is told."""
    return uniform(fold(fold(torch.tensor([key]), turn), -2), (pairs, 2), torch.float64)[0]


def _rows(p: Any, rows: Tensor) -> Any:
    return p.index_select(0, rows) if isinstance(p, Tensor) else [p[i] for i in rows.tolist()]


def _noted(state: State, fresh: Tensor) -> State:
    """The captures with more rows written; where they are full there is room for twice as many."""
    captures, count = state["captures"], state["count"]
    room = len(captures)
    while room < count + len(fresh):
        room *= 2
    free = captures.new_full((room - count - len(fresh), _COLUMNS), -1)
    return {"captures": torch.cat([captures[:count], fresh, free]), "count": count + len(fresh)}
