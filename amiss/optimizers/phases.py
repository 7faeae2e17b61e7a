"""Two phases of a search in a box: sign steps that wane, then L-BFGS for the samples that the box does not hold."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.lbfgsb import LBFGSB, begin, pair, select
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Query, State

__all__ = ["TwoPhase"]

_LEAST = 0.02  # the last sign step, as a share of the box's radius; the first is the whole of it
_LOOK, _TELL, _TURN = 0.2, 0.35, 0.55  # parts of the steps: pushes are counted from, are counted until, signs end at
_POLISH, _WORTH = 0.1, 10  # part of the steps that is left to L-BFGS for all others, if it is so many at the least
_PUSHED = 0.53  # share of the pixels on the bound that are pushed against it: one half is chance


class TwoPhase(Optimizer):
    """Momentum sign steps, and then L-BFGS where few pixels are held by the box.

    **Signs.** v <- momentum v + g / mean |g|; x <- clip(x - r s sign v), with the radius r of the box and a share s
    that falls from 1 to 1/50 as the square of the part of the steps that is left. The best point of each sample is
    kept.

    **Who turns.** A step of the sign puts most pixels on the bound, whether they belong there or not. Where they do
    not, the gradient pushes half of them back, as chance has it; where the bound holds them, it pushes most of them
    against it. Counted over a part of the steps, that tells the samples apart: those that the box hardly holds (the
    last layers of a network) wane faster and turn to `LBFGSB`, with the best point and the last pairs. The others
    (the first layers) go on with signs, for there L-BFGS falls behind. Of a hundred steps or more the last tenth is
    L-BFGS for them, too.

    Each sample is judged by itself. After turning it stops as `LBFGSB` does. The randomness of an objective stays
    pinned to one draw.

    Args:
        momentum: Share of the average gradient that stays, in [0, 1).
        memory: Pairs (s, y) that L-BFGS is told the curvature by.
        fall: Least relative fall of the loss in ten turns of L-BFGS; below that a sample is finished.

    Raises:
        UsageError: A momentum outside [0, 1).

    References:
        Dong, Liao, Pang et al. (2018), boosting adversarial attacks with momentum, eq. 6 and 7 (the steps); Liu and
        Nocedal (1989), on the limited memory BFGS method, algorithm 2.1.
    """

    def __init__(self, momentum: float = 0.75, memory: int = 10, fall: float = 1e-3) -> None:
        if not 0 <= momentum < 1:
            raise UsageError(
                "A momentum is a share of what was.",
                slug="two-phase-momentum",
                seen=f"momentum={momentum}",
                needed="a number of 0 or more, below 1",
                hint="TwoPhase(momentum=0.75)",
            )
        self.momentum, self.memory, self.fall = momentum, memory, fall

    @property
    def later(self) -> LBFGSB:
        """Who the samples turn to."""
        return LBFGSB(self.memory, self.fall)

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the start, or where the optimizer before ended."""
        box = domain.bounds(domain.everyone)
        if box is None:
            raise ContractError(
                f"The steps are measured by a box, and {type(domain.space).__name__} has none.",
                slug="contract-box",
                seen=f"TwoPhase with {type(domain.space).__name__}",
                needed="images as parameters, which lie in [0, 1] at the least",
                hint="Use Pixels(), or LBFGSB() or Adam(0.02) on codes.",
            )
        p = begin(domain, warm)
        none = torch.zeros_like(p)
        count = p.new_zeros(len(p))
        return {
            "turn": 0,
            "p": p,  # where each sample is: the point that was read last, or in the second phase the best one
            "trial": p,
            "at": p,  # the point before, with its slope
            "slope": none,
            "average": none,
            "radius": torch.maximum(box[1] - p, p - box[0]).flatten(1).amax(1),
            "best": {"p": p, "f": count + torch.inf, "g": none},
            "s": [],
            "y": [],
            "pushed": count,  # pixels on the bound that the gradient pushes against it, and back from it
            "pulled": count.clone(),
            "free": count > 0,  # who the box hardly holds
            "gone": count > 0,  # who is in the second phase
            "later": None,
        }

    def ask(self, state: State, domain: Domain) -> Query:
        """The points of both phases; after the last step their loss alone."""
        turn, everyone, owner, p = state["turn"], domain.everyone, domain.everyone, state["trial"]
        if turn > domain.steps:
            return Query(p, torch.full_like(everyone, -1), "met")
        if state["later"] is not None:
            p = select(state["gone"], state["later"]["trial"], p)
            idle = state["gone"] & state["later"]["done"]
            owner = torch.where(idle, -1, everyone) if bool(idle.any()) else everyone
        last = turn == domain.steps
        return Query(p, owner, "loss" if last else "grad", domain.weight(everyone), None if last else 0)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """A step of each sample in its phase."""
        turn, later = state["turn"], state["later"]
        if answer.grad is None or query.owner is None:
            return {**state, "turn": turn + 1}
        parts = _parts(domain.steps)
        rest = replace(domain, steps=domain.steps - parts.free)
        told = {**state, "turn": turn + 1}
        if later is not None:
            theirs = replace(query, owner=torch.where(state["gone"], query.owner, -1))
            told["later"] = self.later.tell(later, rest, theirs, answer)
        if not bool(state["gone"].all()):
            told |= self._sign(told, domain, answer, (query.owner >= 0) & ~state["gone"])
        told["p"] = told["at"] if told["later"] is None else select(told["gone"], told["later"]["p"], told["at"])
        if turn + 1 == parts.tell:
            told["free"] = told["pushed"] <= _PUSHED * (told["pushed"] + told["pulled"])
        all_turn = turn + 1 == parts.last < domain.steps
        if all_turn or turn + 1 == parts.free:
            told |= self._turned(told, rest, turn + 1 - parts.free, told["free"] | all_turn)
        return told

    def _turned(self, state: State, rest: Domain, turn: int, goes: Tensor) -> State:
        """The state with those who go, and have not gone yet, in the second phase."""
        new, later = goes & ~state["gone"], state["later"]
        if not bool(new.any()):
            return {}
        begun = self.later.init(rest, {**state["best"], "s": state["s"], "y": state["y"]})
        begun |= {"done": begun["done"] | ~new, "turn": turn}
        if later is not None:
            begun = {name: _merged(new, value, later[name]) for name, value in begun.items()}
        unread = {
            **state["best"],
            "f": torch.full_like(state["radius"], torch.inf),
            "p": state["trial"],
            "g": torch.zeros_like(state["at"]),
        }
        return {"later": begun, "gone": goes | state["gone"], "best": unread, "s": [], "y": []}

    def _sign(self, state: State, domain: Domain, answer: Answer, asked: Tensor) -> State:
        """The state after a sign step of those that were asked."""
        assert answer.grad is not None and answer.value is not None  # noqa: S101, PT018 - as asked
        turn, p, g, steps, best = state["turn"] - 1, state["trial"], answer.grad, domain.steps, state["best"]
        like, parts = (-1, *[1] * (g.ndim - 1)), _parts(steps)
        told: State = {"at": p, "slope": g}
        if parts.look <= turn < parts.tell:
            told |= _pushes(state, domain, g)
        soon = turn < parts.free and bool(state["free"].any())
        if soon or parts.last - self.memory <= turn < parts.last < steps:  # what the second phase will begin with
            s, y = pair(p, state["at"], g, state["slope"], asked)
            better = asked & (answer.value < best["f"])
            told |= {"s": [*state["s"], s][-self.memory :], "y": [*state["y"], y][-self.memory :]}
            told["best"] = {
                "p": select(better, p, best["p"]),
                "f": torch.where(better, answer.value, best["f"]),
                "g": select(better, g, best["g"]),
            }
        mean = g.flatten(1).abs().mean(1).clamp_min(torch.finfo(g.dtype).tiny)
        average = self.momentum * state["average"] + g / mean.reshape(like)
        step = _share(turn, steps, state["free"]).to(g) * state["radius"]
        trial = domain.project(p - step.reshape(like) * average.sign(), domain.everyone)
        return {**told, "average": select(asked, average, state["average"]), "trial": select(asked, trial, p)}


class _Parts(NamedTuple):
    """When pushes are counted from, when it is told who is free, when those turn, and when all others do."""

    look: int
    tell: int
    free: int
    last: int


def _parts(steps: int) -> _Parts:
    tell, rest = int(_TELL * steps), int(_POLISH * steps)
    return _Parts(int(_LOOK * steps), tell, max(tell + 1, int(_TURN * steps)), steps - rest * (rest >= _WORTH))


def _share(turn: int, steps: int, free: Tensor) -> Tensor:
    """Share of the radius that each sample steps [n]: until it is told who is free, all wane as fast as those."""
    parts = _parts(steps)
    fast, slow = ((max(end - turn, 0) / max(end, 1)) ** 2 for end in (parts.free, parts.last))
    return _LEAST + (1 - _LEAST) * torch.where(free | (turn < parts.tell), fast, slow)


def _merged(rows: Tensor, new: Any, old: Any) -> Any:
    """Part of a state of the second phase: new in these rows, old elsewhere."""
    if isinstance(new, list):
        return [select(rows, one, other) for one, other in zip(new, old, strict=True)]
    return select(rows, new, old) if isinstance(new, Tensor) else new


def _pushes(state: State, domain: Domain, slope: Tensor) -> State:
    """Pixels on the bound, counted by where the gradient pushes them."""
    box, p = domain.bounds(domain.everyone), state["trial"]
    assert box is not None  # noqa: S101 - `init` has refused
    down, up, falls, rises = p <= box[0], p >= box[1], slope > 0, slope < 0
    against, away = (down & falls) | (up & rises), (down & rises) | (up & falls)
    return {
        "pushed": state["pushed"] + against.flatten(1).sum(1),
        "pulled": state["pulled"] + away.flatten(1).sum(1),
    }
