"""White-box attacks where the answer is known: nearest boundaries, starts, schedules, and what they refuse."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from amiss import Budget, Classifier, Pixels, Probe, Task
from amiss.constraints import L2, Linf
from amiss.errors import AmissError, ContractError, UsageError
from amiss.objectives import Avoid, Become
from amiss.optimizers import DeepFool, Momentum, Sign
from amiss.recipes import cw, deepfool, fgsm, pgd
from amiss.spaces import CPPN
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=12, classes=5, crowd=0.03)
RIGHT = replace(WORLD.task, label=WORLD.logits(WORLD.task.image).argmax(1))
MARGIN = 0.05


def nearest(world, task):
    """Distance to the nearest class of a linear network, walls aside."""
    gaps = world.logits(task.image)
    gaps = gaps.gather(1, task.label[:, None]) - gaps + MARGIN
    slopes = (world.weight[task.label][:, None] - world.weight).norm(dim=2)
    return torch.where(slopes > 0, gaps / slopes, torch.inf).amin(1)


def test_deepfool_takes_one_step_to_the_nearest_class_of_a_linear_network():
    probe = Probe(Pixels(), Avoid(MARGIN), L2(), DeepFool(overshoot=0.02), budget=Budget(10))
    result = probe.run(WORLD.classifier(), RIGHT)
    ratio = result.size / nearest(WORLD, RIGHT)
    assert torch.allclose(ratio, torch.full_like(ratio, 1.02), atol=1e-6)
    assert all(o.first == 1 for o in result.outcomes)


def test_the_nearest_class_may_be_missed_among_the_likeliest():
    few = Probe(Pixels(), Avoid(MARGIN), L2(), DeepFool(among=1), budget=Budget(10)).run(WORLD.classifier(), RIGHT)
    assert bool(few.met.all())
    assert float((few.size / nearest(WORLD, RIGHT)).max()) > 1.03  # so the choice among all of them says something


def test_the_way_back_ends_at_the_boundary():
    result = deepfool(levels=None).run(WORLD.classifier(), RIGHT)
    ratio = result.size / nearest(WORLD, RIGHT)
    assert result.met.all()
    assert 1 - 1e-6 <= float(ratio.min()) <= float(ratio.max()) <= 1.002


def test_deepfool_does_not_stall_where_its_steps_are_short_beside_a_gray_level():
    net = torch.nn.Linear(1024, 2).double()
    with torch.no_grad():  # a tie: the margin is all that lacks, and half a gray level of each pixel is what it takes
        net.weight.copy_(torch.stack([torch.zeros(1024), torch.ones(1024)]))
        net.bias.copy_(torch.tensor([1024 * 128 / 255, 0.0]))
    image = torch.full((1, 1, 32, 32), 128 / 255, dtype=torch.float64)
    task = Task(torch.arange(1), image, label=torch.zeros(1, dtype=torch.int64))
    classifier = Classifier(torch.nn.Sequential(torch.nn.Flatten(), net))
    short = 0.04 / 1024 * 255  # of a step, in gray levels
    assert 20 * short < 0.5, "twenty steps as they are would be rounded away"
    assert deepfool(margin=0.04, steps=20).run(classifier, task).met.all()


def test_a_flip_on_gray_levels_is_one_in_the_file():
    image = (WORLD.task.image * 255).round() / 255
    task = replace(RIGHT, image=image, label=WORLD.logits(image).argmax(1))
    result = deepfool().run(WORLD.classifier(), task)
    assert result.met.all()
    assert torch.allclose(result.images * 255, (result.images * 255).round(), atol=1e-9)
    assert (WORLD.logits(result.images).argmax(1) != task.label).all()


@pytest.mark.parametrize("crowd", [0.05, 0.3])
def test_cw_comes_near_the_smallest_change_and_a_smaller_step_nearer(crowd):
    world = LinearWorld(n=12, crowd=crowd)
    optimum = world.l2_optimum(MARGIN)
    coarse, fine = (
        cw(target="task", levels=None, rounds=9, lr=lr).run(world.classifier(), world.task) for lr in (0.02, 0.002)
    )
    assert coarse.met.all() and fine.met.all()
    assert 1 - 1e-6 <= (fine.size / optimum).min() <= (fine.size / optimum).max() <= 1.05
    assert (fine.size / optimum).mean() < (coarse.size / optimum).mean()


@pytest.mark.parametrize("climb", ["margin", "odds"])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_among_two_classes_every_climb_finds_what_is_feasible(climb, schedule):
    world = LinearWorld(n=40, crowd=0.15)
    # Steps that wane add up to half as much.
    probe = pgd(0.02, 40, step=0.003, target="task", climb=climb, schedule=schedule, levels=None)
    feasible = world.feasible(0.02, MARGIN)
    assert 0.1 < feasible.double().mean() < 0.95
    assert torch.equal(probe.run(world.classifier(), world.task).met, feasible)


def test_steps_wane_as_their_schedule_says():
    image = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    world = LinearWorld(n=1, side=4)
    task = replace(world.task, image=image)
    for schedule, shares in (("linear", [1, 0.75, 0.5, 0.25]), ("cosine", [1, 0.853553, 0.5, 0.146447])):
        search = Sign(0.01, schedule=schedule, of="odds")
        probe = Probe(Pixels(), Become(margin=1e6), Linf(0.2), search, "budget", Budget(4))
        points = [step.query.p for step in probe.walk(world.classifier(), task)]
        moved = torch.stack([(b - a).abs().amax() for a, b in pairwise(points)])
        assert torch.allclose(moved, 0.01 * torch.tensor(shares, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_lie_inside_the_ball_and_the_first_is_the_image(norm):
    probe = replace(pgd(0.05, 3, norm=norm, restarts=4, levels=None, target="task", margin=1e6), until="budget")
    step = next(iter(probe.walk(WORLD.classifier(), WORLD.task)))
    change = step.query.p - WORLD.task.image.repeat_interleave(4, 0)
    size = change.flatten(1).abs().amax(1) if norm == "linf" else change.flatten(1).norm(dim=1)
    assert not size[::4].any() and size.view(-1, 4)[:, 1:].min() > 0
    assert float(size.max()) <= 0.05 + 1e-9


REFUSED = [
    (lambda: pgd(-0.1), "eps-negative"),
    (lambda: pgd(8), "eps-units"),
    (lambda: fgsm(8), "eps-units"),
    (lambda: pgd(0.1, 0), "budget-zero"),
    (lambda: pgd(None), "contract-step"),
    (lambda: pgd(0.1, climb="logits"), "recipe-climb"),
    (lambda: pgd(0.1, schedule="steep"), "steps-options"),
    (lambda: pgd(0.1, restarts=0), "steps-options"),
    (lambda: Momentum(0.1, spread=-1.0), "steps-options"),
    (lambda: DeepFool(overshoot=-1.0), "deepfool-options"),
    (lambda: DeepFool(among=0), "deepfool-options"),
    (lambda: deepfool(steps=0, rounds=0), "linearized-options"),
    (lambda: pgd(0.1, target=7).run(WORLD.classifier(labels="abcde"), RIGHT), "class-unknown"),
    (lambda: pgd(0.1, target=7).run(WORLD.classifier(), RIGHT), "data-labels"),
    (lambda: pgd(0.1).run(WORLD.classifier(gives="loss"), RIGHT), "contract-ladder"),
    (lambda: deepfool().run(WORLD.classifier(gives="loss"), RIGHT), "contract-ladder"),
]


@pytest.mark.parametrize(("ask", "slug"), REFUSED)
def test_what_is_refused(ask, slug):
    with pytest.raises(AmissError) as caught:
        ask()
    assert isinstance(caught.value, UsageError | ContractError) or slug == "data-labels"
    assert caught.value.slug == slug and caught.value.hint


def test_deepfool_refuses_a_space_without_gradients():
    with pytest.raises(ContractError):
        Probe(CPPN((1, 8, 8)), Avoid(), L2(), DeepFool()).run(WORLD.classifier(), RIGHT)
