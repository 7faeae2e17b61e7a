"""Climbers: points that leave the elites of cells along gradients, while evolution goes on around them."""

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.optimizers.gradient import adam
from amiss.task import ALL, Answer, Query, State

__all__ = ["asking", "climbed", "climbing", "placed", "waiting"]

_NOBODY = -1
_PATIENCE = 10  # steps; the mean of Adam's gradients, with its rate of 0.9, is by then mostly of what came since


def waiting(k: int, p: Tensor) -> State:
    """Climbers that have no cell yet.

    Args:
        k: How many.
        p: Parameters of the elites [n, ...], of whose shape theirs are.

    Returns:
        Their cells [k] (-1: none), where they are [k, ...], the averages of their gradients and of the squares, how
        many steps they have taken since they left an elite [k], the last elite on their way, by number [k], and how
        many steps it is since they last took their cell or came to it [k]; of the cells how many steps were taken
        for each so far [n].
    """
    nobody = torch.full((k,), _NOBODY, dtype=torch.int64, device=p.device)
    at, none = p.new_zeros(k, *p.shape[1:]), nobody + 1
    begun = {"cell": nobody, "p": at, "mean": at, "square": at, "steps": none, "origin": nobody, "idle": none}
    return {**begun, "climbs": torch.zeros(len(p), dtype=torch.int64, device=p.device)}


def climbing(climbers: State) -> Tensor:
    """Which climbers have a cell [r]; row i of what they ask is that of the i-th of these."""
    return (climbers["cell"] >= 0).nonzero().flatten()


def asking(climbers: State) -> Query:
    """The gradient of its own cell's loss where each climber is; its image competes in every cell."""
    rows = climbing(climbers)
    return Query(climbers["p"][rows], ALL, "grad", toward=climbers["cell"][rows])


def climbed(climbers: State, domain: Domain, answer: Answer, lr: float, born: int) -> State:
    """The climbers after a step of Adam each.

    Args:
        climbers: As they asked.
        domain: Where they climb.
        answer: What they were told.
        lr: Step size.
        born: Number of the first of the individuals that they asked about.
    """
    assert answer.grad is not None and answer.won is not None  # noqa: S101, PT018 - gradients were asked for
    # Near 1 a probability's loss has next to no gradient, and Adam would remember how steep it was: only directions.
    length = answer.grad.flatten(1).norm(dim=1).clamp_min(torch.finfo(answer.grad.dtype).tiny)
    grad = answer.grad / length.reshape(-1, *[1] * (answer.grad.ndim - 1))
    rows = climbing(climbers)[: len(grad)]  # a budget may have been too small for all
    steps, averages = climbers["steps"][rows] + 1, (climbers["mean"][rows], climbers["square"][rows])
    t = steps.to(grad.dtype).reshape(-1, *[1] * (grad.ndim - 1))
    step, mean, square = adam(grad, averages, t, lr)
    cell, row = climbers["cell"][rows], torch.arange(len(rows), device=rows.device)
    p = domain.project(climbers["p"][rows] - step, cell)
    origin = torch.where(torch.isin(row, answer.won), born + row, climbers["origin"][rows])
    idle = torch.where(answer.won[cell] == row, 0, climbers["idle"][rows] + 1)
    fresh = {"p": p, "mean": mean, "square": square, "steps": steps, "origin": origin, "idle": idle}
    told = {name: climbers[name].index_copy(0, rows, fresh[name]) for name in fresh}
    return {**climbers, **told, "climbs": climbers["climbs"].index_add(0, cell, torch.ones_like(cell))}


def placed(climbers: State, elites: Tensor, holder: Tensor, pool: Tensor, took: Tensor) -> State:
    """The climbers before the next turn: who has no cell to climb, lost it to another or is lost starts at an elite.

    Where there are more cells than climbers, who has not taken its cell for some steps leaves it to go to another:
    no cell keeps a climber for good that does it no good, and the cells that were climbed least are next.

    Args:
        climbers: Where they are.
        elites: The elite of each cell [n, ...].
        holder: Its number [n].
        pool: Whether the cell wants to be climbed still [n].
        took: The number of the individual that took the cell just now [n], -1: none.
    """
    cell = _assigned(climbers, pool)
    held = cell.clamp_min(0)
    lost = ~climbers["p"].flatten(1).isfinite().all(1)
    overtaken = (took[held] >= 0) & (took[held] != climbers["origin"])
    anew = (cell >= 0) & ((cell != climbers["cell"]) | overtaken | lost)
    wide = anew.reshape(-1, *[1] * (elites.ndim - 1))
    return {
        "cell": cell,
        "p": torch.where(wide, elites[held], climbers["p"]),
        "mean": torch.where(wide, 0.0, climbers["mean"]),
        "square": torch.where(wide, 0.0, climbers["square"]),
        "steps": torch.where(anew, 0, climbers["steps"]),
        "origin": torch.where(anew, holder[held], climbers["origin"]),
        "idle": torch.where(cell != climbers["cell"], 0, climbers["idle"]),
        "climbs": climbers["climbs"],
    }


def _assigned(climbers: State, pool: Tensor) -> Tensor:
    """The cell of each climber: those that wait go to who is free, then to who took its own longest ago."""
    cell, idle = climbers["cell"], climbers["idle"]
    cell = torch.where((cell >= 0) & pool[cell.clamp_min(0)], cell, _NOBODY)
    left = pool.index_fill(0, cell[cell >= 0], False).nonzero().flatten()
    left = left[climbers["climbs"][left].argsort(stable=True)]
    stuck = ((cell >= 0) & (idle >= _PATIENCE)).nonzero().flatten()
    stuck = stuck[idle[stuck].argsort(descending=True, stable=True)]
    free = torch.cat([(cell < 0).nonzero().flatten(), stuck])[: len(left)]
    return cell.index_copy(0, free, left[: len(free)])
