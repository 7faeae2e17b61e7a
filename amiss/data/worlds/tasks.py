"""Small tasks for recurrent networks, whose best answers are known: memory, order, and labels that hang together."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.errors import UsageError

__all__ = ["Labeled", "chained", "echo", "next_symbol", "parity", "recall"]


@dataclass(frozen=True)
class Labeled:
    """Sequences with a label for each frame, or for the whole.

    Attributes:
        frames: [n, T, F], float32.
        labels: [n, T], or [n] for the whole; int64.
        classes: How many labels there are.
        information: Nats a frame that a label before tells about the next beyond the frames [n, T]; None where labels
            are told by the frames alone.
    """

    frames: Tensor
    labels: Tensor
    classes: int
    information: Tensor | None = None


def parity(n: int, length: int, generator: torch.Generator) -> Labeled:
    """Random bits, and whether an odd number of them was 1 so far: one bit of memory, kept for ever."""
    bits = torch.randint(2, (n, length), generator=generator)
    return Labeled(bits[:, :, None].float(), bits.cumsum(1) % 2, 2)


def echo(n: int, length: int, delay: int, generator: torch.Generator, symbols: int = 4) -> Labeled:
    """Random symbols, each repeated `delay` frames later; before that the label is symbol 0.

    Raises:
        UsageError: The delay is no frame of the sequence.
    """
    if not 0 <= delay < length:
        raise _refused(f"delay={delay}", f"0 to {length - 1}")
    said = torch.randint(symbols, (n, length), generator=generator)
    labels = torch.cat([torch.zeros_like(said[:, :delay]), said[:, : length - delay]], 1)
    return Labeled(F.one_hot(said, symbols).float(), labels, symbols)


def recall(n: int, lag: int, generator: torch.Generator, symbols: int = 4) -> Labeled:
    """A symbol, `lag` frames of others, and a mark: which was the first? One label for the whole.

    The frames between are random symbols of an alphabet of their own, so that there is something to be kept out.

    References:
        Hochreiter and Schmidhuber 1997, section 5.2 (long time lags with noise between).
    """
    first = torch.randint(symbols, (n, 1), generator=generator)
    between = symbols + torch.randint(symbols, (n, lag), generator=generator)
    mark = torch.full((n, 1), 2 * symbols)
    frames = F.one_hot(torch.cat([first, between, mark], 1), 2 * symbols + 1).float()
    return Labeled(frames, first[:, 0], symbols)


def next_symbol(n: int, length: int, generator: torch.Generator, symbols: int = 4) -> Labeled:
    """Random symbols, each labeled by the one behind it; the last by the first. One direction can only guess."""
    said = torch.randint(symbols, (n, length), generator=generator)
    return Labeled(F.one_hot(said, symbols).float(), said.roll(-1, 1), symbols)


def chained(n: int, length: int, generator: torch.Generator, symbols: int = 4, clear: float = 0.6) -> Labeled:
    """Labels of which no two neighbors are equal, seen through noise.

    The first label is drawn evenly, each next one evenly among the others. A frame shows its label with probability
    `clear`, and else any symbol, drawn evenly. What the label before says about a label beyond all frames so far is
    known exactly: log p(y_t | x_t, y_{t-1}) - log p(y_t | x_0, ..., x_t), the first by Bayes' rule, the second by the
    forward filter of a hidden Markov chain.

    Raises:
        UsageError: `clear` is no probability, or there are fewer than two symbols.

    References:
        Rabiner 1989, a tutorial on hidden Markov models, equation 20 (the forward filter).
    """
    if not 0 <= clear <= 1 or symbols < 2:
        raise _refused(f"clear={clear}, symbols={symbols}", "a probability, and two symbols or more")
    step = torch.randint(1, symbols, (n, length), generator=generator)
    step[:, 0] = torch.randint(symbols, (n,), generator=generator)
    labels = step.cumsum(1) % symbols
    noise = torch.randint(symbols, (n, length), generator=generator)
    shown = torch.where(torch.rand(n, length, generator=generator) < clear, labels, noise)
    emits = torch.full((symbols, symbols), (1 - clear) / symbols, dtype=torch.float64)
    emits += clear * torch.eye(symbols, dtype=torch.float64)  # [label, shown]
    moves = (1 - torch.eye(symbols, dtype=torch.float64)) / (symbols - 1)
    belief = torch.full((n, symbols), 1 / symbols, dtype=torch.float64)
    told = []
    for t in range(length):
        seen = emits[:, shown[:, t]].T
        before = belief if t == 0 else belief @ moves
        filtered = before * seen
        filtered = filtered / filtered.sum(1, keepdim=True)
        known = before if t == 0 else moves[labels[:, t - 1]]
        posterior = known * seen
        posterior = posterior / posterior.sum(1, keepdim=True)
        right = labels[:, t : t + 1]
        told.append((posterior.gather(1, right) / filtered.gather(1, right)).log())
        belief = filtered
    return Labeled(F.one_hot(shown, symbols).float(), labels, symbols, torch.cat(told, 1))


def _refused(seen: str, needed: str) -> UsageError:
    return UsageError(
        "There is no such task.",
        slug="task-argument",
        seen=seen,
        needed=needed,
        hint="See help(amiss.data.worlds.tasks).",
    )
