"""SquareL2: changes stay at the bound, lengths move between windows, and what is easy is found."""

from itertools import pairwise

import torch

from amiss.classifier import Classifier
from amiss.constraints import L2
from amiss.objectives import Avoid
from amiss.optimizers import Sign, SquareL2, Then
from amiss.optimizers.square_l2 import _bump
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.testing import LinearWorld

EPS = 0.5


def walked(steps=60, optimizer=None):
    """Colored images around gray, that no wall is near to, and a classifier that none of them can leave."""
    image = 0.5 + 0.02 * torch.randn(6, 3, 12, 15, generator=torch.Generator().manual_seed(1)).double()
    weight = torch.randn(3 * 12 * 15, generator=torch.Generator().manual_seed(2)).double()
    net = Classifier(lambda x: torch.stack([x.flatten(1) @ weight + 1e6, 0 * x.flatten(1).sum(1)], 1))
    task = Task(torch.arange(6), image, label=torch.zeros(6, dtype=torch.int64))
    probe = Probe(Pixels(), Avoid(), L2(EPS), optimizer or SquareL2(EPS, 0.3), budget=Budget(steps))
    return task, list(probe.walk(net, task))


def test_every_look_but_the_first_is_at_the_bound():
    task, steps = walked()
    assert torch.equal(steps[0].query.p, task.image)
    for step in steps[1:]:
        length = (step.query.p - task.image).flatten(1).norm(dim=1)
        assert torch.allclose(length, torch.full_like(length, EPS), atol=1e-9)


def test_a_window_is_emptied_and_another_grows():
    task, steps = walked()
    moved = []
    for before, step in pairwise(steps[1:]):
        standing, trial = (p - task.image for p in (before.state["optimizer"]["p"], step.query.p))
        emptied = ((standing != 0) & (trial == 0)).any(1)
        differs = ~torch.isclose(standing, trial, atol=1e-12, rtol=1e-6).all(1)
        moved.append(differs.flatten(1).any(1))
        assert (emptied.flatten(1).sum(1) <= 7 * 7).all()  # 0.3 of 12 x 15 pixels, and an odd side
    assert torch.stack(moved).double().mean() > 0.9  # both windows may be empty already
    losses = torch.stack([step.answer.loss for step in steps[1:]])
    assert torch.equal(torch.stack([s.state["optimizer"]["loss"] for s in steps[1:]]), losses.cummin(0).values)
    assert (losses.amin(0) < losses[0]).all()


def test_a_bump_and_a_hollow_cancel_and_have_length_1():
    for side in (1, 3, 7, 8):
        drawn = _bump(side)
        assert drawn.shape == (side, side) and torch.isclose(drawn.norm(), torch.tensor(1.0))
    drawn = _bump(8)
    assert (drawn[:4] >= 0).all() and torch.allclose(drawn[:4], -drawn[4:])
    assert drawn.argmax() == 2 * 8 + 4  # the middle of the upper half


def test_an_easy_success_is_found_and_an_impossible_one_is_not():
    world = LinearWorld(n=30)
    right = Task(world.task.key, world.task.image, label=1 - world.task.label)
    optimum, eps = world.l2_optimum(0.05), float(world.l2_optimum(0.05).median())
    result = Probe(Pixels(), Avoid(0.05), L2(eps), SquareL2(eps), budget=Budget(300)).run(world.classifier(), right)
    assert not result.met[optimum > eps * (1 + 1e-9)].any()
    assert result.met[optimum < 0.5 * eps].all() and (optimum < 0.5 * eps).any()
    assert result.l2.max() <= eps + 1e-6


def test_after_another_optimizer_it_begins_afresh():
    task, steps = walked(20, Then(Sign(0.002), SquareL2(EPS), 5, "steps"))
    later = [step for step in steps if step.state["optimizer"]["phase"] == 1]
    assert any(torch.equal(step.query.p, task.image) for step in later)
