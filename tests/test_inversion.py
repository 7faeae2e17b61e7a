"""Inversion: what is missing of the features, how rough an image is, and images found where the answer is known."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Invert
from amiss.objectives.inversion import alpha_norm, total_variation
from amiss.optimizers import LBFGSB
from amiss.probe import Budget, Probe
from amiss.recipes import invert
from amiss.repro import normal
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=4, crowd=0.15)
SIDE = 64


def mixing(seed=10):
    """A classifier whose layer "mix" is a linear map of the pixels that can be inverted."""
    linear = nn.Linear(SIDE, SIDE, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(SIDE) + 0.05 * normal(torch.tensor([seed]), (SIDE, SIDE))[0])
        linear.bias.fill_(0.3)
    net = nn.Sequential()
    net.add_module("flat", nn.Flatten())
    net.add_module("mix", linear)
    return Classifier(net)


MIXING = mixing()


# The two measures


def test_the_alpha_norm_by_hand():
    x = torch.tensor([[0.5, 0.0], [1.0, 0.75]], dtype=torch.float64).view(1, 1, 2, 2)
    assert alpha_norm(x, 6).item() == pytest.approx((0 + 1 + 1 + 0.5**6) / 4)
    assert alpha_norm(x, 2).item() == pytest.approx((0 + 1 + 1 + 0.5**2) / 4)
    assert alpha_norm(torch.full((2, 3, 4, 5), 0.5)).tolist() == [0.0, 0.0]


def test_the_total_variation_by_hand():
    x = torch.tensor([[0.1, 0.5], [0.4, 0.5]], dtype=torch.float64).view(1, 1, 2, 2)
    # Upper left: 0.4 to the right, 0.3 down; upper right: 0 down; lower left: 0.1 to the right; lower right: nothing.
    assert total_variation(x, 2).item() == pytest.approx((0.25 + 0 + 0.01 + 0) / 4)
    assert total_variation(x, 1).item() == pytest.approx((0.5 + 0 + 0.1 + 0) / 4)
    two = torch.cat([x, torch.zeros_like(x)], 1)
    assert total_variation(two, 1).item() == pytest.approx(0.6 / 8)


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_the_total_variation_of_an_even_image_is_0_and_has_a_slope_of_0(beta):
    x = torch.full((2, 3, 5, 4), 0.3, requires_grad=True)
    rough = total_variation(x, beta)
    assert rough.tolist() == [0.0, 0.0]
    (grad,) = torch.autograd.grad(rough.sum(), x)
    assert (grad == 0).all()


@pytest.mark.parametrize("measure", [alpha_norm, total_variation])
@pytest.mark.parametrize("power", [1.5, 2.0, 6.0])
def test_slopes_of_the_measures_are_true(measure, power):
    x = (0.5 + 0.2 * normal(torch.tensor([3, 4]), (2, 3, 4), torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: measure(x, power), x)


# The objective


def test_the_loss_is_the_sum_of_the_three_terms():
    objective = Invert("mix", near=0.4, bright=0.3, rough=0.7, alpha=4.0, beta=1.0)
    task, x = objective.prepare(MIXING, WORLD.task), WORLD.task.image.roll(1, 0)
    y = objective.read(MIXING, x, task, 0)
    loss, met = objective.score(y, task)
    wanted, found = (MIXING.outputs(images, ("mix",))["mix"] for images in (WORLD.task.image, x))
    missing = (found - wanted).norm(dim=1) / wanted.norm(dim=1)
    assert torch.allclose(loss, missing**2 + 0.3 * alpha_norm(x, 4.0) + 0.7 * total_variation(x, 1.0), rtol=1e-12)
    assert torch.equal(met, missing <= 0.4)
    assert torch.equal(objective.slack(y, task) >= 0, met)


def test_of_a_layer_that_says_nothing_all_is_kept():
    silent = Classifier(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Threshold(9.0, 0.0)))
    objective = Invert("2", bright=0.0, rough=0.0)
    task = objective.prepare(silent, WORLD.task)
    loss, met = objective.score(objective.read(silent, WORLD.task.image, task, 0), task)
    assert (loss == 0).all() and met.all()


def test_of_a_layer_that_says_nothing_of_one_image_another_is_no_match_and_the_loss_is_finite():
    silent = Classifier(nn.Sequential(nn.Flatten(), nn.Threshold(0.5, 0.0)))
    dark, bright = (torch.full((1, 1, 8, 8), value) for value in (0.25, 1.0))
    objective = Invert("1")
    task = objective.prepare(silent, Task(torch.arange(1), image=dark))
    loss, met = objective.score(objective.read(silent, bright, task, 0), task)
    assert loss.isfinite().all() and not met.any()


def test_guides_are_inverted_where_there_are_some():
    objective = Invert("mix")
    guided = replace(WORLD.task, guide=WORLD.task.image.roll(1, 0))
    bare = Task(WORLD.task.key, guide=guided.guide)
    wanted = MIXING.outputs(guided.guide, ("mix",))["mix"]
    for task in (guided, bare):
        assert torch.equal(objective.prepare(MIXING, task).extra["inverted:mix"], wanted)


# Searches


def test_of_a_linear_layer_that_can_be_inverted_the_image_itself_is_found():
    objective = Invert("mix", near=1e-4, bright=0.0, rough=0.0)
    probe = Probe(Pixels(anew=True), objective, Unconstrained(), LBFGSB(fall=0.0), "budget", Budget(80))
    result = probe.run(MIXING, WORLD.task)
    assert result.met.all()
    assert torch.allclose(result.images, WORLD.task.image, rtol=0, atol=1e-4)


def test_the_smoothest_image_is_found_among_those_that_a_layer_cannot_tell_apart():
    # A layer of one number, the mean: nothing but evenness says which image, and the even one is the smoothest.
    mean = Classifier(nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(1)))
    images = torch.stack([torch.full((1, 8, 8), 0.6), torch.full((1, 8, 8), 0.35)]).double()
    images = images + 0.2 * normal(torch.tensor([1, 2]), (1, 8, 8), torch.float64).clamp(-1, 1)
    task = Task(torch.arange(2), images)
    result = invert("1", near=0.01, bright=0.0, rough=1.0, steps=300, levels=None).run(mean, task)
    assert result.met.all()
    assert torch.allclose(result.images.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.01)
    assert total_variation(result.images).max() < 1e-3 < total_variation(images).min() / 10


def test_the_recipe_starts_from_noise_and_never_sees_the_image():
    probe = invert("mix", steps=1, levels=None)
    first = [next(probe.walk(MIXING, replace(WORLD.task, image=images))).query.p for images in both()]
    assert torch.equal(*first)
    assert first[0].mean() == pytest.approx(0.5, abs=0.03)
    assert first[0].std() == pytest.approx(0.1, abs=0.02)
    rows = first[0].flatten(1)
    assert (rows[0] != rows[1]).any()
    other = replace(probe, seed=1)
    assert not torch.equal(next(other.walk(MIXING, WORLD.task)).query.p, first[0])


def both():
    return WORLD.task.image, WORLD.task.image.roll(1, 0)


def test_the_result_keeps_the_images_that_were_inverted():
    result = invert("mix", steps=200, rough=0.0).run(MIXING, WORLD.task)
    assert torch.equal(result.task.image, WORLD.task.image)
    assert result.met.all()
    _, met = invert("mix", rough=0.0).judge(MIXING, WORLD.task, result.images)
    assert met.all()


def test_a_space_that_starts_anew():
    space, image = Pixels(anew=True), WORLD.task.image
    prepared = space.prepare(WORLD.task)
    assert prepared.image is None and prepared.guide is image
    start = space.start(prepared, 2)
    assert start.shape == (8, *image.shape[1:]) and start.dtype == image.dtype
    assert (start == 0.5).all()
    guided = replace(WORLD.task, guide=image.flip(0))
    assert torch.equal(space.prepare(guided).guide, image.flip(0))
    small = Pixels((3, 2, 2), grey=0.1, anew=True)
    assert small.start(small.prepare(WORLD.task)).shape == (4, 3, 2, 2)
    assert eval(repr(space)).anew and eval(repr(space)).grey == 0.5
    assert not Pixels().anew and "anew" not in repr(Pixels())


def test_refusals(refuses):
    for options in ({"near": 0}, {"bright": -1}, {"rough": -0.1}, {"alpha": 1}, {"beta": 0.5}):
        with refuses(UsageError, "invert-options"):
            Invert("mix", **options)
    with refuses(ContractError, "contract-no-image"):
        Invert("mix").prepare(MIXING, Task(torch.arange(2)))
