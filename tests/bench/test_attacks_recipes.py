"""Recipes checked from outside: the honest ones hold, and a liar about success, bound or budget is caught."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from amiss import recipes
from amiss.bench import attacks_recipes
from amiss.bench.attacks import BENCH
from amiss.bench.attacks_recipes import Case
from amiss.bench.bench import Run
from amiss.bench.outside import Counter, check
from amiss.classifier import Classifier
from amiss.objectives import EOT, Avoid, Become, Confidence
from amiss.probe import Probe
from amiss.task import Task
from amiss.transforms import Noise

EPS = 0.2
NOTHING = ("claimed", "false", "excess", "budget_errors")


@dataclass(frozen=True)
class Liar(Probe):
    """Calls every image a success, though it hands back what it was given."""

    def run(self, classifier, task, **options):
        found = super().run(classifier, task, **options)
        outcomes = tuple(replace(outcome, status="met") for outcome in found.outcomes)
        return replace(found, images=task.image, outcomes=outcomes)


@dataclass(frozen=True)
class Wide(Probe):
    """Leaves its ball by one gray level in one pixel of one failure."""

    def run(self, classifier, task, **options):
        found = super().run(classifier, task, **options)
        images = found.images.clone()
        images[0, 0, 0, 0] = task.image[0, 0, 0, 0] + EPS + 1 / 255
        return replace(found, images=images)


@dataclass(frozen=True)
class Cheap(Probe):
    """Forgets to tell of a query."""

    def run(self, classifier, task, **options):
        found = super().run(classifier, task, **options)
        first, *rest = found.outcomes
        return replace(found, outcomes=(replace(first, queries=first.queries - 1), *rest))


def liar(kind, probe):
    return kind(**vars(probe))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which the network is trained once."""
    return tmp_path_factory.mktemp("recipes")


def measured(place, monkeypatch, **cases):
    monkeypatch.setattr(attacks_recipes, "_cases", lambda run: cases)
    monkeypatch.setattr(attacks_recipes, "_substitute", lambda *_: dict.fromkeys(NOTHING, 0))
    return attacks_recipes.claims(Run(10, True, place))


def test_every_claim_holds_from_outside(place):
    figures, told = attacks_recipes.claims(Run(10, True, place))
    assert figures["false_successes"] == figures["budget_errors"] == 0
    assert figures["bound_excess"] <= 1e-6
    assert figures["claims_checked"] == sum(row["claimed"] for row in told.values()) > 50
    names = " ".join(told).replace("-", "_")
    about_labels = {"eot", "hop_skip_jump", "label_fgrad", "worst_case"}  # and all in these two modules
    for name, recipe in recipes.RECIPES.items():
        if recipe.make.__module__ in ("amiss.recipes.labels", "amiss.recipes.queries") or name in about_labels:
            assert name in names, f"{name} is not checked"
    assert {"false_successes", "bound_excess", "budget_errors"} <= set(BENCH.bars) & set(figures)


def test_a_false_success_is_counted(place, monkeypatch):
    honest = recipes.square(EPS, 2)
    figures, told = measured(place, monkeypatch, liar=Case(liar(Liar, honest), 6, EPS))
    assert told["liar"]["claimed"] == 6
    assert figures["false_successes"] == told["liar"]["false"] >= 5  # all that the network names rightly
    assert figures["bound_excess"] == 0


def test_a_bound_that_is_left_is_told_to_the_level(place, monkeypatch):
    figures, _ = measured(place, monkeypatch, wide=Case(liar(Wide, recipes.fgsm(EPS)), 3, EPS))
    assert figures["bound_excess"] == pytest.approx(1 / 255, abs=1e-6)
    assert figures["false_successes"] == 0


def test_a_query_that_is_not_told_is_an_error(place, monkeypatch):
    figures, told = measured(place, monkeypatch, cheap=Case(liar(Cheap, recipes.square(EPS, 20)), 3, EPS, exact=True))
    assert figures["budget_errors"] == told["cheap"]["budget_errors"] >= 2  # together, and alone
    small = liar(Probe, recipes.square(EPS, 20))
    figures, _ = measured(
        place, monkeypatch, spent=Case(replace(small, budget=replace(small.budget, steps=5)), 3, EPS, exact=True)
    )
    assert figures["budget_errors"] > 0  # stopped before its queries were spent


class Bright(nn.Module):
    """Two classes: the second where the mean is above one half; in unnormalized pixels."""

    def forward(self, x):
        mean = x.flatten(1).mean(1)
        return 20 * torch.stack([0.5 - mean, mean - 0.5], 1)


@dataclass(frozen=True)
class Found:
    """Images, and what is claimed of them."""

    images: torch.Tensor
    met: torch.Tensor


def test_what_counts_is_the_file():
    # Between two gray levels the class flips: what is claimed of the float image is not true of its bytes.
    image = torch.full((2, 1, 4, 4), 0.2).mul(255).round() / 255
    made = torch.full((2, 1, 4, 4), 127.6 / 255)
    made[1] = 127.4 / 255
    task = Task(
        torch.arange(2), image, label=torch.zeros(2, dtype=torch.int64), target=torch.ones(2, dtype=torch.int64)
    )
    everyone = Found(made, torch.ones(2, dtype=torch.bool))
    for goal in (Avoid(), Become(), Confidence(0.5)):
        seen = check(Bright(), ((0.0,), (1.0,)), goal, 0, task, everyone)
        assert (seen.claimed, seen.false) == (2, 1)
        assert torch.allclose(seen.linf, torch.tensor([77, 76], dtype=torch.float64) / 255)
        assert torch.allclose(seen.l2, 4 * seen.linf)
    silent = check(Bright(), ((0.0,), (1.0,)), Avoid(), 0, task, Found(made, torch.zeros(2, dtype=torch.bool)))
    assert (silent.claimed, silent.false) == (0, 0)
    sure = check(Bright(), ((0.0,), (1.0,)), Confidence(0.9), 0, task, everyone)
    assert sure.false == 2


def test_colors_come_back_in_their_order():
    image = torch.zeros(1, 3, 4, 4)
    made = image.clone()
    made[0, 2] = 1.0

    class Blue(nn.Module):
        def forward(self, x):
            return torch.stack([x[:, 0].mean((1, 2)), x[:, 2].mean((1, 2))], 1)

    task = Task(torch.arange(1), image, label=torch.zeros(1, dtype=torch.int64))
    seen = check(Blue(), ((0.0,) * 3, (1.0,) * 3), Avoid(), 0, task, Found(made, torch.tensor([True])))
    assert (seen.claimed, seen.false) == (1, 0)


def test_views_are_the_ones_that_were_judged():
    task = Task(torch.arange(40), torch.full((40, 1, 4, 4), 128 / 255), label=torch.zeros(40, dtype=torch.int64))
    goal = EOT(Avoid(0.0), [Noise(0.2)], n=4, share=0.75)
    probe = replace(recipes.fgsm(0.1, margin=0.0, seed=3), objective=goal)
    classifier = Classifier(Bright())
    met = probe.judge(classifier, task, task.image)[1]
    assert 0 < met.sum() < 40
    for says, false in ((met, 0), (~met, int((~met).sum()))):
        assert check(Bright(), ((0.0,), (1.0,)), goal, 3, task, Found(task.image, says)).false == false
    assert check(Bright(), ((0.0,), (1.0,)), goal, 4, task, Found(task.image, met)).false > 0  # other views


def test_a_counter_counts_rows_both_ways():
    counter = Counter(Bright())
    x = torch.rand(5, 1, 4, 4, requires_grad=True)
    counter(x).sum().backward()
    counter(x.detach()[:3])
    assert (counter.forward_rows, counter.backward_rows) == (8, 5)
