"""Successes made minimal: steps to the nearest point of the linearized boundary, then bisection toward the origin."""

from typing import Literal

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Optimizer
from amiss.task import Answer, Query, State

__all__ = ["Linearized"]

_SPARE = 0.02  # slack that the first step aims at: a step lands a little off where the boundary is curved
_LEAST = 1e-4  # and the least that a later one aims at
_REACH = 0.5  # longest step, as a share of the best success
_RIDGE = 1e-6  # added to a pull-back metric, as a share of its mean eigenvalue: a decoder may ignore a direction
_TURNS = 60  # bisections of the multiplier in a box


class Linearized(Optimizer):
    """From a success, ever again the smallest change that the linearized slack allows.

    With the slack m and its gradient w at the change eps, measured from where the search starts, the next point is
    the smallest eps' in the metric M whose linearized slack m + w . (eps' - eps) is a little to spare, s:

        eps' = M^-1 w max(0, s - m + w . eps) / (w . M^-1 w)

    A step is no longer than half the best success. The spare s is what the step before missed its aim by: small where
    the boundary is flat. The walk keeps the smallest success. After `rounds` such steps the ray from the origin to
    the best success is bisected `halvings` times, by the loss alone. In pixels the nearest point inside the box is
    taken.

    After another optimizer it works on the samples that are met, from their best, and leaves the others alone. By
    itself it starts at the origin, without a bound on the step, and solves fewer.

    Args:
        metric: What small means. None: the Euclidean length of the parameters. "pull-back": length in the decoder's
            pixels, M = J^T J at each point. A covariance [d, d]: length in its standard deviations, M its inverse.
            Which success is the smallest is for the probe's constraint to say: `LatentNorm()`, `L2()` and
            `LatentNorm(scale=covariance)`.
        rounds: Steps.
        halvings: Bisections after them.

    Raises:
        UsageError: A metric of another name, or no rounds.

    References:
        Moosavi-Dezfooli, Fawzi and Frossard (2016), DeepFool, eq. 5 (the step); Arvanitidis, Hansen and Hauberg
        (2018), latent space oddity, eq. 3 (the pull-back metric).
    """

    def __init__(
        self, metric: Literal["pull-back"] | Tensor | None = None, rounds: int = 10, halvings: int = 6
    ) -> None:
        known = metric is None or isinstance(metric, Tensor) or metric == "pull-back"
        if not known or rounds < 1 or halvings < 0:
            raise UsageError(
                "A success cannot be made smaller like this.",
                slug="linearized-options",
                seen=f"metric={metric if isinstance(metric, str) else type(metric).__name__!r}, rounds={rounds}, "
                f"halvings={halvings}",
                needed="metric=None, 'pull-back' or a covariance [d, d]; a round or more; halvings >= 0",
                hint="Linearized(), or Linearized('pull-back') for the least change of the decoded image.",
            )
        self.metric, self.rounds, self.halvings = metric, rounds, halvings

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the best successes; by itself, at the start."""
        p, met = domain.best["p"], domain.best["met"]
        self._refuse(p, domain)
        one = p.new_ones(len(p))
        turns = met if warm is not None else torch.ones_like(met)
        return {
            "p": p,
            "turn": 0,
            "asks": turns,
            "spare": _SPARE * one,
            "base": p,
            "aim": 0 * one,
            "low": 0 * one,
            "high": one,
        }

    def ask(self, state: State, domain: Domain) -> Query:
        """The points of the samples that are worked on: slack and gradient, or at the end their loss alone."""
        turn, last = state["turn"], min(domain.steps, self.rounds + self.halvings)
        asks = state["asks"] if turn <= self.rounds else state["asks"] & domain.best["met"]
        if turn > last or not last:
            asks = torch.zeros_like(asks)
        owner = torch.where(asks, domain.everyone, -1)
        if turn < min(self.rounds, last):
            return Query(state["p"], owner, "grad", None, turn, of="slack")
        return Query(state["p"], owner, "loss")

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Step to the linearized boundary; after the last step, halve the way to the best."""
        assert isinstance(query.owner, Tensor)  # noqa: S101 - as `ask` made it
        turn, asked = state["turn"], query.owner >= 0
        told = self._step(state, domain, answer) if query.want == "grad" else self._halve(state, domain, answer)
        p = domain.project(told["p"], domain.everyone)
        fit = asked & p.flatten(1).isfinite().all(1)
        return {**state, **told, "p": torch.where(_like(fit, p), p, state["p"]), "turn": turn + 1}

    def _step(self, state: State, domain: Domain, answer: Answer) -> State:
        """The next points, and how much their slack shall spare."""
        assert answer.grad is not None and answer.value is not None  # noqa: S101, PT018 - as asked
        origin, p, w = _origin(domain), state["p"], answer.grad.flatten(1)
        slack, spare = answer.value, state["spare"]
        if state["turn"]:
            spare = (slack - state["aim"]).abs().clamp_min(_LEAST)
        eps = (p - origin).flatten(1)
        need = (spare - slack + (w * eps).sum(1)).clamp_min(0)
        lean = self._lean(w, p, domain)
        gain = (w * lean).sum(1)
        factor = torch.where(gain > 0, need / gain.clamp_min(torch.finfo(w.dtype).tiny), 0)
        goal = factor[:, None] * lean
        if (box := domain.bounds(domain.everyone)) is not None:
            goal = _inside(lean, w, need, factor, *((side - origin).flatten(1) for side in box))
        step = torch.where((gain > 0)[:, None], goal - eps, 0)
        most = _REACH * (domain.best["p"] - origin).flatten(1).norm(dim=1)
        most = torch.where(domain.best["met"], most, torch.inf)
        share = (most / step.norm(dim=1).clamp_min(torch.finfo(w.dtype).tiny)).clamp_max(1)
        step = share[:, None] * step
        return {"p": p + step.view_as(p), "spare": spare, "aim": slack + (w * step).sum(1)}

    def _halve(self, state: State, domain: Domain, answer: Answer) -> State:
        """Half the way that is left between the longest failure and the shortest success on the ray."""
        origin, base, low, high = _origin(domain), state["base"], state["low"], state["high"]
        if state["turn"] <= self.rounds:
            base = domain.best["p"]
        else:
            middle = (low + high) / 2
            low, high = torch.where(answer.met, low, middle), torch.where(answer.met, middle, high)
        p = origin + _like((low + high) / 2, base) * (base - origin)
        return {"p": p, "base": base, "low": low, "high": high}

    def _lean(self, w: Tensor, p: Tensor, domain: Domain) -> Tensor:
        """M^-1 w [n, d]: the direction that gains the most slack for its size."""
        if self.metric is None:
            return w
        if isinstance(self.metric, Tensor):
            return w @ self.metric.to(w)
        metric = domain.metric(p, domain.everyone)
        ridge = _RIDGE * metric.diagonal(dim1=1, dim2=2).mean(1)
        whole = metric + (ridge + torch.finfo(w.dtype).tiny)[:, None, None] * torch.eye(w.shape[1]).to(w)
        lean: Tensor = torch.linalg.solve_ex(whole, w)[0]
        return lean

    def _refuse(self, p: object, domain: Domain) -> None:
        """Refuse what has no gradient, and a metric on something else."""
        if not isinstance(p, Tensor):
            raise ContractError(
                f"Linearized steps along gradients, and {type(domain.space).__name__} has none.",
                slug="contract-gradient",
                hint="Use an optimizer that evolves, or a space whose parameters are a tensor.",
            )
        wide = p[0].numel()
        fits = not isinstance(self.metric, Tensor) or tuple(self.metric.shape) == (wide, wide)
        if self.metric is not None and (domain.space.images or not fits):
            raise ContractError(
                "The metric does not fit the parameters.",
                slug="contract-metric",
                seen=f"a metric {tuple(self.metric.shape)}" if isinstance(self.metric, Tensor) else "'pull-back'",
                needed=f"a covariance ({wide}, {wide}) of codes, or none for pixels",
                why="a covariance of another decoder's codes" if not fits else "a space without a decoder",
                hint="Estimate it from decoder.encode of many images, or leave the metric out.",
            )


def _origin(domain: Domain) -> Tensor:
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - `init` has refused genomes
    return start


def _like(value: Tensor, p: Tensor) -> Tensor:
    return value.reshape(-1, *[1] * (p.ndim - 1))


def _inside(lean: Tensor, w: Tensor, need: Tensor, factor: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The smallest clip(t lean) with w . clip(t lean) = need, by bisection on t; without one, t is very large."""
    short, long = factor, factor * 2**20  # outside of the box a free coordinate does not gain more than it would
    for _ in range(_TURNS):
        middle = (short + long) / 2
        lacks = (w * (middle[:, None] * lean).clamp(low, high)).sum(1) < need
        short, long = torch.where(lacks, middle, short), torch.where(lacks, long, middle)
    return (long[:, None] * lean).clamp(low, high)
