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
    """A symbol in noise: which one was shown at the mark, `lag` frames ago or more? One label for the whole.

    Each frame has `symbols` channels of standard normal noise, and a last one that is 0. Among the first frames, of
    which there are lag // 5 + 1, one is marked: its last channel is 1, and the others show the symbol, 1 in its own
    channel and 0 elsewhere. All frames before the mark and behind it are noise in the same channels, as loud as the
    symbol: a state that merely falls to one side at the first frame, and stays there, has kept nothing.

    Raises:
        UsageError: A lag below 1, or fewer than two symbols.

    References:
        Hochreiter and Schmidhuber 1997, sections 5.3 (noise and signal on the same channel), 5.4 (a marked value
        among random ones) and 5.6 (what is to be kept comes after random many others).
    """
    if lag < 1 or symbols < 2:
        raise _refused(f"lag={lag}, symbols={symbols}", "one frame of lag or more, and two symbols or more")
    at, rows = torch.randint(lag // 5 + 1, (n,), generator=generator), torch.arange(n)
    shown = torch.randint(symbols, (n,), generator=generator)
    frames = torch.randn(n, lag // 5 + 1 + lag, symbols + 1, generator=generator)
    frames[:, :, -1] = 0
    frames[rows, at] = F.one_hot(shown, symbols + 1).float()
    frames[rows, at, -1] = 1
    return Labeled(frames, shown, symbols)


def next_symbol(n: int, length: int, generator: torch.Generator, symbols: int = 4) -> Labeled:
    """Random symbols, each labeled by the one behind it; the last by the first. One direction can only guess."""
    said = torch.randint(symbols, (n, length), generator=generator)
    return Labeled(F.one_hot(said, symbols).float(), said.roll(-1, 1), symbols)


def chained(
    n: int,
    length: int,
    generator: torch.Generator,
    symbols: int = 4,
    clear: float = 0.6,
    habit: float | None = None,
    blank: float = 0.0,
) -> Labeled:
    """Labels of which no two neighbors are equal, seen through noise.

    The first label is drawn evenly, each next one among the others: evenly, or with probability `habit` the follower
    of the one before (y + 1, and 0 behind the last) and evenly among the rest. A frame shows nothing, zeros alone,
    with probability `blank`; else it shows its label with probability `clear`, and any symbol, drawn evenly, with
    what is left. What the label before says about a label beyond all frames so far is known exactly:
    log p(y_t | x_t, y_{t-1}) - log p(y_t | x_0, ..., x_t), the first by Bayes' rule, the second by the forward filter
    of a hidden Markov chain.

    Raises:
        UsageError: What should be a probability is none, or there are too few symbols (two, with a habit three).

    References:
        Rabiner 1989, a tutorial on hidden Markov models, equation 20 (the forward filter).
    """
    shares = (clear, blank, 0.0 if habit is None else habit)
    if not all(0 <= share <= 1 for share in shares) or symbols < (2 if habit is None else 3):
        raise _refused(
            f"clear={clear}, blank={blank}, habit={habit}, symbols={symbols}",
            "probabilities, and two symbols or more, three with a habit",
        )
    step = torch.randint(1, symbols, (n, length), generator=generator)
    moves = (1 - torch.eye(symbols, dtype=torch.float64)) / (symbols - 1)
    if habit is not None:
        other = torch.randint(2, symbols, (n, length), generator=generator)
        step = torch.where(torch.rand(n, length, generator=generator) < habit, 1, other)
        follows = torch.eye(symbols, dtype=torch.float64).roll(1, 1)
        moves = habit * follows + (1 - habit) / (symbols - 2) * ((moves > 0) & (follows == 0))
    step[:, 0] = torch.randint(symbols, (n,), generator=generator)
    labels = step.cumsum(1) % symbols
    noise = torch.randint(symbols, (n, length), generator=generator)
    shown = torch.where(torch.rand(n, length, generator=generator) < clear, labels, noise)
    frames = F.one_hot(shown, symbols).float()
    if blank:
        frames[torch.rand(n, length, generator=generator) < blank] = 0
    return Labeled(frames, labels, symbols, _information(frames.double(), labels, moves, clear))


def _information(frames: Tensor, labels: Tensor, moves: Tensor, clear: float) -> Tensor:
    """Nats that the label before tells about each label beyond the frames so far [n, T]."""
    symbols = len(moves)
    emits = clear * torch.eye(symbols, dtype=torch.float64) + (1 - clear) / symbols  # [label, shown]
    belief, told = torch.full((len(frames), symbols), 1 / symbols, dtype=torch.float64), []
    for t, frame in enumerate(frames.unbind(1)):
        seen = torch.where(frame.sum(1, keepdim=True) > 0, frame @ emits.T, 1.0)
        before = belief if t == 0 else belief @ moves
        filtered = before * seen
        filtered = filtered / filtered.sum(1, keepdim=True)
        known = before if t == 0 else moves[labels[:, t - 1]]
        posterior = known * seen
        posterior = posterior / posterior.sum(1, keepdim=True)
        right = labels[:, t : t + 1]
        told.append((posterior.gather(1, right) / filtered.gather(1, right)).log())
        belief = filtered
    return torch.cat(told, 1)


def _refused(seen: str, needed: str) -> UsageError:
    return UsageError(
        "There is no such task.",
        slug="task-argument",
        seen=seen,
        needed=needed,
        hint="See help(amiss.data.worlds.tasks).",
    )
