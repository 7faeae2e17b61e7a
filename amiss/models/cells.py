"""Recurrent cells as their formulas: what one step makes of an input and of the state before it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["CELLS", "Cell", "State", "Weights", "gru", "lstm", "vanilla"]

State = tuple[Tensor, ...]
"""What a cell carries from step to step, [N, H] each: its output h first, and for an LSTM its memory s."""


@dataclass(frozen=True)
class Weights:
    """The weights of one cell with inputs x [N, F] and state h [N, H]: G blocks of H rows, in torch's order.

    Attributes:
        into: U [G H, F], of the input.
        back: W [G H, H], of the state.
        bias: b [G H].
        bias_back: A second bias [G H], which the GRU multiplies by its reset gate; elsewhere it is only added.
    """

    into: Tensor
    back: Tensor
    bias: Tensor
    bias_back: Tensor

    def sums(self, x: Tensor, h: Tensor) -> Tensor:
        """U x + W h + b [N, G H]."""
        return torch.addmm(self.bias + self.bias_back, x, self.into.T) + h @ self.back.T


def vanilla(x: Tensor, state: State, w: Weights) -> State:
    """The state tanh(U x + W h + b).

    References:
        Elman 1990, finding structure in time.
    """
    (h,) = state
    return (w.sums(x, h).tanh(),)


def lstm(x: Tensor, state: State, w: Weights, candidate: Callable[[Tensor], Tensor] = torch.tanh) -> State:
    """A memory s' = f s + g a(U_s x + W_s h + b_s) behind an output h' = q tanh(s').

    The gates, sigmoid(U x + W h + b) each, let in (g), keep (f) and let out (q); the blocks of the weights are
    g, f, s, q.

    Args:
        x: Inputs [N, F].
        state: Output h and memory s [N, H].
        w: The weights, four blocks.
        candidate: The function a: torch.tanh, as in use today, or torch.sigmoid.

    References:
        Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 (the forget gate f); Goodfellow, Bengio
        and Courville 2016, equations 10.40 to 10.44 (a sigmoid candidate).
    """
    h, s = state
    let_in, keep, new, let_out = w.sums(x, h).chunk(4, 1)
    s = keep.sigmoid() * s + let_in.sigmoid() * candidate(new)
    return let_out.sigmoid() * s.tanh(), s


def gru(x: Tensor, state: State, w: Weights) -> State:
    """The state h' = (1 - z) tanh(U_n x + b_n + r (W_n h + c_n)) + z h.

    The gates, sigmoid(U x + W h + b) each, reset (r) and keep (z); the blocks of the weights are r, z, n.

    References:
        Cho et al. 2014, equations 5 to 8, with the reset gate behind the matrix, as torch has it.
    """
    (h,) = state
    of_input = torch.addmm(w.bias, x, w.into.T).chunk(3, 1)
    of_state = torch.addmm(w.bias_back, h, w.back.T).chunk(3, 1)
    reset, keep = ((a + b).sigmoid() for a, b in zip(of_input[:2], of_state[:2], strict=True))
    new = (of_input[2] + reset * of_state[2]).tanh()
    return ((1 - keep) * new + keep * h,)


@dataclass(frozen=True)
class Cell:
    """A kind of cell.

    Attributes:
        update: State after a step, from input, state and weights.
        states: Tensors in its state.
        holder: The module of torch that holds such weights, and its fused kernel.
        fused: Whether that kernel computes this very cell.
    """

    update: Callable[[Tensor, State, Weights], State]
    states: int
    holder: Callable[..., nn.RNNBase]
    fused: bool = True


CELLS: dict[str, Cell] = {
    "rnn": Cell(vanilla, 1, nn.RNN),
    "lstm": Cell(lstm, 2, nn.LSTM),
    "lstm-sigmoid": Cell(partial(lstm, candidate=torch.sigmoid), 2, nn.LSTM, fused=False),
    "gru": Cell(gru, 1, nn.GRU),
}
"""Cells by name."""
