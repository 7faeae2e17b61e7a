"""What a recurrent network can learn from how far back: norms of gradients, drawn."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amiss.data.worlds.tasks import recall
from amiss.errors import UsageError
from amiss.figures.draw import COLORS, blank, canvas, save
from amiss.models import Recurrent
from amiss.training.measures.forgetting import gradients_back, linear_network, weight_gradient

__all__ = ["MemoryNumbers", "draw_memory", "memory_numbers"]

_RADII = (0.5, 0.9, 1.0, 1.1)
_SIZE, _ROWS, _CLIP = 24, 16, 1.0
_LEAST = 1e-20  # what is smaller lies below the picture
_TINY = 1e-290  # what is smaller has lost digits


@dataclass(frozen=True)
class MemoryNumbers:
    """What is drawn.

    Attributes:
        linear: Of linear networks by their spectral radius: norms of gradients t steps back [T].
        clipping: Spectral radius, norm of the gradient of its weights, and the same after clipping.
        fresh: Of cells that have learned nothing: norms of gradients [T], by name.
        learned: The same of networks that have learned.
        clip: The bound of clipped norms.
    """

    linear: dict[float, Tensor]
    clipping: list[tuple[float, float, float]]
    fresh: dict[str, Tensor]
    learned: dict[str, Tensor]
    clip: float = _CLIP


def memory_numbers(
    learned: Mapping[str, Recurrent] | None = None, frames: Tensor | None = None, *, lag: int = 100, seed: int = 0
) -> MemoryNumbers:
    """Measure how gradients go back in time: in linear networks, in cells of 32 numbers, and in networks of yours.

    Args:
        learned: Networks of one layer in one direction, by name.
        frames: Sequences that they are measured on [n, T, inputs]; by default those of the task `recall`.
        lag: Of that task, and how far back the linear networks are followed.
        seed: Of weights, frames and directions.

    Raises:
        UsageError: A lag below 2.
        ContractError: The frames are none for these networks.
    """
    if lag < 2:
        raise UsageError(
            "Memory cannot be drawn over so few steps.",
            slug="figures-memory",
            seen=f"lag={lag}",
            needed="2 or more",
            hint="Pass, for instance, lag=100.",
        )
    lots = torch.Generator().manual_seed(seed)
    shown = (recall(_ROWS, lag, lots).frames if frames is None else frames).double()
    nothing = torch.zeros(1, lag, 1, dtype=torch.float64)
    noise = torch.randn(_ROWS, lag, 1, generator=lots, dtype=torch.float64)
    clipping = []
    for radius in torch.linspace(0.5, 1.3, 17).tolist():
        net = linear_network(_SIZE, radius, seed)
        clipping.append((radius, weight_gradient(net, noise), weight_gradient(net, noise, _CLIP)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = {
            "vanilla": Recurrent(shown.shape[2], 32, "rnn"),
            "LSTM, bias 1": Recurrent(shown.shape[2], 32, "lstm"),
            f"LSTM, memory={lag}": Recurrent(shown.shape[2], 32, "lstm", memory=lag),
        }
    return MemoryNumbers(
        {radius: gradients_back(linear_network(_SIZE, radius, seed), nothing, seed) for radius in _RADII},
        clipping,
        {name: gradients_back(net.double(), shown, seed) for name, net in fresh.items()},
        {name: gradients_back(copy.deepcopy(net).double(), shown, seed) for name, net in (learned or {}).items()},
    )


def draw_memory(numbers: MemoryNumbers) -> tuple[bytes, bytes]:
    """The figure as PNG and as SVG.

    Args:
        numbers: From `memory_numbers`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    return save(lambda: _drawn(numbers))


def _drawn(numbers: MemoryNumbers) -> Any:
    figure, axes = canvas(2, 2, 6.4, 4.8)
    linear, clipping, fresh, learned = axes.flatten()
    _lines(linear, {f"radius {radius:g}": norms for radius, norms in numbers.linear.items()})
    for radius, norms in numbers.linear.items():
        t, known = torch.arange(len(norms)), ((norms > _TINY) & norms.isfinite()).nonzero()
        if len(known):  # through the last norm that is a number, by logarithms: powers leave the range of numbers
            last = int(known[-1])
            line = (norms[last].log() + (t - last) * math.log(radius)).exp()
            linear.plot(t, line, color="black", linewidth=0.8, linestyle=":")
    linear.set_title("Linear networks; dotted: radius$^{steps}$", loc="left")
    radii, raw, clipped = zip(*numbers.clipping, strict=True)
    clipping.semilogy(radii, raw, color=COLORS[6], label="gradient")
    clipping.semilogy(radii, clipped, color=COLORS[0], linestyle="--", label=f"clipped at {numbers.clip:g}")
    clipping.set_title("Gradients of weights, clipped and not", loc="left")
    clipping.set_xlabel("spectral radius")
    clipping.set_ylabel("norm")
    clipping.legend(frameon=False)
    _lines(fresh, numbers.fresh)
    fresh.set_title("Cells that have learned nothing", loc="left")
    if numbers.learned:
        _lines(learned, numbers.learned)
        learned.set_title("Networks that have learned", loc="left")
    else:
        blank(learned)
    return figure


def _lines(axes: Any, lines: Mapping[str, Tensor]) -> None:
    """Norms over steps back, on a logarithmic axis; what is below the picture is left out."""
    for i, (name, norms) in enumerate(lines.items()):
        seen = norms.clamp_min(_LEAST / 10)
        axes.semilogy(
            range(len(seen)), seen, color=COLORS[i % len(COLORS) if len(lines) > 3 else (6, 2, 0)[i]], label=name
        )
    axes.set_ylim(bottom=max(_LEAST, min([1e-3, *(float(v.min()) for v in lines.values())]) / 3))
    axes.set_xlabel("steps back")
    axes.set_ylabel("norm of the gradient")
    axes.legend(frameon=False)
