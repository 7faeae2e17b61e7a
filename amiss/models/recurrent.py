"""Recurrent networks over whole sequences: layers of cells, in one direction or in both."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.cells import CELLS, State, Weights

__all__ = ["CellName", "Recurrent", "check_sequences", "check_type", "counted", "last_of", "turned_back"]

CellName = Literal["rnn", "lstm", "lstm-sigmoid", "gru"]
"""A name in `CELLS`."""

_WIDEST, _DEEPEST = 4096, 8
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Recurrent(nn.Module):
    """Layers of recurrent cells: states [N, T, width] of sequences [N, T, inputs].

    Whole sequences run through torch's fused kernels where there is one, single steps through the formulas of
    `amiss.models.cells`; both read the same weights. In both directions each layer has a second row of cells that
    begins at every row's own end; its states stand behind those of the first.

    Args:
        inputs: Numbers in a frame.
        hidden: Numbers in the state of a cell.
        cell: Which cells.
        layers: How many, one above the other.
        bidirectional: Whether each state knows the frames behind it as well as those before it.
        memory: Steps that a gate should be able to keep something at first: the biases of the forget gates are drawn
            so that cells forget at rates from one step to so many. 0 sets these biases to 1. It is for cells lstm
            and lstm-sigmoid; rnn and gru begin as torch draws them, whatever it says.
        dropout: Share of the numbers between layers that are left out while training.

    Raises:
        UsageError: A size that cannot mean anything, or an unknown cell.

    References:
        Schuster and Paliwal 1997 (both directions); Jozefowicz, Zaremba and Sutskever 2015 (the bias 1); Tallec and
        Ollivier 2018, can recurrent neural networks warp time, equation 16 (`memory`).
    """

    def __init__(
        self,
        inputs: int,
        hidden: int = 64,
        cell: CellName = "lstm",
        layers: int = 1,
        bidirectional: bool = False,
        memory: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if cell not in CELLS or not (
            1 <= min(inputs, hidden) <= max(inputs, hidden) <= _WIDEST
            and 1 <= layers <= _DEEPEST
            and memory >= 0
            and 0 <= dropout < 1
        ):
            raise UsageError(
                "There is no such recurrent network.",
                slug="recurrent-network",
                seen=f"inputs={inputs}, hidden={hidden}, cell={cell!r}, layers={layers}, memory={memory}"
                + f", dropout={dropout:g}" * (dropout != 0),
                needed=f"sizes from 1 to {_WIDEST}, up to {_DEEPEST} layers, a cell out of {', '.join(CELLS)}, "
                "a dropout below 1",
                hint="Pass, for instance, Recurrent(inputs=8, hidden=64, cell='lstm').",
            )
        self.inputs, self.hidden, self.cell, self.layers = inputs, hidden, cell, layers
        self.bidirectional, self.width = bidirectional, hidden * (1 + bidirectional)
        ways = 2 if bidirectional else 1
        sizes = [inputs] + [self.width] * (layers - 1)
        self.rows = nn.ModuleList(
            CELLS[cell].holder(size, hidden, batch_first=True) for size in sizes for _ in range(ways)
        )
        self.dropout = nn.Dropout(dropout)
        self._begin(memory)

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, states: Sequence[State] | None = None
    ) -> tuple[Tensor, list[State]]:
        """States of all frames.

        Args:
            x: Sequences [N, T, inputs].
            lengths: Frames of each [N]; what stands behind them is not looked at. None: T each.
            states: Of every row of cells at the beginning, as `forward` or `start` gives them. None: zeros.

        Returns:
            The uppermost layer's states [N, T, width], and those of every row of cells after frame T.

        Raises:
            ContractError: `x` has another shape or type than the weights want, or the lengths do not fit it.
        """
        _check_shape(x, (self.inputs,), lengths)
        check_type(x, self.weights(0).into.dtype)
        states = self.start(len(x)) if states is None else states
        ends, ways = [], 2 if self.bidirectional else 1
        for layer in range(self.layers):
            x = self.dropout(x) if layer else x
            out = []
            for way in range(ways):
                index = layer * ways + way
                seen = turned_back(x, lengths) if way else x
                h, end = self._run(index, seen, states[index])
                out.append(turned_back(h, lengths) if way else h)
                ends.append(end)
            x = torch.cat(out, 2)
        return x, ends

    def start(self, n: int) -> list[State]:
        """Zero states of every row of cells, for `n` sequences."""
        zero = self.weights(0).into.new_zeros(n, self.hidden)
        return [(zero,) * CELLS[self.cell].states for _ in self.rows]

    def step(self, x: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """The same for one frame [N, inputs]: the uppermost state [N, hidden], and all states after it.

        Raises:
            UsageError: The network looks at frames that are still to come.
        """
        if self.bidirectional:
            raise UsageError(
                "A network in both directions cannot go step by step.",
                slug="recurrent-step",
                seen="bidirectional=True",
                needed="a network in one direction",
                hint="Pass it whole sequences.",
            )
        update, after = CELLS[self.cell].update, []
        for index, state in enumerate(states):
            after.append(update(x, state, self.weights(index)))
            x = after[-1][0]
        return x, after

    def weights(self, index: int) -> Weights:
        """The weights of one row of cells: layer by layer, forwards before backwards."""
        row = self.rows[index]
        return Weights(*(getattr(row, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))

    def _run(self, index: int, x: Tensor, state: State) -> tuple[Tensor, State]:
        """States [N, T, hidden] of one row of cells, and the last one."""
        cell = CELLS[self.cell]
        if cell.fused:
            before = tuple(t[None].contiguous() for t in state)
            # cuDNN has gradients in training mode alone; who searches for an input wants them of a model that rests.
            resting = torch.is_grad_enabled() and not self.training
            with torch.backends.cudnn.flags(enabled=False) if resting else nullcontext():
                h, end = self.rows[index](x, before if len(before) > 1 else before[0])
            return h, tuple(t[0] for t in (end if isinstance(end, tuple) else (end,)))
        weights, out = self.weights(index), []
        for frame in x.unbind(1):
            state = cell.update(frame, state, weights)
            out.append(state[0])
        return torch.stack(out, 1), state

    def _begin(self, memory: int) -> None:
        """The biases of forget gates; gates that keep for long let in little."""
        if CELLS[self.cell].holder is not nn.LSTM:
            return
        for index in range(len(self.rows)):
            weights = self.weights(index)
            let_in, keep = weights.bias.data[: 2 * self.hidden].chunk(2)
            weights.bias_back.data.zero_()
            if memory < 2:
                keep.fill_(1)
            else:
                keep.uniform_(1, memory).log_()
                let_in.copy_(-keep)


def turned_back(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Sequences [N, T, ...] from their last frame to their first; what stands behind a row's length stays there."""
    if lengths is None:
        return x.flip(1)
    t = torch.arange(x.shape[1], device=x.device)
    ends = lengths.to(x.device)[:, None]
    index = torch.where(t < ends, ends - 1 - t, t)
    return x.gather(1, index.reshape(*index.shape, *(1,) * (x.ndim - 2)).expand_as(x))


def counted(lengths: Tensor, t: int) -> Tensor:
    """Which of `t` frames count [N, t], bool: the first `lengths` [N] of each row; on the lengths' device."""
    return torch.arange(t, device=lengths.device) < lengths[:, None]


def last_of(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The last frame [N, ...] of each sequence [N, T, ...]."""
    if lengths is None:
        return x[:, -1]
    return x[torch.arange(len(x), device=x.device), lengths.to(x.device) - 1]


def check_sequences(x: Tensor, frame: tuple[int, ...], lengths: Tensor | None = None) -> None:
    """Refuse what are no sequences of frames of that shape.

    Raises:
        ContractError: Frames of another shape, none at all, numbers that are not finite in a frame that counts, or
            lengths that are no tensor of whole numbers from 1 to T, one a row.
    """
    _check_shape(x, frame, lengths)
    bad = ~x.isfinite().flatten(2).all(2)
    if lengths is not None:
        bad &= counted(lengths.to(x.device), x.shape[1])
    if bool(bad.any()):
        row, at = (int(i) for i in bad.nonzero()[0])
        raise ContractError(
            "A frame holds numbers that are not finite.",
            slug="sequence-finite",
            seen=f"frame {at} of sequence {row}, and {int(bad.sum()) - 1} more",
            needed="finite numbers",
            why="a sensor that dropped out, or a division by zero",
            hint="Leave such frames out, or fill them: x.nan_to_num().",
        )


def check_type(x: Tensor, wanted: torch.dtype) -> None:
    """Refuse sequences of another type than the weights; under autocast, torch sees to it.

    Raises:
        ContractError: They are.
    """
    if x.dtype != wanted and not torch.is_autocast_enabled(x.device.type):
        raise ContractError(
            "These sequences are of another type than the weights.",
            slug="sequence-type",
            seen=str(x.dtype),
            needed=str(wanted),
            why={torch.float64: "arrays of numpy are float64", torch.uint8: "pictures of bytes"}.get(x.dtype, ""),
            hint="Divide pictures by 255." if x.dtype == torch.uint8 else f"Pass x.to({wanted}).",
        )


def _check_shape(x: Tensor, frame: tuple[int, ...], lengths: Tensor | None) -> None:
    """Refuse another shape, and lengths that do not fit; what the frames hold is not looked at."""
    wanted = f"(N, T, {', '.join(map(str, frame))}), T of 1 or more"
    if not isinstance(x, Tensor):
        raise ContractError(
            "These are no sequences for this model.",
            slug="sequence-shape",
            seen=f"a {type(x).__name__}",
            needed=f"a tensor {wanted}",
            hint="Pass torch.from_numpy(x).float(), if x is an array of numpy.",
        )
    if x.ndim != 2 + len(frame) or tuple(x.shape[2:]) != frame or x.shape[1] < 1:
        raise ContractError(
            "These are no sequences for this model.",
            slug="sequence-shape",
            seen=str(tuple(x.shape)),
            needed=wanted,
            why="a sequence is empty" if x.ndim > 1 and x.shape[1] < 1 else "",
            hint="Pass one row a sequence, padded at its end to a common length, and their lengths.",
        )
    if lengths is None:
        return
    whole = isinstance(lengths, Tensor) and lengths.dtype in _WHOLE and lengths.shape == x.shape[:1]
    if not whole or bool((lengths < 1).any()) or bool((lengths > x.shape[1]).any()):
        raise ContractError(
            "The lengths do not fit the sequences.",
            slug="sequence-lengths",
            seen=_said_of(lengths),
            needed=f"a tensor of {len(x)} whole numbers from 1 to {x.shape[1]}",
            why="a sequence is empty" if whole and int(lengths.min()) < 1 else "",
            hint="Pass torch.tensor([...]), the number of frames of each sequence; leave empty sequences out.",
        )


def _said_of(lengths: object) -> str:
    """Lengths in a few words, whatever they are."""
    if not isinstance(lengths, Tensor):
        return f"a {type(lengths).__name__}"
    if lengths.ndim != 1 or not len(lengths):
        return f"{tuple(lengths.shape)}, {lengths.dtype}"
    return f"{len(lengths)} lengths from {lengths.min().item():g} to {lengths.max().item():g}, {lengths.dtype}"
