"""What a walk remembers of every sample: its standing best, its costs, and how it ended."""

from typing import Any, Literal

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.optimizers.optimizer import Left
from amiss.order import better, champions, first_rows
from amiss.result import Outcome, Status
from amiss.task import ALL, Answer, Query, State

__all__ = ["begin", "outcome", "rows_each", "stand"]


def begin(domain: Domain) -> State:
    """The memory before the first turn."""
    n, device = len(domain.task), domain.task.key.device
    start = domain.start()
    infinite = torch.full((n,), torch.inf, device=device)
    if isinstance(start, Tensor):
        infinite = infinite.to(start.dtype)
    none = torch.zeros(n, dtype=torch.bool, device=device)
    count = torch.zeros(n, dtype=torch.int64, device=device)
    return {
        "turn": 0,
        "seconds": 0.0,
        "best": {"p": start, "met": none, "size": infinite, "loss": infinite},
        "alive": ~none,  # still searching
        "broken": none,  # a loss or gradient was not finite
        "climbed": none,  # a gradient was read
        "flat": ~none,  # and every one so far was zero
        "first": count - 1,  # turn of the first success
        "turns": count,
        "queries": count,
    }


def stand(
    state: State,
    query: Query,
    answer: Answer,
    domain: Domain,
    until: Literal["met", "budget"],
    looks: int,
    keeps: Literal["smallest", "lowest"] = "smallest",
) -> tuple[Tensor, Tensor, State]:
    """Count an answer: the standing best competes as one more row, and keeps its place on a tie.

    Args:
        state: The memory so far.
        query: What was asked.
        answer: What was read.
        domain: The samples.
        until: Whether a success ends a sample's search.
        looks: Images that one row cost.
        keeps: Whether sizes count between successes, or losses alone.

    Returns:
        The foremost row of each sample [n] (-1: none), whether it became the standing best [n], the memory after.
    """
    best, n = state["best"], len(domain.task)
    at, owner = domain.everyone, query.owner
    counted = answer.size if keeps == "smallest" else torch.zeros_like(answer.size)
    if owner is ALL:
        rows = champions(answer.met, counted, answer.loss)
        met, size, loss = answer.met[rows, at], answer.size[rows], answer.loss[rows, at]
        asked = torch.full_like(at, len(query))
    elif owner is at:
        rows, met, size, loss = at, answer.met, answer.size, answer.loss
        asked = torch.ones_like(at)
    else:
        rows = first_rows(owner, n, answer.met, counted, answer.loss)
        own = rows.clamp_min(0)
        met, size, loss = answer.met[own], answer.size[own], answer.loss[own]
        asked = rows_each(owner, n)
    there = rows >= 0
    rival = best["size"] if keeps == "smallest" else torch.zeros_like(best["size"])
    weighed = size if keeps == "smallest" else torch.zeros_like(size)
    ahead = there & better(met, weighed, loss, (best["met"], rival, best["loss"]))
    kept = {
        "p": _merge(ahead, query.p, rows, best["p"], rows is at),
        "met": torch.where(ahead, met, best["met"]),
        "size": torch.where(ahead, size.to(best["size"].dtype), best["size"]),
        "loss": torch.where(ahead, loss.to(best["loss"].dtype), best["loss"]),
    }
    broken, climbed, flat = _faults(state, owner, answer, n)
    alive = state["alive"] & ~broken
    if until == "met":
        alive = alive & ~kept["met"]
    memory = {
        **state,
        "best": kept,
        "alive": alive,
        "broken": broken,
        "climbed": climbed,
        "flat": flat,
        "first": torch.where(there & kept["met"] & (state["first"] < 0), state["turn"], state["first"]),
        "turns": state["turns"] + (asked > 0),
        "queries": state["queries"] + asked * looks,
    }
    return rows, ahead, memory


def outcome(
    state: State, i: int, held: bool, unmoved: bool, starved: bool = False, left: Left | None = None
) -> Outcome:
    """How sample i ended.

    Args:
        state: The memory at the end.
        i: The sample.
        held: Whether its success was judged once more, and held.
        unmoved: Whether its best attempt is where the search started.
        starved: Whether the search ended because not even one row fits into memory.
        left: What the optimizer says of the samples that it leaves unmet.
    """
    best, first = state["best"], int(state["first"][i])
    turns, queries = int(state["turns"][i]), int(state["queries"][i])
    status: Status
    if held and first == 0 and unmoved:
        status, reason = "already-met", "Met before anything was changed."
    elif held:
        status, reason = "met", f"First met at turn {first}."
    elif starved and bool(best["met"][i] | state["alive"][i]):
        status, reason = "out-of-memory", "Not even one row fits into memory."
    elif bool(best["met"][i]):
        status, reason = "exhausted", "A success did not hold when judged once more: it lay within rounding."
    elif bool(state["broken"][i]):
        status, reason = "not-finite", f"A loss or gradient that is not finite, at turn {turns - 1}."
    elif bool(state["climbed"][i] & state["flat"][i]):
        status, reason = "no-gradient", "Every gradient was zero: nothing says where to go."
    elif left is not None and bool(left[0][i]):
        status, reason = left[1:]
    else:
        status, reason = "exhausted", f"Not met within the budget: {turns} turns, {queries} queries."
    return Outcome(status, float(best["size"][i]), float(best["loss"][i]), turns, queries, first, reason)


def rows_each(owner: Tensor, n: int) -> Tensor:
    """How many rows each of n samples has [n]; idle rows belong to nobody."""
    return torch.bincount(owner + 1, minlength=n + 1)[1:]


def _faults(state: State, owner: Tensor | None, answer: Answer, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which samples met a number that is not finite, which read a gradient, and which saw no slope so far."""
    broken, climbed, flat = state["broken"], state["climbed"], state["flat"]
    if owner is ALL:
        # A row that answers no number loses to any other; a sample of which all rows do is lost.
        if not bool(answer.loss.amin(0).isnan().any()):
            return broken, climbed, flat
        return broken | answer.loss.isnan().all(0), climbed, flat
    bad = answer.loss.isnan()
    if answer.grad is not None:
        steep = answer.grad.flatten(1).abs().amax(1)  # NaN and infinity come through
        bad = bad | ~steep.isfinite()
        if bool(flat.any()):
            climbed = climbed | (rows_each(owner, n) > 0)
            flat = flat & (rows_each(torch.where(steep > 0, owner, -1), n) == 0)
    if bool(bad.any()):
        broken = broken | (rows_each(torch.where(bad, owner, -1), n) > 0)
    return broken, climbed, flat


def _merge(ahead: Tensor, p: Any, rows: Tensor, best: Any, in_order: bool) -> Any:
    """The best parameters: a row's where it came ahead, the incumbent's elsewhere."""
    if not bool(ahead.any()):
        return best
    if not isinstance(p, Tensor):
        return [p[r] if a else q for a, r, q in zip(ahead.tolist(), rows.tolist(), best, strict=True)]
    if in_order:
        return torch.where(ahead.reshape(-1, *[1] * (p.ndim - 1)), p, best)
    at = ahead.nonzero().flatten()
    return best.index_copy(0, at, p[rows[at]].to(best.dtype))
