"""One optimizer after another: flip and then minimize, sign steps and then a quasi-Newton method."""

from dataclasses import replace
from typing import Literal

import torch

from amiss.domain import Domain
from amiss.optimizers.optimizer import Optimizer
from amiss.task import LEVELS, Answer, Query, State

__all__ = ["Then"]


class Then(Optimizer):
    """First one optimizer, then another, which is handed the point, the best and the last (s, y) pairs.

    Args:
        first: Goes on until all samples are met (those that are, wait), or for `steps` updates.
        second: Takes over.
        steps: Updates that the first may use.
        when: "met" hands over as soon as every sample is met; "steps" only after all its steps.

    Note:
        A probe with until="met" stops each row at its first success, before the second begins: recipes that
        minimize say until="budget".
    """

    def __init__(
        self, first: Optimizer, second: Optimizer, steps: int, when: Literal["met", "steps"] = "met"
    ) -> None:
        self.first, self.second, self.steps, self.when = first, second, steps, when
        self.wants = max(first.wants, second.wants, key=LEVELS.index)
        self.competes = first.competes or second.competes

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin with the first."""
        return {"phase": 0, "turn": 0, "inner": self.first.init(self._share(domain, 0), warm)}

    def ask(self, state: State, domain: Domain) -> Query:
        """Ask whoever's turn it is; samples that are met wait for the others."""
        one = self._share(domain, state["phase"])
        if state["phase"] == 1:
            return self.second.ask(state["inner"], one)
        query = self.first.ask(state["inner"], one)
        if self.when == "met" and query.owner is not None and bool(domain.best["met"].any()):
            waits = domain.best["met"][query.owner.clamp_min(0)]
            query = replace(query, owner=torch.where(waits, -1, query.owner))
        return query

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """Tell whoever asked, and hand over when the first has done its part."""
        one = self._share(domain, state["phase"])
        if state["phase"] == 1:
            return {**state, "inner": self.second.tell(state["inner"], one, query, answer)}
        inner, turn = self.first.tell(state["inner"], one, query, answer), state["turn"] + 1
        if turn > self.steps or (self.when == "met" and bool(domain.best["met"].all())):
            handed = self.second.init(self._share(domain, 1), inner)
            return {"phase": 1, "turn": turn, "inner": handed}
        return {"phase": 0, "turn": turn, "inner": inner}

    def _share(self, domain: Domain, phase: int) -> Domain:
        """The same domain, with this half's part of the steps: schedules rely on it."""
        steps = min(self.steps, domain.steps)
        return replace(domain, steps=steps if phase == 0 else domain.steps - steps)
