"""Populations of small feed-forward graphs as arrays: how they begin, how they mutate, who feeds whom.

A graph has 64 places for nodes: the inputs, then the outputs, then hidden nodes. So a set of nodes is one word of 64
bits, and what a whole population needs of its graphs is found in a few operations on words.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amiss.repro import fold, uniform
from amiss.spaces.genome import polynomial

__all__ = [
    "BITS",
    "EDGES",
    "INPUTS",
    "KINDS",
    "MODERN",
    "NODES",
    "Graphs",
    "Rates",
    "ancestors",
    "begin",
    "feeds",
    "mutate",
]

INPUTS = ("x", "y", "distance", "one")
"""What feeds a graph at each pixel."""

KINDS = ("sine", "sigmoid", "gaussian", "linear")
"""What a node makes of the sum s of what comes in: sin s, 2 / (1 + e^-s) - 1, e^(-s^2), s / 3 clipped to [-1, 1]."""

NODES, EDGES = 64, 128
"""Places for nodes and for connections."""

BITS: NDArray[np.uint64] = np.uint64(1) << np.arange(NODES, dtype=np.uint64)
"""The word of each node: a set of nodes is the sum of theirs."""

_IN = len(INPUTS)
_NONE = np.uint64(0)
_DRAWS = 23  # room for the numbers that a child draws, besides one a node and one a connection
_FINE = np.array([0.5, 0.65, 0.8, 0.9])  # of fine children: weights, a node's gain, zoom, tint; the rest grow

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Luck = NDArray[np.float32]


@dataclass(frozen=True)
class Rates:
    """How often a child differs from its parent, and how.

    Attributes:
        weight: Probability that a weight mutates.
        kind: Probability that a node's kind is drawn anew.
        add_edge: Probability of one more connection.
        drop_edge: Probability of one less.
        add_node: Probability of a node upon a connection.
        drop_node: Probability of one hidden node less, with its connections.
        eta: Of the polynomial mutation of weights.
        fine: Share of the children in which one thing alone happens. Some weights or all move by normal numbers; or
            what comes into a node is multiplied, or what comes from x, y and distance (the picture is zoomed); or
            an output is shifted; or one connection or node is added. How far is drawn between 0.01 and 2 for
            weights and shifts, and between 1 and e for factors.
        swap: Probability that two parents exchange some of their outputs, with all that draws these. A picture
            then has the lightness of one and the hues of the other.
        retries: How many times at most a child that draws what its parent draws is made anew.
        settled: Generation from which on `fine`, `swap` and `retries` count. Before that, structure is what is
            looked for.
        copied: Whether both connections of a new node have the weight of the one that it stands upon; else the first
            has 1.

    References:
        Nguyen, Yosinski and Clune (2015), and their code, for all but `fine`, `swap` and
        `retries`; Stanley and Miikkulainen (2002),
        evolving neural networks through augmenting topologies, for weights that are not copied.
    """

    weight: float = 0.1
    kind: float = 0.1
    add_edge: float = 0.5
    drop_edge: float = 0.3
    add_node: float = 0.5
    drop_node: float = 0.2
    eta: float = 15.0
    fine: float = 0.0
    swap: float = 0.0
    retries: int = 0
    settled: int = 150
    copied: bool = True


MODERN = Rates(fine=0.9, swap=0.4, retries=4)
"""What reaches a thousand classes soonest."""


@dataclass
class Graphs:
    """R graphs; the arrays are written to while children are made, and nowhere else.

    Attributes:
        source: Where each connection comes from [R, E], E of the EDGES places; -1 for a place that is free.
        target: Where it goes [R, E].
        gene: Its weight as a gene in [0, 1] [R, E]: the weight is 20 gene - 10.
        kind: Kind of each node but the inputs [R, NODES - 4]; -1 for a place that is free.
    """

    source: Ints
    target: Ints
    gene: NDArray[np.float32]
    kind: Ints

    @classmethod
    def of(cls, p: Tensor) -> "Graphs":
        """Genomes [R, 3 EDGES + NODES - 4] taken apart; nothing is shared with them.

        Places beyond the last that is taken in any graph are left out. Numbers that no graph could have, which a file
        may hold, are places that are free.
        """
        rows = p.detach().cpu().numpy()
        source, target, gene, kind = np.split(rows, [EDGES, 2 * EDGES, 3 * EDGES], axis=1)
        kind = np.where((kind >= 0) & (kind < len(KINDS)), kind, -1).astype(np.int64)
        wide = _reach(source >= 0)
        source, target, gene = source[:, :wide], target[:, :wide], gene[:, :wide]
        inside = (source >= 0) & (source < NODES) & (target >= _IN) & (target < NODES)
        source, target = (np.where(inside, part, -1).astype(np.int64) for part in (source, target))
        there = np.concatenate([np.ones((len(rows), _IN), bool), kind >= 0], axis=1)
        lone = inside.nonzero()
        lost = ~(there[lone[0], source[lone]] & there[lone[0], target[lone]])
        if lost.any():
            at = lone[0][lost], lone[1][lost]
            source[at] = target[at] = -1
        sound = gene if np.isfinite(gene.sum()) else np.nan_to_num(gene, nan=0.5)
        return cls(source, target, sound.clip(0, 1), kind)

    def tensor(self) -> Tensor:
        """The genomes, float32."""
        n, wide = self.source.shape
        rows = np.zeros((n, 3 * EDGES + NODES - _IN), np.float32)
        rows[:, : 2 * EDGES] = -1
        rows[:, :wide], rows[:, EDGES : EDGES + wide] = self.source, self.target
        rows[:, 2 * EDGES : 2 * EDGES + wide], rows[:, 3 * EDGES :] = self.gene, self.kind
        return torch.from_numpy(rows)

    def rows(self, index: Any) -> "Graphs":
        """Some of the graphs, copied."""
        return Graphs(*(part[index].copy() for part in (self.source, self.target, self.gene, self.kind)))

    def roomy(self, places: int) -> "Graphs":
        """The graphs copied, with so many places of connections that are free in all, if that many are left."""
        n, taken = len(self.source), self.width
        wide = min(taken + places, EDGES)
        free = np.full((n, wide), -1)
        child = Graphs(free, free.copy(), np.zeros((n, wide), np.float32), self.kind.copy())
        child.source[:, :taken], child.target[:, :taken] = self.source[:, :taken], self.target[:, :taken]
        child.gene[:, :taken] = self.gene[:, :taken]
        return child

    @property
    def used(self) -> Mask:
        """Which places of connections are taken [R, E]."""
        return self.source >= 0

    @property
    def nodes(self) -> Mask:
        """Which nodes there are [R, up to the last of any graph]: the inputs, and places that are taken."""
        taken = self.kind >= 0
        return np.concatenate([np.ones((len(taken), _IN), bool), taken[:, : _reach(taken)]], axis=1)

    @property
    def width(self) -> int:
        """Places of connections that must be looked at: none beyond is taken in any graph."""
        return _reach(self.used)


def begin(key: Tensor, outputs: int) -> Graphs:
    """Graphs without hidden nodes, each input connected to each output, kinds and weights drawn [R]."""
    n, edges = len(key), _IN * outputs
    source, target = np.full((n, EDGES), -1), np.full((n, EDGES), -1)
    source[:, :edges] = np.tile(np.arange(_IN), outputs)
    target[:, :edges] = np.repeat(np.arange(_IN, _IN + outputs), _IN)
    gene, kind = np.zeros((n, EDGES), np.float32), np.full((n, NODES - _IN), -1)
    gene[:, :edges] = uniform(fold(key, 1), (edges,)).numpy()
    kind[:, :outputs] = (len(KINDS) * uniform(fold(key, 2), (outputs,))).numpy()
    return Graphs(source, target, gene, kind)


def mutate(graphs: Graphs, key: Tensor, outputs: int, rates: Rates, turn: int = 0) -> Graphs:
    """Children, one a graph; they follow from their keys, and no cycle comes to be.

    Args:
        graphs: The parents.
        key: Each child's own randomness [R], int64, on the CPU.
        outputs: Places of nodes, after the inputs, that are never dropped.
        rates: How often what happens.
        turn: Which generation they are.
    """
    child, wide = graphs.roomy(2), graphs.width  # no child gets more than two
    # Numbers of a key are told by their places: those of the connections come last, for a child alone may draw fewer.
    luck = uniform(key, (_DRAWS + NODES - _IN + wide,)).numpy()
    edges = luck[:, _DRAWS + NODES - _IN :]
    fine = luck[:, 0] < (rates.fine if turn >= rates.settled else 0)
    coarse = ~fine
    sort = np.where(fine, np.searchsorted(_FINE, luck[:, 12], side="right"), -1)
    grown = (sort == len(_FINE)) & np.stack([luck[:, 13] < 0.5, luck[:, 13] >= 0.5])
    _weights(child, edges, coarse, rates)
    _kinds(child, luck[:, _DRAWS : _DRAWS + _reach(child.kind >= 0)], coarse, rates)
    if fine.any():
        _nudge(child, luck[:, 13:17], edges, sort)
        _tint(child, (sort == 3).nonzero()[0], luck[:, 13:17], outputs)
    _add_edge(child, (coarse & (luck[:, 1] < rates.add_edge) | grown[0]).nonzero()[0], luck[:, 2:5])
    _drop_edge(child, (coarse & (luck[:, 5] < rates.drop_edge)).nonzero()[0], luck[:, 6])
    _add_node(child, (coarse & (luck[:, 7] < rates.add_node) | grown[1]).nonzero()[0], luck[:, 8:10], rates.copied)
    _drop_node(child, (coarse & (luck[:, 10] < rates.drop_node)).nonzero()[0], luck[:, 11], outputs)
    return child


def feeds(graphs: Graphs) -> Words:
    """For each node of each graph the set of those it is fed by [R, NODES]."""
    rows, edges = graphs.used.nonzero()
    into = np.zeros(len(graphs.source) * NODES, np.uint64)
    np.bitwise_or.at(into, rows * NODES + graphs.target[rows, edges], BITS[graphs.source[rows, edges]])
    return into.reshape(-1, NODES)


def ancestors(into: Words, nodes: Words) -> Words:
    """The nodes [R] of each set, and all that feed them, directly or not [R]; `into` is what `feeds` tells."""
    wide = _reach(into)
    seen, bits, fed = nodes, BITS[:wide, None], into[:, :wide].T.copy()  # nodes in columns, which is twice as fast
    while True:
        more = seen | np.bitwise_or.reduce(np.where(seen & bits != 0, fed, _NONE))
        if np.array_equal(more, seen):
            return seen
        seen = more


def _reach(taken: NDArray[Any]) -> int:
    """Columns up to the last one in which anything is true, or not 0."""
    some = np.flatnonzero(taken.any(0))
    return int(some[-1]) + 1 if len(some) else 0


def _weights(child: Graphs, luck: Luck, rows: Mask, rates: Rates) -> None:
    """Polynomial mutation of some weights; one number decides whether, and what is left of it how far."""
    hit = child.used[:, : luck.shape[1]] & (luck < rates.weight) & rows[:, None]
    at = hit.nonzero()
    moved = polynomial(torch.from_numpy(child.gene[at]), torch.from_numpy(luck[at] / rates.weight), rates.eta)
    child.gene[at] = moved.numpy()


def _kinds(child: Graphs, luck: Luck, rows: Mask, rates: Rates) -> None:
    """Draw the kinds of some nodes anew."""
    at = ((child.kind[:, : luck.shape[1]] >= 0) & (luck < rates.kind) & rows[:, None]).nonzero()
    child.kind[at] = luck[at] / rates.kind * len(KINDS)


def _nudge(child: Graphs, luck: Luck, edges: Luck, sort: Ints) -> None:
    """Move weights of fine children: a share of all of them, or those into a node, or those from places."""
    own = ((sort >= 0) & (sort < 3)).nonzero()[0]
    luck, edges, sort = luck[own], edges[own], sort[own, None]
    source, target, gene = (part[own, : edges.shape[1]] for part in (child.source, child.target, child.gene))
    used, spread = source >= 0, _spread(luck[:, :1])
    node = _IN + _choose(child.kind[own] >= 0, luck[:, 1])[0][:, None]
    scaled = ((sort == 1) & (target == node)) | ((sort == 2) & used & (source < INPUTS.index("one")))
    gene = np.where(scaled, (gene - 0.5) * np.exp(spread / 2 * _normal(luck[:, 2:3])) + 0.5, gene)
    # A number of a connection decides whether it moves, and its last digits how far.
    share = used.sum(1, keepdims=True).clip(1) ** (luck[:, 3:] - 1)
    least = np.where(used, edges, 1).min(1, keepdims=True, initial=1)
    moved = (sort == 0) & used & (edges <= np.maximum(share, least))
    far = spread / np.sqrt(moved.sum(1, keepdims=True).clip(1)) * _normal(1024 * edges % 1)
    child.gene[own, : edges.shape[1]] = (gene + np.where(moved, far / 20, 0)).clip(0, 1)


def _tint(child: Graphs, rows: Ints, luck: Luck, outputs: int) -> None:
    """Shift outputs: move the weight of 1 into one, or connect them where they are not."""
    luck, one, output = luck[rows], INPUTS.index("one"), _IN + (outputs * luck[rows, 1]).astype(np.int64)
    there = (child.source[rows] == one) & (child.target[rows] == output[:, None])
    free, known = child.source[rows] < 0, there.any(1)
    ok = known | free.any(1)
    at = rows[ok], np.where(known, there.argmax(1), free.argmax(1))[ok]
    old = np.where(known[ok], child.gene[at], 0.5)
    child.source[at], child.target[at] = one, output[ok]
    child.gene[at] = (old + (_spread(luck[:, 0]) * _normal(luck[:, 2]))[ok] / 20).clip(0, 1)


def _spread(luck: NDArray[Any]) -> NDArray[Any]:
    """How far weights move: between 0.01 and 2, all magnitudes equally likely."""
    return np.power(10, -2 + 2.3 * luck)


def _normal(luck: NDArray[Any]) -> NDArray[Any]:
    """Normal numbers of uniform ones."""
    return torch.special.ndtri(torch.from_numpy(luck)).numpy()


def _add_edge(child: Graphs, rows: Ints, luck: Luck) -> None:
    """Connect two nodes: the target is no input and does not feed the source."""
    luck, some = luck[rows], child.rows(rows)
    there = some.nodes
    source, _ = _choose(there, luck[:, 0])
    above = ancestors(feeds(some), BITS[source])
    there &= above[:, None] & BITS[: there.shape[1]] == 0
    there[:, :_IN] = False
    target, ok = _choose(there, luck[:, 1])
    ok &= ~some.used.all(1)
    free = (~some.used).argmax(1)
    at = rows[ok], free[ok]
    child.source[at], child.target[at], child.gene[at] = source[ok], target[ok], luck[ok, 2]


def _drop_edge(child: Graphs, rows: Ints, luck: Luck) -> None:
    """Take one connection away."""
    edge, ok = _choose(child.used[rows], luck[rows])
    child.source[rows[ok], edge[ok]] = -1


def _add_node(child: Graphs, rows: Ints, luck: Luck, copied: bool) -> None:
    """Put a node upon a connection."""
    luck, used = luck[rows], child.used[rows]
    edge, ok = _choose(used, luck[:, 0])
    free, vacant = ~used, child.kind[rows] < 0
    ok &= free.any(1) & vacant.any(1)
    rows, edge, place, node = rows[ok], edge[ok], free.argmax(1)[ok], vacant.argmax(1)[ok]
    child.kind[rows, node] = len(KINDS) * luck[ok, 1]
    child.source[rows, place], child.target[rows, place] = _IN + node, child.target[rows, edge]
    child.gene[rows, place] = child.gene[rows, edge]
    child.target[rows, edge] = _IN + node
    if not copied:
        child.gene[rows, edge] = 0.55  # a weight of 1


def _drop_node(child: Graphs, rows: Ints, luck: Luck, outputs: int) -> None:
    """Take a hidden node away, with all its connections."""
    hidden = child.kind[rows] >= 0
    hidden[:, :outputs] = False
    node, ok = _choose(hidden, luck[rows])
    rows, node = rows[ok], node[ok]
    child.kind[rows, node] = -1
    ends = (child.source[rows] == _IN + node[:, None]) | (child.target[rows] == _IN + node[:, None])
    child.source[rows] = np.where(ends, -1, child.source[rows])


def _choose(mask: Mask, luck: NDArray[Any]) -> tuple[Ints, Mask]:
    """One of the true places of each row, all equally likely, and whether there is any."""
    count = mask.cumsum(1)
    total = count[:, -1]
    return (count > (luck * total).astype(np.int64)[:, None]).argmax(1), total > 0
