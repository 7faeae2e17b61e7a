"""Costs of fooling a network for digits, and ascents with and without decay: known answers, and quick forms."""

import pytest
import torch

from amiss.bench import fooling_mnist
from amiss.bench.bench import Run
from amiss.bench.fooling_ascent import ascent
from amiss.bench.fooling_mnist import Cost, cost, mnist
from amiss.classifier import Classifier
from amiss.recipes import fool_direct


def bright(x):
    """Two classes, one for bright images and one for dark ones."""
    lit = 200 * (x.flatten(1).mean(1, keepdim=True) - 0.5)
    return torch.cat([lit, 0 * lit], 1)


def test_evaluations_are_counted_and_a_gradient_counts_as_three():
    asked = Classifier(bright, labels="ab")
    steep = cost(asked, fool_direct((1, 28, 28), confidence=0.9999, gradient=True, children=20), 2_000)
    # Twenty of noise; the gradients of the two elites; after a step by 0.05 in each pixel both are sure.
    assert (steep.median, steep.mean, steep.all, steep.generations, steep.spent) == (32, 32, 32, 2, 32)
    blind = cost(asked, fool_direct((1, 28, 28), confidence=0.9999, children=20), 20_000)
    assert blind.spent == blind.all >= blind.mean >= blind.median == 20 * (blind.generations + 1) > 32
    assert min(steep.least, blind.least) >= 0.9999


def test_a_route_that_does_not_arrive_is_given_up_at_its_limit():
    never = Classifier(lambda x: torch.zeros(len(x), 10), labels=list("abcdefghij"))
    found = cost(never, fool_direct((1, 28, 28), children=30), 100)
    assert (found.median, found.mean, found.all, found.generations, found.spent) == (None, None, None, None, 120)
    assert found.least == pytest.approx(0.1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("fooling"))


def test_the_routes_start_from_one_network(run, monkeypatch):
    monkeypatch.setattr(fooling_mnist, "_SURE", 0.9)
    figures, told = mnist(run)
    assert told["direct_gradient"]["all"] <= 1_000 and told["direct_gradient"]["least"] >= 0.9
    ends = {name: told[name]["all"] or told["limits"][name] for name in ("direct", "direct_gradient", "direct_2015")}
    assert figures["direct_over_2015"] == ends["direct"] / ends["direct_2015"]
    assert figures["direct_gradient_over_2015"] == ends["direct_gradient"] / ends["direct_2015"] <= 1


def test_of_the_routes_of_2015_the_slower_one_holds_the_bar(run, monkeypatch):
    for took, said in (((7, 90), (7, 90)), ((90, 0), (90, 0)), ((7, None), (7, 5))):  # 5: not within the limit
        costs = (Cost(9, 9, 9, count, 9, 1.0) for count in (took[0], 3, 3, took[1], 3, 3))
        monkeypatch.setattr(fooling_mnist, "cost", lambda *_, costs=costs: next(costs))
        figures, told = mnist(run)
        assert told["limits"]["cppn_2015"] // 200 == 5
        assert figures["paper_2015_generations"] == max(said)
        assert tuple(figures[f"paper_2015_generations_{name}"] for name in ("direct", "cppn")) == said


def test_decay_keeps_images_pale_and_the_network_less_sure(run):
    figures, told = ascent(run)
    free, held = (told["mnist"][f"decay {decay}"] for decay in ("0", "0.1"))
    assert all(a > b for a, b in zip(free["norm"], held["norm"], strict=True))
    assert figures["ascent_norm_cut"] > 1 and figures["ascent_confidence_drop"] > 0
    assert len(told["mnist"]["classes"]) == len(free["first"]["0.99"]) == 10
