"""What recurrent networks on pixels share: one update of an LSTM, and maps as rows of places."""

import torch
from torch import Tensor, nn

__all__ = ["gate_bias", "lstm", "places", "recurrent_weight"]


def lstm(gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
    """One update of a long short-term memory.

    Args:
        gates: Sums [..., 4 H] before their nonlinearities: input, forget and output gate, then the candidate.
        cell: The cell before [..., H]; None: zero.

    Returns:
        State and cell [..., H].

    References:
        Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 (forget gate); van den Oord, Kalchbrenner
        and Kavukcuoglu 2016, pixel recurrent neural networks, equation 3.
    """
    size = gates.shape[-1] // 4
    opened, candidate = gates.split((3 * size, size), -1)
    enter, forget, leave = opened.sigmoid().chunk(3, -1)
    entered = enter * candidate.tanh()
    cell = entered if cell is None else torch.addcmul(entered, forget, cell)
    return leave * cell.tanh(), cell


def places(maps: Tensor) -> Tensor:
    """Maps [N, F, H, W] as rows of places [H, W, N, F], each place of all images together in memory."""
    return maps.permute(2, 3, 0, 1).contiguous()


def recurrent_weight(*shape: int) -> nn.Parameter:
    """A weight [..., before, after], uniform within one over the root of `before`."""
    bound = shape[-2] ** -0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


def gate_bias(*shape: int) -> nn.Parameter:
    """A bias for the gates of `lstm`: zeros, and 1 for the forget gate: at first a cell keeps what it holds.

    References:
        Jozefowicz, Zaremba and Sutskever 2015 (the bias of the forget gate).
    """
    bias = torch.zeros(*shape)
    size = shape[-1] // 4
    bias[..., size : 2 * size] = 1
    return nn.Parameter(bias)
