"""A search over the penalty's factor: how dear may the change be made before a sample no longer succeeds?"""

from dataclasses import replace

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.optimizers.optimizer import Left, Optimizer
from amiss.task import ALL, LEVELS, Answer, Query, State

__all__ = ["Weigh"]

_GROW = 4.0  # between factors, until one succeeds and one does not
_BEYOND = 1e-4  # how much further from the start a round looks once more where it ends, as a share of the way


class Weigh(Optimizer):
    """Another optimizer run again and again, each time with another factor of the penalty.

    A round descends loss + c x penalty. A sample for which any point of a round was a success gets a larger c in the
    next one, any other a smaller c: by fours until c is bracketed, and then by the middle of its logarithm. A round
    goes on from where the one before ended. The walk keeps the smallest success of all rounds.

    The minimum often lies on the boundary of success itself, and rounding says on which side. So a round without a
    success closes with a look a ten-thousandth further from the start.

    The first c is |g|^2 / (2 f), of the loss f and its gradient g at the start. With a linear loss and the squared
    length for penalty it is the largest factor with which the minimum still reaches success.

    Args:
        inner: Who descends; every round begins without what it has learned of another factor's slopes.
        rounds: Factors that are tried.
        steps: Updates of a round. A budget of rounds x (steps + 1) updates is enough for all of them.

    Raises:
        UsageError: Fewer than one round or step.

    References:
        Szegedy, Zaremba, Sutskever et al. (2014), intriguing properties of neural networks, section 4.1 (the line
        search over c); Carlini and Wagner (2017), towards evaluating the robustness of neural networks, section 5
        (by bisection).
    """

    def __init__(self, inner: Optimizer, rounds: int = 9, steps: int = 20) -> None:
        if rounds < 1 or steps < 1:
            raise UsageError(
                "A search over the penalty's factor needs a round and a step.",
                slug="weigh-options",
                seen=f"rounds={rounds}, steps={steps}",
                needed="1 or more of either",
                hint="Weigh(LBFGSB(), rounds=9, steps=20)",
            )
        self.inner, self.rounds, self.steps = inner, rounds, steps
        self.wants = max(inner.wants, "grad", key=LEVELS.index)

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Look at the slope at the start first: a factor is guessed from there."""
        if domain.weight(domain.everyone) is None:
            raise ContractError(
                "There is no penalty whose factor could be searched for.",
                slug="contract-no-penalty",
                seen="a constraint that binds and costs nothing",
                needed="a penalty on the change",
                hint="Use L2(weight=1.0) for images, LatentNorm(1.0) for codes.",
            )
        p, n = domain.start(), len(domain.task)
        if not isinstance(p, Tensor):
            raise ContractError(
                f"Weigh steps along gradients, and {type(domain.space).__name__} has none.",
                slug="contract-gradient",
                hint="Use an optimizer that evolves, or a space whose parameters are a tensor.",
            )
        return {
            "p": p,
            "round": -1,
            "turn": 0,
            "closing": False,
            "inner": {},
            "f": p.new_zeros(n),  # the loss at the start
            "c": p.new_ones(n),
            "low": p.new_zeros(n),
            "high": p.new_full((n,), torch.inf),
            "hit": torch.zeros(n, dtype=torch.bool, device=p.device),
        }

    def ask(self, state: State, domain: Domain) -> Query:
        """What the inner one asks, with each sample's own factor."""
        if state["round"] < 0:
            return Query(state["p"], domain.everyone, "grad", None, 0)
        spent = state["round"] * (self.steps + 1) + state["turn"]
        if state["round"] >= self.rounds or spent > domain.steps:
            return Query(state["p"], torch.full_like(domain.everyone, -1), "met")
        if state["closing"]:
            owner = torch.where(state["hit"], -1, domain.everyone)
            return Query(self._beyond(state, domain), owner, "loss", state["c"])
        query = self.inner.ask(state["inner"], self._share(domain))
        assert query.owner is not ALL  # noqa: S101 - penalties are of samples
        factor = state["c"][query.owner.clamp_min(0)]
        return replace(query, weight=factor if query.weight is None else factor * query.weight)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Tell the inner one; when its round is over, begin the next with other factors."""
        if state["round"] < 0:
            assert answer.grad is not None  # noqa: S101 - as asked
            steep, f = answer.grad.flatten(1).square().sum(1), answer.loss.to(state["c"])
            known = (steep > 0) & (f > 0) & steep.isfinite() & f.isfinite()
            c = torch.where(known, steep / (2 * f), state["c"])
            return self._begun({**state, "c": c, "f": f}, domain)
        assert isinstance(query.owner, Tensor)  # noqa: S101
        assert answer.value is not None  # noqa: S101
        # A success dearer than the loss at the start is no fruit of this factor: a step went astray.
        won, hit = answer.met & (query.owner >= 0), state["hit"].clone()
        hit[query.owner[won & (answer.value <= state["f"][query.owner.clamp_min(0)])]] = True
        told = {**state, "turn": state["turn"] + 1, "hit": hit}
        if not state["closing"]:
            told |= {"inner": self.inner.tell(state["inner"], self._share(domain), query, answer)}
            if told["turn"] < self.steps and _asks(self.inner.ask(told["inner"], self._share(domain))):
                return told
            if "p" in told["inner"] and not bool(hit.all()):
                return {**told, "closing": True}
        return self._begun(self._weighed(told), domain)

    def left(self, state: State) -> Left | None:
        """What the inner one says."""
        return self.inner.left(state["inner"]) if state["inner"] else None

    def _weighed(self, state: State) -> State:
        """The next factors: larger where the round succeeded, smaller elsewhere."""
        c, hit = state["c"], state["hit"]
        low, high = torch.where(hit, c, state["low"]), torch.where(hit, state["high"], c)
        between = (low * high).sqrt()
        c = torch.where(high.isinf(), low * _GROW, torch.where(low == 0, high / _GROW, between))
        return {**state, "c": c, "low": low, "high": high, "hit": torch.zeros_like(hit)}

    def _begun(self, state: State, domain: Domain) -> State:
        """The next round, from where the one before ended."""
        warm = {"p": state["inner"]["p"]} if "p" in state["inner"] else None
        inner = self.inner.init(self._share(domain), warm)
        return {**state, "round": state["round"] + 1, "turn": 0, "closing": False, "inner": inner}

    def _beyond(self, state: State, domain: Domain) -> Tensor:
        """Points a little further from the start than those where the round ended, the first of each sample."""
        start, ended = state["p"], state["inner"]["p"]
        first = ended[:: len(ended) // len(start)]
        beyond: Tensor = domain.project(start + (1 + _BEYOND) * (first - start), domain.everyone)
        return beyond

    def _share(self, domain: Domain) -> Domain:
        """The same domain, with a round's part of the steps: schedules rely on it."""
        return replace(domain, steps=self.steps)


def _asks(query: Query) -> bool:
    """Whether any row is not idle."""
    return query.owner is ALL or bool((query.owner >= 0).any())
