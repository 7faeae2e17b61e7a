"""What a run says of itself: where it stands after a step, what it was at its end, and what a watcher sees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

__all__ = ["History", "Look", "Progress", "Watch", "turned"]

_WORSE = 0.01  # of its least value, that a loss on held-out rows may rise by before it is said


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step.

    Attributes:
        step: Steps done, from 1.
        total: Steps in all, or None where the clock decides.
        epoch: Passes over the data done, with a fraction.
        fraction: Share of the run that is done, in [0, 1].
        losses: Loss of each player in this step, a row.
        rate: Learning rate of this step.
        seconds: Wall-clock time of the run, sittings before a resume included.
        remaining: Expected wall-clock seconds to the end.
    """

    step: int
    total: int | None
    epoch: float
    fraction: float
    losses: dict[str, float]
    rate: float
    seconds: float
    remaining: float


@dataclass(frozen=True)
class History:
    """What a finished run was.

    Attributes:
        steps: Steps done.
        epochs: Passes over the data done.
        seconds: Wall-clock time, sittings before a resume included.
        losses: For each player the loss of each step, a row.
        resumed: The step at which the last sitting began; 0 for a run in one go.
        clocked: Whether the clock ended the run; then equal recipes need not give equal weights.
        held: For each player the loss, a row, on rows held out: (step, loss) of each look.
    """

    steps: int
    epochs: float
    seconds: float
    losses: dict[str, list[float]]
    resumed: int = 0
    clocked: bool = False
    held: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """A run in progress, as a watcher sees it.

    Attributes:
        model: In eval mode, with the averaged weights where an average is kept. It is the run's own: only look.
        progress: Where the run stands.
        losses: For each player the loss of each step so far, a row.
        held: For each player the loss, a row, on rows held out: (step, loss) of each look, this one included.
    """

    model: nn.Module
    progress: Progress
    losses: Mapping[str, list[float]]
    held: Mapping[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Watch:
    """Who looks at a run while it goes on, and how often; the run's bits do not depend on it.

    Attributes:
        look: What is called, without gradients; what it draws must come from a generator of its own.
        held: Rows that no step learns from, by name as in the data; empty measures none.
        rest: Seconds between two looks, at least.
        share: Of the run's time, what looks may take.
        every: Steps between two looks, instead of seconds.
    """

    look: Callable[[Look], None]
    held: Mapping[str, Tensor] = field(default_factory=dict)
    rest: float = 10.0
    share: float = 0.05
    every: int | None = None

    def due(self, step: int, since: float, took: float) -> bool:
        """Whether it is time to look again.

        Args:
            step: Steps done.
            since: Seconds since the last look, or since the sitting began.
            took: Seconds that the last look took.
        """
        if self.every is not None:
            return step % self.every == 0
        return since >= max(self.rest, took / self.share)


def turned(held: Mapping[str, Sequence[tuple[float, float]]]) -> tuple[int, float, float] | None:
    """Where a run began to learn its training rows by heart: the step of the least loss on rows held out.

    Args:
        held: For each player the loss on held-out rows: (step, loss) of each look, as in `History.held`.

    Returns:
        That step, the loss there and the loss at the last look; None where the last is within 1 % of the least, and
        for a game of several players, whose losses are no measure of the run.

    References:
        Prechelt 1998, early stopping - but when?, section 2.1 (generalization loss).
    """
    if len(held) != 1:
        return None
    points = next(iter(held.values()))
    if not points:
        return None
    step, least = min(points, key=lambda point: point[1])
    last = points[-1][1]
    return (int(step), least, last) if last > least + _WORSE * abs(least) else None
