"""Two graphs exchange outputs: what draws the hue of one picture goes with what draws the lightness of another."""

from typing import NamedTuple

import numpy as np

from amiss.spaces.graphs import BITS, EDGES, INPUTS, NODES, Graphs, Ints, Mask, Words, ancestors, feeds

__all__ = ["swap"]

_IN = len(INPUTS)


class _Part(NamedTuple):
    """What of some graphs is kept: their nodes that feed the outputs that are wanted."""

    graphs: Graphs
    outputs: Mask  # [R, NODES], at the outputs' places
    hidden: Mask  # [R, NODES], all other nodes that are kept, which may be outputs that are not wanted
    edges: Mask  # [R, E]


def swap(graphs: Graphs, mates: Graphs, taken: Mask) -> Graphs:
    """Each graph with some outputs of its mate, and with whatever feeds them there.

    Nodes that feed nothing are left out. Where there is no room for both, the graph keeps its own.

    Args:
        graphs: R graphs.
        mates: R others.
        taken: Which outputs are the mate's [R, outputs].

    Returns:
        R graphs, with as many places of connections as any of them takes.
    """
    own, theirs = _part(graphs, ~taken), _part(mates, taken)
    room = _IN + taken.shape[1] + own.hidden.sum(1) + theirs.hidden.sum(1) <= NODES
    room &= own.edges.sum(1) + theirs.edges.sum(1) <= EDGES
    if not room.all():  # by far most have
        taken = taken & room[:, None]
        own, theirs = _part(graphs, ~taken), _part(mates, taken)
    kind = np.full_like(graphs.kind, -1)
    free = np.full(len(taken), _IN + taken.shape[1])
    ends = []
    for part in (own, theirs):
        place = np.where(part.hidden, free[:, None] + part.hidden.cumsum(1) - 1, np.arange(NODES))
        free = free + part.hidden.sum(1)
        row, node = (part.outputs | part.hidden).nonzero()
        kind[row, place[row, node] - _IN] = part.graphs.kind[row, node - _IN]
        ends.append([_moved(part, place, end) for end in (part.graphs.source, part.graphs.target)])
    source, target = (np.concatenate(both, axis=1) for both in zip(*ends, strict=True))
    gene = np.concatenate([graphs.gene, mates.gene], axis=1)
    order = np.argsort(source < 0, axis=1, kind="stable")[:, : int((source >= 0).sum(1).max(initial=0))]
    source, target = np.take_along_axis(source, order, axis=1), np.take_along_axis(target, order, axis=1)
    return Graphs(source, target, np.take_along_axis(gene, order, axis=1), kind)


def _part(graphs: Graphs, wanted: Mask) -> _Part:
    """The wanted outputs [R, outputs], what feeds them, and the connections between."""
    outputs = np.zeros((len(wanted), NODES), bool)
    outputs[:, _IN : _IN + wanted.shape[1]] = wanted
    goal: Words = np.bitwise_or.reduce(np.where(outputs, BITS, np.uint64(0)), axis=1)
    kept = (ancestors(feeds(graphs), goal)[:, None] & BITS) != 0
    kept[:, :_IN] = False
    edges = graphs.used & np.take_along_axis(kept, graphs.target.clip(0), axis=1)
    return _Part(graphs, outputs, kept & ~outputs, edges)


def _moved(part: _Part, place: Ints, end: Ints) -> Ints:
    """One end of the connections, at the nodes' new places."""
    return np.where(part.edges, np.take_along_axis(place, end.clip(0), axis=1), -1)
