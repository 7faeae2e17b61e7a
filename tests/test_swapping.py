"""Exchanging outputs between graphs: what is drawn is what each drew, channel by channel."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from amiss.repro import fold, uniform
from amiss.spaces import CPPN
from amiss.spaces.graphs import EDGES, INPUTS, NODES, Graphs, Rates, begin, feeds, mutate
from amiss.spaces.swapping import swap

COARSE = Rates()


def grown(seed: int, n: int = 40, turns: int = 25) -> Graphs:
    """Graphs after some generations of coarse mutations, each its own line."""
    key = fold(torch.full((n,), seed), torch.arange(n))
    graphs = begin(key, 3)
    for turn in range(turns):
        graphs = mutate(graphs, fold(key, turn), 3, COARSE)
    return graphs


def drawn(graphs: Graphs) -> torch.Tensor:
    """Channels as they are, in double precision."""
    return CPPN((3, 12, 12), "rgb").draw(graphs.tensor(), dtype=torch.float64)


def draws(n: int, seed: int = 0) -> np.ndarray:
    """Sets of outputs, of all eight kinds."""
    return uniform(fold(torch.full((n,), 5), torch.arange(n) + seed), (3,)).numpy() < 0.5


def test_each_channel_is_drawn_by_who_it_comes_from() -> None:
    own, theirs, taken = grown(1), grown(2), draws(40)
    child = drawn(swap(own, theirs, taken))
    want = torch.where(torch.from_numpy(taken)[:, :, None, None], drawn(theirs), drawn(own))
    assert torch.allclose(child, want, atol=1e-12)


def test_the_outputs_of_a_pair_are_exchanged_not_copied() -> None:
    own, theirs, taken = grown(1), grown(2), draws(40)
    one, other = drawn(swap(own, theirs, taken)), drawn(swap(theirs, own, taken))
    assert torch.allclose(one + other, drawn(own) + drawn(theirs), atol=1e-12)


def test_a_swap_with_oneself_leaves_the_picture_and_no_node_that_feeds_nothing() -> None:
    own = grown(3)
    child = swap(own, own, np.zeros((40, 3), bool))
    assert torch.allclose(drawn(child), drawn(own), atol=1e-12)
    hidden = child.kind[:, 3:] >= 0
    for row, node in zip(*hidden.nonzero(), strict=True):
        assert (child.source[row] == len(INPUTS) + 3 + node).any()
    assert hidden.sum() < (own.kind[:, 3:] >= 0).sum()  # there were some


def test_children_of_swaps_are_sound_graphs_without_cycles() -> None:
    child = swap(grown(4), grown(5), draws(40))
    back = Graphs.of(child.tensor())
    assert all(np.array_equal(getattr(back, name), getattr(child, name)) for name in ("source", "target", "kind"))
    into = feeds(child)
    for row in range(40):  # who has no unordered feeder left can always be taken away
        left = {n for n in range(NODES) if child.kind[row, n - len(INPUTS)] >= 0 and n >= len(INPUTS)}
        while left:
            bits = {n: int(into[row, n]) for n in left}
            ready = {n for n, word in bits.items() if not any(word >> m & 1 for m in left)}
            assert ready
            left -= ready


def test_without_room_for_both_a_graph_keeps_its_own() -> None:
    big, n = grown(6, n=4, turns=25), 4
    chains = big.kind.copy()
    source, target, gene = (np.full((n, EDGES), -1), np.full((n, EDGES), -1), np.full((n, EDGES), 0.6, np.float32))
    last = NODES - 1
    chains[:] = 0  # forty nodes and more, one after the other, that end in all three outputs
    order = [0, *range(len(INPUTS) + 3, NODES)]
    for e, (a, b) in enumerate(pairwise(order)):
        source[:, e], target[:, e] = a, b
    for o in range(3):
        source[:, len(order) + o], target[:, len(order) + o] = last, len(INPUTS) + o
    full = Graphs(source, target, gene, chains)
    taken = np.tile([True, False, False], (n, 1))
    assert torch.allclose(drawn(swap(full, big, taken))[:, 1:], drawn(full)[:, 1:], atol=1e-12)
    crowded = swap(full, full, taken)  # twice as many nodes as there are places
    assert torch.allclose(drawn(crowded), drawn(full), atol=1e-12)


@pytest.mark.parametrize("turn", [0, 149])
def test_nothing_is_swapped_before_structure_has_settled(turn: int) -> None:
    p = grown(7).tensor()
    assert CPPN((3, 8, 8)).cross(p, p.flip(0), torch.arange(40), turn) is p


def test_the_space_swaps_at_its_rate_and_gray_pictures_never() -> None:
    p, q, key = grown(8).tensor(), grown(9).tensor(), torch.arange(20).repeat_interleave(2)
    space = CPPN((3, 8, 8), rates=Rates(swap=0.5, settled=0))
    children = space.cross(p, q, key)
    pairs = (children != p).any(1).view(20, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()  # a pair exchanges, or does not
    assert 3 <= pairs[:, 0].sum() <= 17
    gray = CPPN((1, 8, 8), rates=Rates(swap=1.0, settled=0))
    assert gray.cross(p, q, key) is p


def test_a_child_that_looks_like_its_parent_is_made_anew() -> None:
    parents, key = grown(10, n=100).tensor(), fold(torch.full((100,), 3), torch.arange(100))
    few, many = (CPPN((3, 16, 16), rates=Rates(fine=1.0, retries=k, settled=0)) for k in (0, 8))

    def alike(space: CPPN) -> int:
        change = (space.draw(space.vary(parents, key, 1)) - space.draw(parents)).abs().mean((1, 2, 3))
        return int((change < 0.5 / 255).sum())

    assert alike(few) > 10
    assert alike(many) < alike(few) / 2  # some pictures are so plain that little shows
