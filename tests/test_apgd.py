"""APGD and the worst case: all that can be broken is, where that is known; which runs there are, and what is left."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import L2, Linf
from amiss.errors import ContractError, UsageError
from amiss.objectives import Avoid, Become
from amiss.optimizers import APGD, Sign, Then
from amiss.optimizers.apgd import _checkpoint
from amiss.probe import Budget, Probe
from amiss.recipes import worst, worst_case
from amiss.spaces import Latent, Pixels
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=40, crowd=0.15)
RIGHT = replace(WORLD.task, label=1 - WORLD.task.label)


def several(n=16):
    """Images of a world of six classes with the labels that they have there."""
    world = LinearWorld(n=n, classes=6)
    return world, replace(world.task, label=world.logits(world.task.image).argmax(1))


def walked(search, steps, world, task, **options):
    probe = Probe(Pixels(), Avoid(1e3), Linf(0.01), search, "budget", Budget(steps), **options)
    return list(probe.walk(world.classifier(), task))


def test_in_a_linear_world_all_that_can_be_broken_is():
    for eps in (0.01, 0.02):
        search = APGD(eps, steps=20)
        probe = Probe(Pixels(), Avoid(0.05), Linf(eps), search, budget=Budget(search.turns))
        met = probe.run(WORLD.classifier(), RIGHT).met
        assert torch.equal(met, WORLD.feasible(eps, 0.05))
        assert 3 < met.sum() < 37


def test_in_the_euclidean_norm_too():
    eps = float(WORLD.l2_optimum(0.05).median())
    search = APGD(eps, "l2", steps=60)
    probe = Probe(Pixels(), Avoid(0.05), L2(eps), search, budget=Budget(search.turns))
    result = probe.run(WORLD.classifier(), RIGHT)
    optimum = WORLD.l2_optimum(0.05)
    assert not result.met[optimum > eps * (1 + 1e-9)].any() and result.met[optimum <= 0.99 * eps].all()
    assert result.l2.max() <= eps + 1e-6


def test_checkpoints_come_closer_to_each_other():
    at = [look for look in range(100) if _checkpoint(look, 100)]
    assert at == [22, 41, 57, 70, 80, 87, 93, 99]
    assert [_checkpoint(look, 100) for look in at] == [22, 19, 16, 13, 10, 7, 6, 6]
    assert [bool(_checkpoint(look, 3)) for look in range(3)] == [False, True, True]


def test_the_runs_are_the_slack_the_odds_and_the_likeliest_classes():
    world, task = several()
    search = APGD(0.01, steps=4, classes=3)
    steps = walked(search, search.turns, world, task)
    assert len(steps) == 1 + 5 * 4
    assert [step.query.of for step in steps[1:]] == ["slack"] * 4 + ["odds"] * 4 + ["margin"] * 12
    order = world.logits(task.image).argsort(1, descending=True)
    for run in range(3):
        for step in steps[9 + 4 * run : 13 + 4 * run]:
            assert torch.equal(step.query.toward, order[:, 1 + run])
    starts = [steps[1 + 4 * run].query.p for run in range(5)]
    assert torch.equal(starts[0], task.image)
    assert all(((p - task.image).abs().amax((1, 2, 3)) > 0.008).all() for p in starts[1:])
    assert all(not torch.equal(p, q) for p, q in pairwise(starts))


def test_of_two_classes_the_slack_is_all_there_is():
    search = APGD(0.01, steps=4)
    steps = walked(search, search.turns, WORLD, RIGHT)
    assert {step.query.of for step in steps[1:]} == {"slack", "odds"}
    assert len(steps) == 9


def test_a_margin_is_read_with_its_gradient_and_all_of_them_are_told():
    world, task = several()
    search = APGD(0.01, steps=2, classes=2)
    *_, last = walked(search, search.turns, world, task)
    query, answer = last.query, last.answer
    logits = world.logits(query.p)
    own = logits.gather(1, task.label[:, None])
    margins = (logits - own - 1e3).scatter(1, task.label[:, None], -torch.inf)
    assert torch.allclose(answer.margins, margins)
    assert torch.allclose(answer.value, margins.gather(1, query.toward[:, None])[:, 0])
    slope = world.slope(query.toward, task.label)
    assert torch.allclose(answer.grad.flatten(1), slope)


def test_a_step_that_gains_nothing_is_halved_and_goes_back_to_the_best():
    # All gradients of a linear world are the same: after the corner of the ball nothing more can be gained.
    steps = walked(APGD(0.01, steps=50), 51, WORLD, RIGHT)
    lengths = [float(step.state["optimizer"]["length"].max()) for step in steps[1:50]]
    assert lengths[0] == pytest.approx(0.02) and lengths[-1] < 0.02 / 4
    assert all(b in (a, pytest.approx(a / 2)) for a, b in pairwise(lengths))
    corner = torch.where(WORLD.slope(RIGHT.label, WORLD.task.label).view_as(RIGHT.image) > 0, -0.01, 0.01)
    best = steps[49].state["optimizer"]["best"]["p"]
    assert torch.allclose(best, (RIGHT.image + corner).clamp(0, 1), atol=1e-9)


def test_after_another_optimizer_it_begins_where_that_ended():
    search = Then(Sign(0.002), APGD(0.01, steps=3), 4, "steps")
    steps = walked(search, 20, WORLD, RIGHT)
    first = next(step for step in steps if step.query.of == "margin")
    assert torch.equal(first.query.p, steps[steps.index(first) - 1].state["optimizer"]["inner"]["p"])


def test_the_recipe_breaks_all_that_can_be_and_drops_what_is_broken(monkeypatch):
    for name, fewer in (("_STEPS", 25), ("_QUERIES", 100)):
        monkeypatch.setattr(worst, name, fewer)
    # Whole gray levels, and rounding inward: what a file can hold of the ball.
    world, eps = LinearWorld(n=8, crowd=0.15), 5 / 255
    image = (world.task.image * 255).round() / 255
    task = replace(world.task, image=image, label=world.logits(image).argmax(1))
    result = worst_case(eps).run(world.classifier(), task)
    slope = world.slope(1 - task.label, task.label)
    best = torch.where(slope > 0, image.flatten(1) + eps, image.flatten(1) - eps).clamp(0, 1)
    broken = (slope * (best - 0.5)).sum(1) >= 1e-3
    assert torch.equal(result.met, broken) and 1 < broken.sum() < 7
    queries = torch.tensor([outcome.queries for outcome in result.outcomes])
    assert queries[broken].max() < 60 and set(queries[~broken].tolist()) == {1 + 2 * 25 + 100}
    assert result.linf.max() <= eps + 1e-6


def test_where_gradients_are_masked_squares_come_last():
    shattered = Classifier(lambda x: WORLD.logits((x * 64).round() / 64), labels=["a", "b"])
    task = replace(RIGHT, label=shattered.predict(RIGHT.image))
    eps, runs = 0.03, APGD(0.03, steps=6)
    climbed = Probe(Pixels(), Avoid(1e-3), Linf(eps), runs, budget=Budget(runs.turns)).run(shattered, task)
    last = worst_case(eps).optimizer.second
    both = Probe(Pixels(), Avoid(1e-3), Linf(eps), Then(runs, last, runs.turns, "steps"), budget=Budget(250))
    met = both.run(shattered, task).met
    assert climbed.met.sum() < met.sum() and met.sum() > 10


def test_what_means_nothing_is_refused(refuses):
    for options in ({"norm": "l1"}, {"steps": 0}, {"classes": -1}):
        with refuses(UsageError, "apgd-options"):
            APGD(0.1, **options)
    with refuses(UsageError, "recipe-norm"):
        worst_case(0.1, norm="l1")
    with refuses(UsageError, "eps-negative"):
        worst_case(-0.1)
    with refuses(UsageError, "eps-units"):
        worst_case(8)
    with refuses(ContractError, "contract-pixels"):
        Probe(Latent(WORLD.codec), Become(), L2(), APGD(0.1)).run(WORLD.classifier(), WORLD.task)
    with refuses(ContractError, "contract-ladder"):
        worst_case(0.1).run(Classifier(WORLD.logits, gives="loss", labels=["a", "b"]), RIGHT)
