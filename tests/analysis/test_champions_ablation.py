"""Ablation: what stands upon nothing costs nothing, and what a gene or a patch costs is known where the model is."""

import math

import pytest
import torch

from amiss.analysis.champions import ablate, genes_of, occlude, without
from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.repro import fold
from amiss.spaces import CPPN
from amiss.spaces.graphs import EDGES, INPUTS, NODES, Graphs, begin

torch.set_num_threads(1)
FIRST = len(INPUTS)
GRAY = CPPN((1, 9, 11))


def classifier(weight):
    """Two classes; the odds of class 1 are a linear function of the pixels."""
    return Classifier(lambda x: (x.double() * weight).flatten(1).sum(1))


def genome(edges, kinds):
    """A graph by hand: edges (source, target, weight) by number, kinds by number of the node behind the inputs."""
    graphs = begin(torch.zeros(1, dtype=torch.int64), 1)
    graphs.source[:], graphs.target[:], graphs.gene[:], graphs.kind[:] = -1, -1, 0, -1
    for i, (a, b, weight) in enumerate(edges):
        graphs.source[0, i], graphs.target[0, i], graphs.gene[0, i] = a, b, (weight + 10) / 20
    for node, kind in kinds.items():
        graphs.kind[0, node] = kind
    return graphs.tensor()[0]


OUT, HIDDEN, DEAD = FIRST, FIRST + 1, FIRST + 5
LINEAR = 3
#          one to output             x to hidden        hidden to output   y to dead: it feeds nobody
GRAPH = genome([(3, OUT, 1.5), (0, HIDDEN, 4.0), (HIDDEN, OUT, 1.0), (1, DEAD, 9.0)], {0: LINEAR, 1: 0, 5: 2})


def test_a_gene_that_reaches_no_output_costs_exactly_nothing_and_is_not_asked_about():
    asked = classifier(torch.linspace(-1, 1, 99).reshape(1, 9, 11))
    told = ablate(asked, GRAY, GRAPH, 1)
    cost = {gene.name: fall for gene, fall in zip(told.genes, told.fall.tolist(), strict=True)}
    assert list(cost) == [
        "one to output 0",
        "x to node 0",
        "node 0 to output 0",
        "y to node 4",
        "node 0 (sine)",
        "node 4 (gaussian)",
    ]
    assert cost["y to node 4"] == cost["node 4 (gaussian)"] == 0
    assert all(cost[name] != 0 for name in cost if "node 4" not in name)
    assert asked.counts.queries == 5  # itself, and the four without a gene that counts
    assert told.order[0] == max(range(6), key=told.fall.tolist().__getitem__)


def test_what_a_gene_costs_is_what_its_picture_loses():
    white = genome([(3, OUT, 9.0)], {0: LINEAR})  # 9 / 3 is clipped to 1
    told = ablate(classifier(torch.full((1, 9, 11), 2 / 99)), GRAY, white, 1)
    assert bool((told.image == 255).all()) and bool((told.images == 0).all())
    assert told.before == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-6)
    assert told.fall.tolist() == pytest.approx([told.before - 0.5], abs=1e-6)
    against = ablate(classifier(torch.full((1, 9, 11), 2 / 99)), GRAY, white, 0)
    assert against.fall.tolist() == pytest.approx([-float(told.fall[0])], abs=1e-6)  # surer without it


@pytest.mark.parametrize("seed", range(4))
def test_each_gene_taken_away_is_gone_and_nothing_else(seed):
    space = CPPN(8)
    p = begin(torch.tensor([seed]), 3).tensor()
    for turn in range(40):
        p = space.vary(p, fold(torch.tensor([seed]), turn))
    genes, (before,) = genes_of(space, p[0]), space.describe(p)
    nodes = [name for name in before.nodes if name.startswith("node")]
    assert len(genes) == len(before.edges) + len(nodes)
    rows = without(p[0], genes)
    for gene, after in zip(genes, space.describe(rows), strict=True):
        if gene.kind == "connection":
            gone = [f"{a} to {b}" for a, b, _ in before.edges]
            gone.remove(gene.name)
            assert sorted(f"{a} to {b}" for a, b, _ in after.edges) == sorted(gone)
            assert after.nodes == before.nodes
        else:
            name = gene.name.partition(" (")[0]
            assert before.nodes.items() - after.nodes.items() == {(name, before.nodes[name])}
            assert after.edges == tuple(edge for edge in before.edges if name not in edge[:2])
    assert torch.equal(rows, Graphs.of(rows).tensor())


def test_a_graph_of_no_genes_is_told_of():
    told = ablate(classifier(torch.ones(1, 9, 11)), GRAY, torch.full((3 * EDGES + NODES - FIRST,), -1.0), 1)
    assert told.genes == () and told.order == () and told.fall.shape == (0,)
    assert told.images.shape == (0, 1, 9, 11)


def test_only_the_patch_that_counts_costs_and_it_costs_what_it_weighs():
    weight = torch.zeros(1, 10, 14, dtype=torch.float64)
    weight[0, 4:8, 8:12] = 0.25
    image = torch.full((1, 10, 14), 51, dtype=torch.uint8)
    image[0, 4:8, 8:12] = 255
    asked = classifier(weight)
    told = occlude(asked, image, 1, side=4)
    mean = (51 * 124 + 255 * 16) / 140
    assert told.fall.shape == (3, 4)
    expected = torch.zeros(3, 4, dtype=torch.float64)
    expected[1, 2] = 1 / (1 + math.exp(-4)) - 1 / (1 + math.exp(-4 * round(mean) / 255))
    assert told.fall == pytest.approx(expected, abs=1e-6)
    assert bool((told.fall.flatten()[[0, 5, 11]] == 0).all())


def test_an_image_of_one_color_is_asked_about_once(refuses):
    asked = classifier(torch.ones(1, 8, 8))
    told = occlude(asked, torch.full((1, 8, 8), 7, dtype=torch.uint8), 0, side=3)
    assert bool((told.fall == 0).all()) and asked.counts.queries == 1
    with refuses(UsageError, "occlusion-side"):
        occlude(asked, torch.zeros(1, 8, 8, dtype=torch.uint8), 0, side=0)
