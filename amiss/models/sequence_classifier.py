"""One label for a whole sequence: many to one."""

from typing import Literal

import torch
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models.recurrent import CellName, Recurrent, check_sequences, counted, last_of

__all__ = ["Pooling", "SequenceClassifier", "mean_of"]

Pooling = Literal["last", "mean"]
"""What becomes of a row of logits: the last one, or the mean over the frames that count."""


class SequenceClassifier(nn.Module):
    """Logits [N, classes] of sequences [N, T, inputs]: a recurrent network, and a linear layer on its states.

    Args:
        inputs: Numbers in a frame.
        classes: Labels there are.
        hidden: Numbers in the state of a cell.
        cell: Which cells.
        layers: How many, one above the other.
        bidirectional: Whether states know the frames behind them.
        pooling: "last" reads the state after the last frame; "mean" reads all states, and averages the logits.
        memory: Steps that a cell should be able to remember at first; of lstm and lstm-sigmoid alone (see
            `Recurrent`).

    Raises:
        UsageError: A size that cannot mean anything.

    References:
        Graves 2012, supervised sequence labelling with recurrent neural networks, section 3.4; Buggenthin et al. 2017
        (a cell's score is the mean over its frames).
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        hidden: int = 32,
        cell: CellName = "lstm",
        layers: int = 1,
        bidirectional: bool = False,
        pooling: Pooling = "last",
        memory: int = 0,
    ) -> None:
        super().__init__()
        if classes < 1 or pooling not in ("last", "mean") or (bidirectional and pooling == "last"):
            raise UsageError(
                "There is no such classifier of sequences.",
                slug="sequence-classifier",
                seen=f"classes={classes}, pooling={pooling!r}, bidirectional={bidirectional}",
                needed="one class or more; pooling 'mean', or 'last' in one direction",
                why="the last state of the way back has seen one frame alone" if bidirectional else "",
                hint="Pass, for instance, pooling='mean'.",
            )
        self.inputs, self.pooling = inputs, pooling
        self.recurrent = Recurrent(inputs, hidden, cell, layers, bidirectional, memory)
        self.readout = nn.Linear(self.recurrent.width, classes)

    def each(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits after each frame [N, T, classes].

        Raises:
            ContractError: `x` are no sequences for this model, or hold what is not finite.
        """
        check_sequences(x, (self.inputs,), lengths)
        logits: Tensor = self.readout(self.recurrent(_silent(x, lengths), lengths)[0])
        return logits

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits [N, classes] of sequences `x` [N, T, inputs], of which the first `lengths` [N] frames count.

        Raises:
            ContractError: `x` are no sequences for this model, or hold what is not finite.
        """
        logits = self.each(x, lengths)
        return last_of(logits, lengths) if self.pooling == "last" else mean_of(logits, lengths)


def mean_of(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean [N, ...] over the frames that count of sequences [N, T, ...]."""
    if lengths is None:
        return x.mean(1)
    counts = counted(lengths.to(x.device), x.shape[1]).to(x.dtype)
    counts = counts.reshape(*counts.shape, *(1,) * (x.ndim - 2))
    return (x * counts).sum(1) / counts.sum(1)


def _silent(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Sequences with zeros behind their ends, whatever stood there."""
    if lengths is None:
        return x
    counts = counted(lengths.to(x.device), x.shape[1])
    return torch.where(counts.reshape(*counts.shape, *(1,) * (x.ndim - 2)), x, 0)
