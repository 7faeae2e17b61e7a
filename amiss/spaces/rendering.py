"""Graphs to pictures: a plan of many graphs at once, sorted by level, and its arithmetic on blocks of pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amiss.spaces.graphs import INPUTS, KINDS, NODES, Graphs, ancestors, feeds

__all__ = ["Plan", "grow", "make_plan", "render"]

_IN = len(INPUTS)
_SCALE = np.array([1.0, 0.5, 1.0, 1 / 3])  # of a sum: a sigmoid is then tanh, a line has corners at 1
_ROOM = 1_600_000  # numbers that a block of graphs holds at a time: with fewer, calls cost more than their arithmetic
_TILE = 16_384  # pixels at a time

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]


@dataclass(frozen=True)
class _Level:
    """Nodes of one block whose sources are all known.

    Attributes:
        nodes: First and one past the last of them among the plan's nodes.
        edges: First and one past the last of their connections among the plan's.
        kinds: Rows of the values where the nodes of each kind begin, and where the last end.
    """

    nodes: tuple[int, int]
    edges: tuple[int, int]
    kinds: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """In which order the nodes of R graphs are computed; those that reach no output are left out.

    Attributes:
        blocks: For each block of graphs its first and one past its last, and its levels.
        outputs: Rows of the values that hold the outputs [R, outputs].
        height: Rows of the values that the largest block needs.
        source: Rows of the values that each connection comes from [k].
        begins: Where each node's connections begin, from those of its level on [nodes].
        weights: What each connection counts, scaled for its target's kind [k].
        scale: What the weight itself was multiplied by for that [k].
        edges: Graph and place of each connection, [k] each.
    """

    blocks: tuple[tuple[int, int, tuple[_Level, ...]], ...]
    outputs: Ints
    height: int
    source: Tensor
    begins: Tensor
    weights: Tensor
    scale: Tensor
    edges: tuple[Ints, Ints]


def make_plan(graphs: Graphs, outputs: int, pixels: int) -> Plan:
    """Order the nodes of graphs by block, level and kind.

    Args:
        graphs: R graphs, one or more.
        outputs: Their outputs.
        pixels: Pixels of a picture: the larger, the fewer graphs make a block.
    """
    n, into = len(graphs.source), feeds(graphs)
    ends = np.full(n, sum(1 << (_IN + i) for i in range(outputs)), np.uint64)
    level = _levels(into, ancestors(into, ends))
    row, node = (level > 0).nonzero()
    room = np.bincount(row, minlength=n) * min(pixels, _TILE)
    block = _numbered(room.cumsum() // _ROOM)
    kind = graphs.kind[row, node - _IN].clip(0)
    # One number that ascends with block, level and kind; of equal ones the order stays.
    rung = (block[row] * (NODES + 1) + level[row, node]) * len(KINDS) + kind
    order = np.argsort(rung, kind="stable")
    row, node, kind, rung = row[order], node[order], kind[order], rung[order]
    first = np.searchsorted(block[row], np.arange(block[-1] + 2))
    place, rank = np.zeros((n, NODES), np.int64), np.zeros((n, NODES), np.int64)
    place[:, :_IN] = np.arange(_IN)
    place[row, node] = np.arange(len(row)) - first[block[row]] + _IN
    rank[row, node] = np.arange(len(row))
    line, edge = graphs.used.nonzero()
    low, high = level[line, graphs.source[line, edge]], level[line, graphs.target[line, edge]]
    wanted = (high > 0) & (low < high) & ((low > 0) | (graphs.source[line, edge] < _IN))
    line, edge = line[wanted], edge[wanted]
    target = rank[line, graphs.target[line, edge]]
    sort = np.argsort(target, kind="stable")
    line, edge, target = line[sort], edge[sort], target[sort]
    begins = np.searchsorted(target, np.arange(len(row) + 1))
    scale = _SCALE[kind[target]]
    weights = (20 * graphs.gene[line, edge].astype(np.float64) - 10) * scale
    levels, offsets = _cut(rung, place[row, node], begins)
    members = np.searchsorted(block, np.arange(block[-1] + 2)).tolist()
    return Plan(
        tuple((a, b, own) for (a, b), own in zip(pairwise(members), levels, strict=True)),
        place[:, _IN : _IN + outputs],
        _IN + int(np.diff(first).max()),
        torch.from_numpy(place[line, graphs.source[line, edge]]),
        torch.from_numpy(offsets),
        torch.from_numpy(weights),
        torch.from_numpy(scale),
        (line, edge),
    )


def render(plan: Plan, inputs: Tensor, out: Tensor) -> Iterator[slice]:
    """Compute the outputs of the graphs at each pixel, a block of graphs after the other, on a processor.

    Args:
        plan: Of R graphs.
        inputs: What feeds them at each pixel [4, pixels], float32 or float64.
        out: Where the outputs are written [R, outputs, pixels], of the same type.

    Yields:
        The graphs whose outputs are written now.
    """
    weights, pixels = plan.weights.to(inputs.dtype), inputs.shape[1]
    values, drawn = inputs.new_empty(plan.height, min(pixels, _TILE)), out.numpy()
    for first, last, levels in plan.blocks:
        for at in range(0, pixels, _TILE):
            tile = slice(at, min(at + _TILE, pixels))
            own = values[:, : tile.stop - at] if tile.stop - at < values.shape[1] else values
            own[:_IN] = inputs[:, tile]
            for level in levels:
                _fill(own, _sums(plan, level, own, weights).numpy(), level.kinds)
            np.take(own.numpy(), plan.outputs[first:last], axis=0, out=drawn[first:last, :, tile], mode="clip")
        yield slice(first, last)


def grow(plan: Plan, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
    """The same on any device, and with gradients.

    Args:
        plan: Of R graphs.
        inputs: What feeds them at each pixel [4, pixels].
        weights: Other weights [R, EDGES] than the graphs' own; gradients reach them.

    Returns:
        The outputs [R, outputs, pixels].
    """
    if weights is None:
        chosen = plan.weights.to(inputs)
    else:
        rows, places = (torch.from_numpy(part).to(weights.device) for part in plan.edges)
        chosen = weights[rows, places].to(inputs) * plan.scale.to(inputs)
    drawn = []
    for first, last, levels in plan.blocks:
        values = inputs
        for level in levels:
            total = _sums(plan, level, values, chosen)
            a, b, c, d, e = (row - level.kinds[0] for row in level.kinds)
            new = [total[a:b].sin(), total[b:c].tanh(), (-total[c:d].square()).exp(), total[d:e].clamp(-1, 1)]
            values = torch.cat([values, *new])
        drawn.append(values[torch.from_numpy(plan.outputs[first:last]).to(inputs.device)])
    return torch.cat(drawn)


def _sums(plan: Plan, level: _Level, values: Tensor, weights: Tensor) -> Tensor:
    """What comes into each node of a level [nodes, pixels]: a sparse matrix times the values before."""
    (a, b), (i, j) = level.nodes, level.edges
    source, begins = plan.source[i:j].to(values.device), plan.begins[a:b].to(values.device)
    return torch.embedding_bag(values, source, begins, False, 0, False, weights[i:j])[0]


def _fill(values: Tensor, total: NDArray[np.float32], kinds: tuple[int, ...]) -> None:
    """Write the values of a level's nodes; NumPy's functions are two to seven times as quick as torch's here."""
    plain = values.numpy()
    for kind, (a, b) in zip(KINDS, pairwise(kinds), strict=True):
        if a == b:
            continue
        own, out = total[a - kinds[0] : b - kinds[0]], plain[a:b]
        if kind == "sine":
            np.sin(own, out=out)
        elif kind == "sigmoid":
            np.tanh(own, out=out)
        elif kind == "gaussian":
            np.multiply(own, own, out=own)
            np.exp(np.negative(own, out=own), out=out)
        else:
            np.clip(own, -1, 1, out=out)


def _levels(into: Words, live: Words) -> Ints:
    """The length of the longest way from an input to each node [R, NODES]; 0 for inputs and nodes not wanted.

    A circle, which no mutation makes but a file may hold, is put on one level with all that it feeds; what they say
    to each other does not count.
    """
    wide = int(np.bitwise_or.reduce(live)).bit_length()  # no node beyond is wanted in any graph
    known, fed = np.full(len(into), (1 << _IN) - 1, np.uint64), into[:, :wide].T.copy()
    bits = np.uint64(1) << np.arange(wide, dtype=np.uint64)[:, None]
    waiting = live & bits != 0  # nodes in columns: rows of a few nodes would be slow
    waiting[:_IN] = False
    rounds = np.zeros(waiting.shape, np.uint8)
    while waiting.any():
        rounds += waiting
        still = waiting & (fed & ~known != 0)
        if np.array_equal(still, waiting):
            break
        known = known | np.bitwise_or.reduce(np.where(waiting ^ still, bits, np.uint64(0)))
        waiting = still
    level = np.zeros(into.shape, np.int64)
    level[:, :wide] = rounds.T
    return level


def _cut(rung: Ints, place: Ints, begins: Ints) -> tuple[list[tuple[_Level, ...]], Ints]:
    """The levels of each block, and where each node's connections begin within its level.

    Args:
        rung: The nodes' numbers of block, level and kind [nodes], ascending.
        place: Their rows of the values [nodes].
        begins: Where the connections of each begin, and where the last one's end [nodes + 1].
    """
    kinds = len(KINDS)
    inverse = _numbered(rung // kinds)
    runs = (rung // kinds)[np.searchsorted(inverse, np.arange(inverse[-1] + 1))]
    cuts = np.searchsorted(rung, runs[:, None] * kinds + np.arange(kinds + 1))
    rows = cuts - cuts[:, :1] + place[cuts[:, 0], None]
    offsets = begins[:-1] - begins[cuts[inverse, 0]]
    blocks: dict[int, list[_Level]] = {}
    columns = zip(
        (runs // (NODES + 1)).tolist(),
        cuts[:, [0, -1]].tolist(),
        begins[cuts[:, [0, -1]]].tolist(),
        rows.tolist(),
        strict=True,
    )
    for block, (a, b), (i, j), own in columns:
        blocks.setdefault(block, []).append(_Level((a, b), (i, j), tuple(own)))
    return [tuple(levels) for levels in blocks.values()], offsets


def _numbered(ascending: Ints) -> Ints:
    """Numbers from 0 on of the different values, in their order."""
    return np.cumsum(np.diff(ascending, prepend=ascending[:1]) != 0)
