"""The contract of an optimizer: `ask` is pure, `tell` gives the next state, and a state can be saved."""

from typing import Literal, TypeAlias

from torch import Tensor

from amiss.domain import Domain
from amiss.task import Answer, Level, Query, State

__all__ = ["Left", "Optimizer"]

Left: TypeAlias = tuple[Tensor, Literal["stuck", "unreachable"], str]
"""Samples [n], boolean; how they are called if they are left unmet; and why."""


class Optimizer:
    """A state machine over parameters.

    Attributes:
        wants: How far up the ladder it needs answers; a probe refuses a classifier that gives less.
        competes: Whether its rows compete in every sample, so that the samples cannot be split into batches.
    """

    wants: Level = "grad"
    competes: bool = False

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """The first state.

        Args:
            domain: Where it moves.
            warm: The state of an optimizer before it: its p, and where it keeps them the last pairs "s" and "y", a
                list of [n, ...] each, and the value "f" [n] and gradient "g" at p.
        """
        raise NotImplementedError

    def ask(self, state: State, domain: Domain) -> Query:
        """The rows to read next; all of them idle means that it is finished."""
        raise NotImplementedError

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        """The state after the answer; `domain.best` already counts it."""
        raise NotImplementedError

    def left(self, state: State) -> Left | None:
        """What is said of samples that this search leaves unmet; None: that the budget is spent.

        Args:
            state: Where the search ended.

        Returns:
            Of which samples [n], the outcome, and the reason in words.
        """
        return None

    def __repr__(self) -> str:
        given = ", ".join(
            f"{k}={v!r}" for k, v in vars(self).items() if not (hasattr(Optimizer, k) or isinstance(v, Tensor))
        )
        return f"{type(self).__name__}({given})"
