"""Pictures drawn by small graphs: what a graph makes of a pixel's place is its color there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.repro import fold, uniform
from amiss.spaces.colors import BYTE_HUE, rgb_of_hls
from amiss.spaces.genome import image_shape, known_quirks
from amiss.spaces.graphs import EDGES, INPUTS, KINDS, MODERN, NODES, Graphs, Rates, begin, mutate
from amiss.spaces.rendering import grow, make_plan, render
from amiss.spaces.space import Space
from amiss.spaces.swapping import swap
from amiss.task import Level, Task

__all__ = ["CPPN", "CPPN_QUIRKS", "Drawing"]

CPPN_QUIRKS = ("raw-coordinates", "byte-hue", "truncated")
"""What the code of 2015 does and its paper does not say."""

_GLANCE = (16, 16)  # size at which a child is looked at beside its parent
_SEEN = 0.5 / 255  # mean change from which on it counts as another picture: half a gray level


@dataclass(frozen=True)
class Drawing:
    """A graph that draws.

    Attributes:
        nodes: Kind of each node by its name, "output 0" and on, "node 0" and on.
        edges: Connections: from an input or a node, to a node, and the weight.
    """

    nodes: dict[str, str]
    edges: tuple[tuple[str, str, float], ...]


class CPPN(Space):
    """Compositional pattern-producing networks: genomes [R, 444] that draw images of any size.

    A genome is a feed-forward graph. Its inputs are a pixel's place x and y in [-1, 1], the distance from the middle,
    and 1. A node takes the weighted sum of what comes in and makes of it a sine, a sigmoid, a Gaussian or a clipped
    line, all within [-1, 1]. The outputs' absolute values are the color. At the start each input feeds each output;
    children have other weights, other kinds of nodes, and connections and nodes more or less.

    Args:
        shape: Shape (C, H, W) of an image, or the side of a color image.
        color: What three outputs are: "hls" hue, lightness and saturation; "rgb" the channels themselves. Images of
            one channel are gray either way.
        rates: How children differ from their parents; `MODERN` where left out.
        quirks: Out of `CPPN_QUIRKS`. "raw-coordinates": x and y are numbers of pixels, 0 and up, so that a genome
            draws another picture at another size. "byte-hue": the hue goes round 1.42 times. "truncated": values are
            rounded down to a gray level.

    Raises:
        UsageError: A shape, a color or a quirk that is none.

    References:
        Stanley (2007), compositional pattern producing networks; Nguyen, Yosinski and Clune (2015), deep neural
        networks are easily fooled, section 2, and their code.
    """

    gives: Level = "loss"

    def __init__(
        self,
        shape: int | Sequence[int],
        color: Literal["hls", "rgb"] = "hls",
        *,
        rates: Rates | None = None,
        quirks: Sequence[str] = (),
    ) -> None:
        if color not in ("hls", "rgb"):
            raise UsageError(
                "There is no such way to read three outputs as a color.",
                slug="genome-color",
                seen=f"color={color!r}",
                needed="'hls' or 'rgb'",
                hint="CPPN(224, 'hls')",
            )
        self.shape, self.color = image_shape(shape), color
        self.quirks = known_quirks(quirks, CPPN_QUIRKS)
        self.rates = MODERN if rates is None else rates

    def start(self, task: Task, k: int = 1) -> Tensor:
        """Graphs without hidden nodes, drawn for each sample [n * k, 444]."""
        key = fold(task.key.repeat_interleave(k), torch.arange(k, device=task.key.device).repeat(len(task)))
        return begin(key.cpu(), self.shape[0]).tensor().to(key.device)

    def decode(self, task: Task, p: Tensor) -> Tensor:
        """What the genomes draw [R, C, H, W]."""
        return self.draw(p)

    def vary(self, parents: Tensor, key: Tensor, turn: int = 0) -> Tensor:
        """A child of each parent."""
        children = self._mutated(parents, key, turn)
        if turn < self.rates.settled or not self.rates.retries:
            return children
        before, alike = self.draw(parents, _GLANCE), torch.arange(len(children), device=parents.device)
        for retry in range(self.rates.retries):
            change = (self.draw(children[alike], _GLANCE) - before[alike]).abs().mean((1, 2, 3))
            alike = alike[change < _SEEN]
            if not len(alike):
                break
            children[alike] = self._mutated(parents[alike], fold(key[alike], retry), turn)
        return children

    def cross(self, parents: Tensor, mates: Tensor, key: Tensor, turn: int = 0) -> Tensor:
        """The parents, of whom some have some outputs of their mates; the two children of a pair have the rest."""
        if turn < self.rates.settled or self.shape[0] == 1:
            return parents
        luck = uniform(fold(key, 1), (2,))
        rows = (luck[:, 0] < self.rates.swap).nonzero().flatten()
        # One set of outputs out of all but none and all of them; its bits say which.
        chosen = 1 + (luck[rows, 1:] * (2 ** self.shape[0] - 2)).long()
        taken = (chosen >> torch.arange(self.shape[0], device=key.device)) & 1 > 0
        child = swap(Graphs.of(parents[rows]), Graphs.of(mates[rows]), taken.cpu().numpy())
        return parents.index_copy(0, rows, child.tensor().to(parents.device))

    def _mutated(self, parents: Tensor, key: Tensor, turn: int) -> Tensor:
        return mutate(Graphs.of(parents), key.cpu(), self.shape[0], self.rates, turn).tensor().to(parents.device)

    def weights(self, p: Tensor) -> Tensor:
        """The connections' weights [R, 128], in [-10, 10]; at a place without a connection it counts nothing."""
        return 20 * p[:, 2 * EDGES : 3 * EDGES] - 10

    def draw(
        self,
        p: Tensor,
        size: Sequence[int] | None = None,
        weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """What genomes draw, at any size.

        Args:
            p: Genomes [R, 444].
            size: Height and width in pixels; the space's own where left out.
            weights: Other weights for their connections [R, 128]; gradients reach these.
            dtype: What it is computed in. Each level multiplies rounding by up to ten.

        Returns:
            Images [R, C, *size] in [0, 1].
        """
        height, width = self.shape[1:] if size is None else size
        if not len(p):
            return torch.zeros(0, self.shape[0], height, width, device=p.device, dtype=dtype)
        plan = make_plan(Graphs.of(p), self.shape[0], height * width)
        inputs = _places(height, width, "raw-coordinates" in self.quirks, dtype).to(p.device)
        if weights is not None or p.device.type != "cpu":
            return self._colored(grow(plan, inputs, weights).unflatten(2, (height, width)).abs())
        flat = inputs.new_empty(len(p), self.shape[0], height * width)
        images = flat.view(len(p), self.shape[0], height, width)
        for rows in render(plan, inputs, flat):  # colors while the block is near at hand
            images[rows] = self._colored(images[rows].abs_())
        return images

    def _colored(self, x: Tensor) -> Tensor:
        """Colors of the outputs' absolute values [graphs, C, H, W]."""
        if self.color == "hls" and self.shape[0] == 3:
            x = rgb_of_hls(x, BYTE_HUE if "byte-hue" in self.quirks else 1.0)
        return (x * 255).floor() / 255 if "truncated" in self.quirks else x

    def describe(self, p: Tensor) -> list[Drawing]:
        """What graphs genomes [R, 444] are, in words."""
        graphs, first = Graphs.of(p), len(INPUTS)
        outputs = [f"output {i}" for i in range(self.shape[0])]
        names = [*INPUTS, *outputs, *(f"node {i}" for i in range(NODES - first - len(outputs)))]
        told = []
        for source, target, gene, kind in zip(graphs.source, graphs.target, graphs.gene, graphs.kind, strict=True):
            edges = zip(source.tolist(), target.tolist(), gene.tolist(), strict=True)
            told.append(
                Drawing(
                    {names[first + i]: KINDS[k] for i, k in enumerate(kind.tolist()) if k >= 0},
                    tuple((names[a], names[b], 20 * g - 10) for a, b, g in edges if a >= 0),
                )
            )
        return told


@lru_cache(maxsize=16)
def _places(height: int, width: int, raw: bool, dtype: torch.dtype) -> Tensor:
    """What feeds a graph at each pixel [4, H * W]: x, y, the distance from the middle, and 1."""
    sides = (torch.linspace(-1, 1, height, dtype=dtype), torch.linspace(-1, 1, width, dtype=dtype))
    y, x = torch.meshgrid(*sides, indexing="ij")
    distance = (x.square() + y.square()).sqrt()
    if raw:
        y, x = torch.meshgrid(torch.arange(height, dtype=dtype), torch.arange(width, dtype=dtype), indexing="ij")
    return torch.stack([x, y, distance, torch.ones_like(x)]).flatten(1)
