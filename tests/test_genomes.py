"""Spaces that evolve: how far children lie, what graphs stay, and that a picture is what its graph says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from amiss.errors import UsageError
from amiss.repro import fold, uniform
from amiss.spaces import CPPN, Genome
from amiss.spaces.colors import rgb_of_hls
from amiss.spaces.cppn import CPPN_QUIRKS
from amiss.spaces.genome import polynomial, sbx
from amiss.spaces.graphs import EDGES, NODES, Graphs, Rates, ancestors, begin, feeds, mutate
from amiss.spaces.rendering import make_plan
from amiss.task import Task

KEY = torch.arange(40)
COARSE = Rates()  # of the code of 2015: no fine children


def evolved(space, mutations, n=40):
    """Genomes after some mutations each, one after the other."""
    p = space.start(Task(torch.arange(n)))
    for turn in range(mutations):
        p = space.vary(p, fold(torch.arange(n), turn))
    return p


def drawn(space, p, size):
    """What the graphs say, a pixel at a time, in double precision."""
    height, width = size
    raw = "raw-coordinates" in space.quirks
    kinds = {
        "sine": math.sin,
        "sigmoid": lambda s: 2 / (1 + math.exp(-s)) - 1,
        "gaussian": lambda s: math.exp(-s * s),
        "linear": lambda s: min(max(s / 3, -1), 1),
    }
    images = torch.zeros(len(p), space.shape[0], height, width, dtype=torch.float64)
    for i, drawing in enumerate(space.describe(p)):
        for row in range(height):
            for column in range(width):
                x, y = 2 * column / (width - 1) - 1, 2 * row / (height - 1) - 1
                place = {"distance": math.hypot(x, y), "one": 1.0}
                known = place | ({"x": column, "y": row} if raw else {"x": x, "y": y})

                def value(name, known=known, drawing=drawing):
                    if name not in known:
                        total = sum(w * value(a) for a, b, w in drawing.edges if b == name)
                        known[name] = kinds[drawing.nodes[name]](total)
                    return known[name]

                for c in range(space.shape[0]):
                    images[i, c, row, column] = abs(value(f"output {c}"))
    return images


@pytest.mark.parametrize("eta", [15.0, 5.0])
def test_polynomial_mutation_moves_by_one_over_eta_plus_two(eta):
    luck = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    nothing, all_of_it = torch.zeros_like(luck), torch.ones_like(luck)
    # From the ends of the range one half of the moves is clipped to none, and none of the other half.
    up, down = polynomial(nothing, luck, eta), 1 - polynomial(all_of_it, luck, eta)
    assert float((up + down).mean()) == pytest.approx(1 / (eta + 2), rel=1e-4)
    assert float(up.mean()) == pytest.approx(float(down.mean()), rel=1e-9)
    assert up.max() > 0.4 and (up[luck < 0.5] == 0).all() and (down[luck > 0.5] == 0).all()
    assert torch.equal(polynomial(torch.tensor([0.0, 1.0]), torch.tensor([0.1, 0.9]), eta), torch.tensor([0.0, 1.0]))


def test_a_share_of_the_genes_mutates_and_the_share_is_halved():
    parents = torch.full((40, 1, 28, 28), 0.5)
    for halve, turn, rate in ((1000, 0, 0.1), (1000, 999, 0.1), (1000, 2000, 0.025), (None, 2000, 0.1)):
        space = Genome((1, 28, 28), halve=halve)
        changed = space.vary(parents, KEY, turn) != parents
        assert float(changed.double().mean()) == pytest.approx(rate, rel=0.05), (halve, turn)
        by_row = changed.flatten(1).double().mean(1)
        assert by_row.std() > 0  # every child its own
    moved = (Genome((1, 28, 28), rate=1.0).vary(parents, KEY) - parents).abs()
    assert float(moved.mean()) == pytest.approx(1 / 17, rel=0.02)


def test_crossover_keeps_the_middle_and_stays_inside():
    n = 20_000
    a, b = torch.full((n,), 0.45, dtype=torch.float64), torch.full((n,), 0.55, dtype=torch.float64)
    luck, swap = uniform(torch.tensor([1, 2]), (n,), torch.float64)
    one, other = sbx(a, b, luck, swap, 10.0), sbx(b, a, luck, swap, 10.0)
    assert torch.allclose((one + other) / 2, torch.full_like(a, 0.5), atol=1e-9)  # far from the walls
    near = (one - a).abs() < (one - b).abs()
    assert float(near.double().mean()) == pytest.approx(0.5, abs=0.02)
    low, high = uniform(torch.tensor([3, 4]), (n,), torch.float64)
    child = sbx(low, high, luck, swap, 1.0)
    assert child.min() >= 0 and child.max() <= 1
    assert ((child == 0) | (child == 1)).double().mean() < 1e-3  # bounded, not clipped
    assert torch.equal(sbx(low, low, luck, swap, 10.0), low)


def test_a_pair_has_two_children():
    space = Genome((1, 4, 4), crossover=1.0)
    a, b = space.start(Task(torch.arange(2))).split(1)
    pair = space.cross(torch.cat([a, b]), torch.cat([b, a]), torch.tensor([7, 7]))
    assert not torch.equal(pair[0], pair[1])
    copies = Genome((1, 4, 4), crossover=0.0).cross(torch.cat([a, b]), torch.cat([b, a]), torch.tensor([7, 7]))
    assert {tuple(x.flatten().tolist()) for x in copies} == {tuple(x.flatten().tolist()) for x in (a, b)}
    # The hole of the code of 2015: what parents agree in becomes gray.
    same = torch.cat([a, a])
    assert torch.equal(space.cross(same, same, torch.tensor([7, 7])), same)
    hole = Genome((1, 4, 4), crossover=1.0, quirks=["gray-hole"])
    assert torch.equal(hole.cross(same, same, torch.tensor([7, 7])), torch.full_like(same, 0.5))


def test_what_the_genomes_of_2015_show():
    task = Task(torch.arange(3))
    plain, floored = Genome((3, 5, 5)), Genome((3, 5, 5), quirks=["truncated"])
    p = plain.start(task)
    assert plain.images and torch.equal(plain.decode(task, p), p)
    assert not floored.images and torch.equal(floored.decode(task, p), (p * 255).floor() / 255)
    colored = Genome((3, 5, 5), quirks=["hls"])
    assert not colored.images and torch.equal(colored.decode(task, p), rgb_of_hls(p))
    turned = Genome((3, 5, 5), quirks=["hls", "byte-hue"]).decode(task, p)
    assert torch.allclose(turned, rgb_of_hls(torch.cat([(p[:, :1] * 510 / 360) % 1, p[:, 1:]], 1)), atol=1e-5)


def test_colors_are_the_standard_librarys():
    import colorsys

    hls = uniform(torch.tensor([5]), (3, 10, 10), torch.float64)
    rgb = rgb_of_hls(hls)[0]
    for y in range(10):
        for x in range(10):
            wanted = colorsys.hls_to_rgb(*hls[0, :, y, x].tolist())
            assert torch.allclose(rgb[:, y, x], torch.tensor(wanted, dtype=torch.float64), atol=1e-12)


def topological(source, target):
    """Whether a graph has no circle: nodes that are fed by none left are taken away until none is left."""
    edges = [(a, b) for a, b in zip(source, target, strict=True) if a >= 0]
    while edges:
        fed = {b for _, b in edges}
        rest = [(a, b) for a, b in edges if a in fed]
        if len(rest) == len(edges):
            return False
        edges = rest
    return True


def test_graphs_have_no_circle_after_ten_thousand_mutations():
    # 250 generations of 40 graphs: each mutation may add, drop and split.
    graphs, sizes = begin(KEY, 3), set()
    grows = replace(COARSE, add_edge=1.0, add_node=0.6, drop_node=0.3)
    for turn in range(250):
        graphs = mutate(graphs, fold(KEY, turn), 3, grows if turn % 2 else COARSE)
        sizes |= set(graphs.used.sum(1).tolist())
    for i in range(40):
        assert topological(graphs.source[i].tolist(), graphs.target[i].tolist())
        nodes = {j + 4 for j in np.flatnonzero(graphs.kind[i] >= 0)} | set(range(4))
        taken = graphs.used[i]
        assert set(graphs.source[i][taken]) | set(graphs.target[i][taken]) <= nodes
        assert (graphs.target[i][taken] >= 4).all()  # nothing feeds an input
        assert (graphs.kind[i][:3] >= 0).all()  # outputs stay
    assert graphs.gene.min() >= 0 and graphs.gene.max() <= 1
    assert max(sizes) > 60  # they did grow
    assert not topological([4, 5], [5, 4])  # the check can fail


def test_what_feeds_what():
    #  x -> 4, 4 -> 7, 7 -> 8, one -> 8, and 9 feeds none of these
    source, target = np.full((1, EDGES), -1), np.full((1, EDGES), -1)
    source[0, :5], target[0, :5] = [0, 4, 7, 3, 2], [4, 7, 8, 8, 9]
    graphs = Graphs(source, target, np.zeros((1, EDGES), np.float32), np.zeros((1, NODES - 4), np.int64))
    of = ancestors(feeds(graphs), np.array([1 << 8], np.uint64))
    assert int(of[0]) == sum(1 << node for node in (8, 7, 4, 3, 0))


def test_each_mutation_happens_as_often_as_was_said():
    key = torch.arange(4000)
    grown = mutate(begin(key, 1), key, 1, Rates(weight=0, kind=0, add_node=1, drop_node=0, drop_edge=0, add_edge=0))
    parents = grown.roomy(EDGES)
    assert (parents.used.sum(1) == 5).all() and ((parents.kind >= 0).sum(1) == 2).all()
    none = Rates(0, 0, 0, 0, 0, 0)

    def share(rates, changed):
        return float(np.mean(changed(mutate(parents, fold(key, 9), 1, rates).roomy(EDGES))))

    def edges(child):
        return child.used.sum(1) != 5

    def nodes(child):
        return (child.kind >= 0).sum(1) != 2

    assert share(none, lambda child: (child.gene != parents.gene) | (child.source != parents.source)) == 0
    assert share(replace(none, add_node=0.5), nodes) == pytest.approx(0.5, abs=0.03)
    assert share(replace(none, drop_node=0.2), nodes) == pytest.approx(0.2, abs=0.03)
    # The output of six nodes has nothing to go to that does not feed it already.
    assert share(replace(none, add_edge=0.5), edges) == pytest.approx(0.5 * 5 / 6, abs=0.03)
    assert share(replace(none, drop_edge=0.3), edges) == pytest.approx(0.3, abs=0.03)
    used = parents.used
    assert share(replace(none, weight=0.1), lambda child: (child.gene != parents.gene)[used]) == pytest.approx(
        0.1, abs=0.01
    )
    # One of four kinds is the old one.
    there = parents.kind >= 0
    assert share(replace(none, kind=0.4), lambda child: (child.kind != parents.kind)[there]) == pytest.approx(
        0.3, abs=0.02
    )


def test_fine_children_differ_in_one_thing():
    key = torch.arange(4000)
    parents = begin(key, 3)
    early, child = (mutate(parents, key, 3, Rates(fine=1.0, settled=7), turn) for turn in (6, 7))
    assert (early.kind != parents.kind).any()
    kept = parents.kind >= 0
    assert (child.kind[kept] == parents.kind[kept]).all()
    edges, nodes = (child.used.sum(1) - parents.used.sum(1)), ((child.kind >= 0) & ~kept).sum(1)
    assert set(edges.tolist()) == set(nodes.tolist()) == {0, 1}
    assert edges.mean() == pytest.approx(0.1, abs=0.02) and nodes.mean() == pytest.approx(0.05, abs=0.015)
    # Of those that have not grown: what each weight of the twelve was multiplied by, where nothing was clipped.
    inside = (np.abs(child.gene[:, :12] - 0.5) < 0.49).all(1) & (np.abs(parents.gene[:, :12] - 0.5) > 0.02).all(1)
    same = (edges == 0) & inside
    factor = ((child.gene[:, :12] - 0.5) / (parents.gene[:, :12] - 0.5))[same]
    changed = np.abs(factor - 1) > 1e-4

    def multiplied(places):
        """Rows in which these weights, and no others, were multiplied by one number."""
        alike = np.ptp(factor[:, places], axis=1) < 1e-3
        return alike & changed[:, places].all(1) & ~np.delete(changed, places, axis=1).any(1)

    source, target = parents.source[0, :12], parents.target[0, :12]
    zoomed = multiplied(np.flatnonzero(source < 3)).mean()
    gained = sum(multiplied(np.flatnonzero(target == output)) for output in (4, 5, 6)).mean()
    # Shares of 0.15 each among the 0.9 that do not grow; a few of them change by less than can be told.
    assert zoomed == pytest.approx(1 / 6, abs=0.04) and gained == pytest.approx(1 / 6, abs=0.04)
    many = changed.sum(1)
    # Each of n = 12 weights moves with a probability of n^(u - 1), u uniform: all do in 1 / (12 ln 12) of the half.
    assert {1, 2, 4, 8} <= set(many.tolist()) and 0.3 < (many == 12).mean() / (0.5 / 0.9 / (12 * np.log(12))) < 1.2
    alone = changed & (many == 1)[:, None]
    assert alone[:, source == 3].mean() > 2 * alone[:, source < 3].mean()  # outputs are shifted by the weight of 1
    half = mutate(parents, key, 3, Rates(fine=0.5), 150)
    redrawn = (half.kind != parents.kind)[kept].mean()
    assert redrawn == pytest.approx((early.kind != parents.kind)[kept].mean() / 2, rel=0.2)


def test_a_zoomed_picture_is_the_same_one_nearer():
    # Weights from x, y and the distance are doubled: at half of the way from the middle is what was at the end.
    space = CPPN((1, 9, 9), "rgb")
    p = space.start(Task(KEY))
    p[:, 2 * EDGES : 2 * EDGES + 4] = 0.5 + (p[:, 2 * EDGES : 2 * EDGES + 4] - 0.5) / 4
    near = p.clone()
    near[:, 2 * EDGES : 2 * EDGES + 3] = 0.5 + (near[:, 2 * EDGES : 2 * EDGES + 3] - 0.5) * 2
    far, close = (space.draw(q, dtype=torch.float64) for q in (p, near))
    assert torch.allclose(close[:, :, 2:7, 2:7], far[:, :, ::2, ::2], atol=1e-6)


def test_an_output_is_shifted_where_1_does_not_feed_it_yet():
    key = torch.arange(400)
    parents = begin(key, 1)
    parents.source[:, 3] = -1  # one -> output
    child = mutate(parents, key, 1, Rates(fine=1.0, settled=0))
    fed = (child.source == 3) & (child.target == 4)
    shifted = fed.any(1) & ((child.kind >= 0).sum(1) == 1) & (child.gene[:, :3] == parents.gene[:, :3]).all(1)
    assert shifted.mean() == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("copied", [False, True])
def test_a_node_upon_a_connection(copied):
    parents = begin(KEY, 1)
    only = Rates(0, 0, 0, 0, 1, 0, copied=copied)
    child = mutate(parents, KEY, 1, only).roomy(EDGES)
    for i in range(40):
        (place,) = np.flatnonzero(child.target[i] != parents.target[i])[:1]
        assert child.target[i, place] == 5 and child.source[i, place] == parents.source[i, place]
        assert (child.source[i, 4], child.target[i, 4]) == (5, 4)
        old = parents.gene[i, place]
        assert child.gene[i, 4] == old
        assert child.gene[i, place] == (old if copied else np.float32(0.55))


def test_a_full_graph_grows_no_further():
    parents = begin(KEY, 1)
    grow = Rates(0, 0, 1.0, 0.0, 1.0, 0.0)
    for turn in range(150):
        parents = mutate(parents, fold(KEY, turn), 1, grow)
    full = parents.used.all(1)
    assert full.any()
    child = mutate(parents, KEY, 1, grow)
    assert (child.source[full] == parents.source[full]).all()


@pytest.mark.parametrize("quirks", [(), CPPN_QUIRKS])
@pytest.mark.parametrize("shape", [(1, 6, 8), (3, 5, 5)])
def test_pictures_are_what_the_graphs_say(shape, quirks):
    quirks = [q for q in quirks if q != "truncated"]  # which turns a rounding into a gray level
    space = CPPN(shape, "rgb", rates=COARSE, quirks=quirks)
    p = evolved(space, 12)
    wanted = drawn(space, p, shape[1:])
    assert torch.allclose(space.draw(p, dtype=torch.float64), wanted, atol=1e-9)
    single = space.decode(Task(KEY), p)
    assert single.dtype == torch.float32
    if "raw-coordinates" not in quirks:
        assert (single - wanted).abs().amax() < 1e-4 and (single - wanted).abs().flatten(1).amax(1).median() < 1e-5
    assert wanted.flatten(1).std(1).median() > 0.05  # there is something to see


def test_genomes_that_have_not_grown_are_drawn_to_a_hundred_thousandth():
    space = CPPN((1, 28, 28))
    p = space.start(Task(torch.arange(5)))
    assert (space.draw(p) - drawn(space, p, (28, 28))).abs().max() < 1e-5


def test_large_pictures_are_drawn_in_blocks_and_tiles_alike():
    space = CPPN((3, 150, 150), rates=COARSE)
    p = evolved(space, 15, n=60)
    plan = make_plan(Graphs.of(p), 3, 150 * 150)
    assert len(plan.blocks) > 1 and [b[0] for b in plan.blocks[1:]] == [b[1] for b in plan.blocks[:-1]]
    together = space.draw(p)
    for i in (0, 25, 59):
        assert torch.allclose(space.draw(p[i : i + 1]), together[i : i + 1], atol=1e-4)
    assert float(together.min()) >= -1e-6 and float(together.max()) <= 1 + 1e-6


def test_a_genome_is_the_same_picture_at_every_size():
    space = CPPN(8, "rgb", rates=COARSE)
    p = evolved(space, 10)
    # Corners lie at the ends, so 8, 29 and 225 pixels share places: every 4th, and every 32nd.
    small, middle, large = (space.draw(p, (n, n), dtype=torch.float64) for n in (8, 29, 225))
    assert torch.allclose(middle[:, :, ::4, ::4], small, atol=1e-9)
    assert torch.allclose(large[:, :, ::32, ::32], small, atol=1e-9)
    # And between those places 28 and 224 pixels show the same: the means over blocks agree with the pixels.
    start = space.start(Task(KEY))
    fine, coarse = space.draw(start, (224, 224)), space.draw(start, (28, 28))
    means = torch.nn.functional.interpolate(fine, (28, 28), mode="area")
    assert torch.corrcoef(torch.stack([means.flatten(), coarse.flatten()]))[0, 1] > 0.9
    raw = CPPN(8, "rgb", quirks=["raw-coordinates"])
    again = raw.draw(p, (29, 29), dtype=torch.float64)[:, :, ::4, ::4]
    assert (again - raw.draw(p, (8, 8), dtype=torch.float64)).abs().mean() > 0.1  # numbers of pixels: another picture


def test_gradients_reach_the_weights():
    space = CPPN((3, 6, 7), "hls", rates=COARSE)
    p = evolved(space, 8, n=6)
    weights = space.weights(p.double()).requires_grad_()
    images = space.draw(p, weights=weights, dtype=torch.float64)
    assert torch.allclose(images, space.draw(p, dtype=torch.float64), atol=1e-9)
    toward = uniform(torch.tensor([3]), images.shape, torch.float64)[0]
    (slope,) = torch.autograd.grad((images * toward).sum(), weights)
    used = torch.from_numpy(Graphs.of(p).roomy(EDGES).used)
    assert (slope[~used] == 0).all() and (slope[used] != 0).double().mean() > 0.3
    for step in range(8):
        along = uniform(torch.tensor([step + 10]), tuple(weights.shape), torch.float64)[0] - 0.5
        with torch.no_grad():
            ends = [
                (space.draw(p, weights=weights + h * along, dtype=torch.float64) * toward).sum()
                for h in (1e-6, -1e-6)
            ]
        rise = float(ends[0] - ends[1]) / 2e-6
        assert rise == pytest.approx(float((slope * along).sum()), rel=2e-2, abs=1e-2)


def test_genomes_that_no_mutation_makes_are_drawn_without_end_or_error():
    space = CPPN((1, 6, 6))
    p = space.start(Task(KEY))
    p = p + 10 * (uniform(fold(KEY, 1), (p.shape[1],)) - 0.5)
    circle = space.start(Task(torch.arange(1)))
    circle[0, :2], circle[0, EDGES : EDGES + 2] = torch.tensor([4.0, 5.0]), torch.tensor([5.0, 4.0])
    circle[0, 3 * EDGES : 3 * EDGES + 2] = 0  # two nodes that feed each other, one of them the output
    strange = [circle, torch.full_like(circle, torch.nan), torch.full_like(circle, torch.inf), -1e30 * circle]
    for images in (space.draw(torch.cat([p, *strange])), *map(space.draw, strange)):
        assert images.isfinite().all() and images.min() >= 0 and images.max() <= 1
    with torch.no_grad():
        assert torch.equal(space.draw(p[:0]), torch.zeros(0, 1, 6, 6))


def test_what_means_nothing_is_refused(refuses):
    for shape in ((28, 28), (0, 4, 4), -3):
        for space in (Genome, CPPN):
            with refuses(UsageError, "genome-shape"):
                space(shape)
    for options in ({"rate": 1.5}, {"eta": -1}, {"crossover": -0.1}, {"halve": 0}):
        with refuses(UsageError, "genome-rates"):
            Genome((1, 4, 4), **options)
    with refuses(UsageError, "genome-quirk"):
        CPPN(8, quirks=["gray-hole"])
    with refuses(UsageError, "genome-color"):
        CPPN(8, "cmyk")
    assert CPPN(8).shape == (3, 8, 8)
