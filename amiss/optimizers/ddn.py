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
_OVER = 1.02  # of the way to its boundary a further start goes: on it, rounding would say what is met
_AMONG = 5  # classes that are looked at for the nearest boundaries, those that are least behind


class DDN(Optimizer):
    """Decoupled direction and norm: steps along the gradient, on a sphere that shrinks while the objective is met.

    Each turn the change goes a step along a normalized gradient, and is brought to the length r. Where the point that
    was read is met, r becomes (1 - gamma) r, elsewhere (1 + gamma) r; before the first success it grows by half. The
    first r is where linear log-odds would be even. Steps wane as a cosine from r to r / 100 over the budget's steps.
    So after steps enough r is within gamma of the boundary along its ray. The last `halvings` turns, which need no
    gradient, look whether it is, go further in where it is not, and bisect what is left.

    At first the gradient is that of the log-odds of success, in which all classes pull: that chooses where to go.
    After half of the passes it is that of the slack, which is 0 on the boundary itself.

    Several starts race over the first half of the passes, a row each; the one with the smallest success goes on. The
    first sets out along the log-odds. The others begin a little beyond the boundaries that the margins would have if
    they were linear, the nearest first: where an objective is met as soon as any margin is 0, such as `Avoid`, these
    are other ways out. A start for which no class is left is idle.

    Lengths are those of the parameters: in `Pixels` those of the image's change. The smallest success is kept.

    Args:
        gamma: By how much the length changes in a turn, in (0, 1).
        halvings: Bisections at the end.
        starts: How many starts race. More than one ask for a Jacobian once.

    Raises:
        UsageError: A number outside its range.

    References:
        Rony, Hafemann, Oliveira, Ben Ayed, Sabourin and Granger (2019), decoupling direction and norm for efficient
        gradient-based L2 adversarial attacks and defenses, algorithm 1. Theirs climbs the cross-entropy, whose
        gradient has the direction of the log-odds', to the end; its first r is 1, its steps do not depend on r, and
        it has one start and no bisection. Moosavi-Dezfooli, Fawzi and Frossard (2016), DeepFool, eq. 7 and 8 (the
        nearest linearized boundaries).
    """

    starts: int = 1

    def __init__(self, gamma: float = 0.1, halvings: int = 6, starts: int = 1) -> None:
        if not 0 < gamma < 1 or halvings < 0 or starts < 1:
            raise UsageError(
                "A change cannot be made small like this.",
                slug="ddn-options",
                seen=f"gamma={gamma}, halvings={halvings}, starts={starts}",
                needed="gamma between 0 and 1, halvings of 0 or more, a start or more",
                hint="DDN(gamma=0.1, halvings=6, starts=1)",
            )
        self.gamma, self.halvings = gamma, halvings
        if starts > 1:  # else nothing is said of it: one start is told as ever
            self.starts, self.wants = starts, "jacobian"

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
        race = {"radius": one, "hit": domain.best["met"], "size": torch.full_like(one, torch.inf)}
        ray = {"base": p, "low": (1 - self.gamma) * one, "high": one, "sure": one < 0}
        return {"p": p, "turn": 0, **race, **ray}

    def ask(self, state: State, domain: Domain) -> Query:
        """The points on their spheres; then, of what was met, points between the boundary and the best."""
        turn, turns, p, everyone = state["turn"], self._turns(domain), state["p"], domain.everyone
        if turn > domain.steps:
            return Query(p, torch.full_like(everyone, -1), "loss")
        if turn < turns and len(p) > len(everyone):
            if turn == 1:
                return Query(p[1 :: self.starts], everyone, "jacobian", None, turn, nearest=_AMONG)
            owner = everyone.repeat_interleave(self.starts)
            return Query(p, torch.where(state["radius"].isfinite(), owner, -1), "grad", None, turn, "odds")
        if turn < turns:
            return Query(p, everyone, "grad", None, turn, "odds" if self._races(turn, turns) else "slack")
        met = domain.best["met"] if turn > turns else torch.ones_like(domain.best["met"])
        return Query(p, torch.where(met, everyone, -1), "loss")

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """A step upon a sphere, or half of what is left."""
        turn, turns = state["turn"], self._turns(domain)
        assert query.owner is not None  # noqa: S101 - as `ask` made it
        if turn < turns and query.want == "jacobian":
            told = self._spread(state, domain, answer)
        elif turn < turns:
            told = self._step(state, domain, query, answer, turns)
        else:
            told = self._halve(state, domain, answer, fresh=turn == turns)
            told["p"] = _fit(told["p"], state["p"], query.owner)
        return {**state, **told, "turn": turn + 1}

    def _turns(self, domain: Domain) -> int:
        """Turns with a gradient; at least one, and never more than half of a small budget is bisected."""
        return max(1, domain.steps - min(self.halvings, domain.steps // 2))

    def _races(self, turn: int, turns: int) -> bool:
        """Whether a turn belongs to the first half of the passes, of which every start takes as many."""
        return (self.starts + 1) * turn < turns

    def _step(self, state: State, domain: Domain, query: Query, answer: Answer, turns: int) -> State:
        """The next points, and the lengths that they have before the box cuts them."""
        assert answer.grad is not None and answer.value is not None  # noqa: S101, PT018 - as asked
        assert query.owner is not None  # noqa: S101
        g, turn, rows = answer.grad.flatten(1), state["turn"], len(state["p"]) // len(domain.task)
        start = _start(domain).repeat_interleave(rows, 0) if rows > 1 else _start(domain)
        owner = domain.everyone.repeat_interleave(rows) if rows > 1 else domain.everyone
        hit = state["hit"] | answer.met
        if turn == 0:
            radius = answer.value.abs() / g.norm(dim=1).clamp_min(torch.finfo(g.dtype).tiny)
        else:
            radius = state["radius"] * torch.where(
                answer.met, 1 - self.gamma, torch.where(hit, 1 + self.gamma, _HUNT)
            )
        share = _LAST + (_FIRST - _LAST) * (1 + math.cos(math.pi * turn / turns)) / 2
        p = domain.project(_onto(radius, state["p"], start, share * radius, g), owner)
        size = torch.where(answer.met, torch.minimum(state["size"], answer.size), state["size"])
        told = {"p": _fit(p, state["p"], query.owner), "radius": radius, "hit": hit, "size": size}
        if turn == 0 and self.starts > 1 and self._races(2, turns):
            # The other starts wait where the search began, until the nearest boundaries are told.
            told = {name: value.repeat_interleave(self.starts, 0) for name, value in told.items()}
            waits = torch.arange(len(told["p"]), device=p.device) % self.starts > 0
            told["p"] = torch.where(_like(waits, p), state["p"].repeat_interleave(self.starts, 0), told["p"])
        elif rows > 1 and not self._races(turn + 1, turns):
            first = size.view(-1, rows).argmin(1) + rows * domain.everyone
            told = {name: value[first] for name, value in told.items()}
        return told

    def _spread(self, state: State, domain: Domain, answer: Answer) -> State:
        """The other starts beyond the nearest linearized boundaries; an endless radius where there is none."""
        assert answer.grad is not None and answer.margins is not None  # noqa: S101, PT018 - as asked
        start, slope = _start(domain), answer.grad.flatten(2)
        length = slope.norm(dim=2)
        known = answer.margins.isfinite() & (length > 0) & length.isfinite()
        far = torch.where(known, _OVER * answer.margins.abs() / length, torch.inf)
        radius, order = far.sort(1)
        at, radii = domain.everyone, state["radius"].view(-1, self.starts).clone()
        p = state["p"].view(-1, self.starts, *start.shape[1:]).clone()
        for k in range(1, self.starts):
            there = radius[:, k - 1] if k <= radius.shape[1] else torch.full_like(radius[:, 0], torch.inf)
            moved = _onto(there, p[:, k], start, there, slope[at, order[:, min(k, radius.shape[1]) - 1]])
            p[:, k] = _fit(domain.project(moved, at), p[:, k], at)
            radii[:, k] = there
        return {"p": p.flatten(0, 1), "radius": radii.flatten()}

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


def _onto(radius: Tensor, p: Tensor, start: Tensor, step: Tensor, g: Tensor) -> Tensor:
    """Points a step along g, brought back to the sphere of the radius around the start."""
    change = _unit((p - start).flatten(1) + step[:, None] * _unit(g))
    return start + (radius[:, None] * change).view_as(p)


def _fit(p: Tensor, before: Tensor, owner: Tensor) -> Tensor:
    """The new points of rows that were asked and are finite, the old ones elsewhere."""
    return torch.where(_like((owner >= 0) & p.flatten(1).isfinite().all(1), p), p, before)


def _unit(v: Tensor) -> Tensor:
    """Rows [n, d] of length 1; a row of zeros stays one."""
    return v / v.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)


def _like(value: Tensor, p: Tensor) -> Tensor:
    return value.reshape(-1, *[1] * (p.ndim - 1))
