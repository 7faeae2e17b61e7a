"""One optimizer after another: flip and then minimize, sign steps and then a quasi-Newton method."""

from dataclasses import replace
from typing import Literal

import torch

from amiss.domain import Domain
from amiss.optimizers.optimizer import Left, Optimizer
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
        """Begin with the first, unless it finds nothing to do."""
        begun = {"phase": 0, "turn": 0, "inner": self.first.init(self._share(domain, 0), warm)}
        return self._handed(begun, domain) if warm is not None and self._idle(begun, domain) else begun

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
        inner = self.first.tell(state["inner"], one, query, answer)
        told = {"phase": 0, "turn": state["turn"] + 1, "inner": inner}
        return self._handed(told, domain) if told["turn"] > self.steps or self._idle(told, domain) else told

    def left(self, state: State) -> Left | None:
        """What either half says; where both do, the second."""
        if state["phase"] == 0:
            return self.first.left(state["inner"])
        later, earlier = self.second.left(state["inner"]), state["left"]
        if later is not None or earlier is None:
            return later
        return earlier["rows"], earlier["outcome"], earlier["reason"]

    def _handed(self, state: State, domain: Domain) -> State:
        """The second in place of the first."""
        handed = self.second.init(self._share(domain, 1), state["inner"])
        said = self.first.left(state["inner"])
        left = None if said is None else {"rows": said[0], "outcome": said[1], "reason": said[2]}
        return {"phase": 1, "turn": state["turn"], "inner": handed, "left": left}

    def _idle(self, state: State, domain: Domain) -> bool:
        """Whether the first has nothing left to ask: all rows idle would end the search, and the second waits."""
        owner = self.ask(state, domain).owner
        if owner is None:
            return self.when == "met" and bool(domain.best["met"].all())
        return not bool((owner >= 0).any())

    def _share(self, domain: Domain, phase: int) -> Domain:
        """The same domain, with this half's part of the steps: schedules rely on it."""
        steps = min(self.steps, domain.steps)
        return replace(domain, steps=steps if phase == 0 else domain.steps - steps)
