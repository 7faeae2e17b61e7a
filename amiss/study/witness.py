"""A `Witness` of a study: what else than results is kept of its searches, as long as they are under way."""

from typing import Protocol

from amiss.search import Search, Step
from amiss.task import State

__all__ = ["Witness"]


class Witness(Protocol):
    """Takes notes of the searches of a study, shard by shard; a frozen value, for it is part of the experiment.

    Notes are tensors and plain values. They are saved with the state of the shard at work, and sealed with its
    results: a search that was stopped and went on has the same notes, bit for bit.
    """

    def begin(self, search: Search) -> State:
        """The notes before the first turn."""
        ...

    def see(self, search: Search, step: Step, notes: State) -> State:
        """The notes after a turn; those before it are left as they were."""
        ...

    def close(self, search: Search, state: State, notes: State) -> State:
        """What is kept for good, once the search has ended in `state`."""
        ...
