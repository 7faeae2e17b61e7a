"""The smallest change in the Euclidean norm, by taking its direction and its length apart."""

import math

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Query, State

__all__ = ["DDN"]

_FIRST, _LAST = 1.0, 0.01  # length of the first step and of the last, as a share of the change's
_HUNT = 1.5  # growth of the length before the first success


class DDN(Optimizer):
    """Decoupled direction and norm: steps along the gradient, on a sphere that shrinks while the objective is met.

    Each turn the change goes a step along a normalized gradient, and is brought to the length r. Where the point that
    was read is met, r becomes (1 - gamma) r, elsewhere (1 + gamma) r; before the first success it grows by half. The
    first r is where linear log-odds would be even. Steps wane as a cosine from r to r / 100 over the budget's steps.
    So after steps enough r is within gamma of the boundary along its ray. The last `halvings` turns, which need no
    gradient, look whether it is, go further in where it is not, and bisect what is left.

    At first the gradient is that of the log-odds of success, in which all classes pull: that chooses where to go.
    From half of the turns on it is that of the slack, which is 0 on the boundary itself.

    Lengths are those of the parameters: in `Pixels` those of the image's change. The smallest success is kept.

    Args:
        gamma: By how much the length changes in a turn, in (0, 1).
        halvings: Bisections at the end.

    Raises:
        UsageError: A number outside its range.

    References:
        Rony, Hafemann, Oliveira, Ben Ayed, Sabourin and Granger (2019), decoupling direction and norm for efficient
        gradient-based L2 adversarial attacks and defenses, algorithm 1. Theirs climbs the cross-entropy, whose
        gradient has the direction of the log-odds', to the end; its first r is 1, its steps do not depend on r, and
        it has no bisection.
    """

    def __init__(self, gamma: float = 0.1, halvings: int = 6) -> None:
        if not 0 < gamma < 1 or halvings < 0:
            raise UsageError(
                "A change cannot be made small like this.",
                slug="ddn-options",
                seen=f"gamma={gamma}, halvings={halvings}",
                needed="gamma between 0 and 1, halvings of 0 or more",
                hint="DDN(gamma=0.1, halvings=6)",
            )
        self.gamma, self.halvings = gamma, halvings

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the start, or where the optimizer before ended."""
        p = domain.start() if warm is None else warm["p"]
        if not isinstance(p, Tensor):
            raise ContractError(
                f"DDN steps along gradients, and {type(domain.space).__name__} has none.",
                slug="contract-gradient",
                hint="Use an optimizer that evolves, or a space whose parameters are a tensor.",
            )
        p = p if len(p) == len(domain.task) else domain.best["p"]
        one = p.new_ones(len(p))
        ray = {"base": p, "low": (1 - self.gamma) * one, "high": one, "sure": one < 0}
        return {"p": p, "turn": 0, "radius": one, **ray}

    def ask(self, state: State, domain: Domain) -> Query:
        """The points on their spheres; then, of what was met, points between the boundary and the best."""
        turn, everyone = state["turn"], domain.everyone
        if turn > domain.steps:
            return Query(state["p"], torch.full_like(everyone, -1), "loss")
        if turn < self._turns(domain):
            return Query(
                state["p"], everyone, "grad", None, turn, "odds" if 2 * turn < self._turns(domain) else "slack"
            )
        met = domain.best["met"] if turn > self._turns(domain) else torch.ones_like(domain.best["met"])
        return Query(state["p"], torch.where(met, everyone, -1), "loss")

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """A step upon a sphere, or half of what is left."""
        turn, turns = state["turn"], self._turns(domain)
        if turn < turns:
            told = self._step(state, domain, answer, turns)
        else:
            told = self._halve(state, domain, answer, fresh=turn == turns)
        assert query.owner is not None  # noqa: S101 - as `ask` made it
        fit = (query.owner >= 0) & told["p"].flatten(1).isfinite().all(1)
        told["p"] = torch.where(_like(fit, told["p"]), told["p"], state["p"])
        return {**state, **told, "turn": turn + 1}

    def _turns(self, domain: Domain) -> int:
        """Turns with a gradient; at least one, and never more than half of a small budget is bisected."""
        return max(1, domain.steps - min(self.halvings, domain.steps // 2))

    def _step(self, state: State, domain: Domain, answer: Answer, turns: int) -> State:
        """The next points, and the lengths that they have before the box cuts them."""
        assert answer.grad is not None and answer.value is not None  # noqa: S101, PT018 - as asked
        start, g, turn = _start(domain), answer.grad.flatten(1), state["turn"]
        if turn == 0:
            radius = answer.value.abs() / g.norm(dim=1).clamp_min(torch.finfo(g.dtype).tiny)
        else:
            grown = torch.where(domain.best["met"], 1 + self.gamma, _HUNT)
            radius = state["radius"] * torch.where(answer.met, 1 - self.gamma, grown)
        share = _LAST + (_FIRST - _LAST) * (1 + math.cos(math.pi * turn / turns)) / 2
        change = (state["p"] - start).flatten(1) + share * radius[:, None] * _unit(g)
        change = radius[:, None] * _unit(change)
        p = domain.project(start + change.view_as(start), domain.everyone)
        return {"p": p, "radius": radius}

    def _halve(self, state: State, domain: Domain, answer: Answer, fresh: bool) -> State:
        """A failure on the best one's ray, and from then on half the way between it and the shortest success."""
        start, met, base = _start(domain), answer.met, state["base"]
        low, high, sure = state["low"], state["high"], state["sure"]
        if fresh:  # the last point of the sphere was read: from now on the best is made smaller
            base = domain.best["p"]
        else:
            middle = torch.where(sure, (low + high) / 2, low)  # as it was asked
            further = (low - 2 * (high - low)).clamp_min(0)  # a success where a failure was thought to be
            low = torch.where(met, torch.where(sure, low, further), middle)
            high, sure = torch.where(met, middle, high), sure | ~met
        share = torch.where(sure, (low + high) / 2, low)
        p = start + _like(share, base) * (base - start)
        return {"p": domain.project(p, domain.everyone), "base": base, "low": low, "high": high, "sure": sure}


def _start(domain: Domain) -> Tensor:
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - `init` has refused genomes
    return start


def _unit(v: Tensor) -> Tensor:
    """Rows [n, d] of length 1; a row of zeros stays one."""
    return v / v.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)


def _like(value: Tensor, p: Tensor) -> Tensor:
    return value.reshape(-1, *[1] * (p.ndim - 1))
