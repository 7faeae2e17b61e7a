"""Recipes of the comparison arms: what they reach where the answer is known, and that one step is what it says."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.errors import UsageError
from amiss.objectives import Mimic
from amiss.optimizers import LBFGSB
from amiss.probe import Budget, Probe
from amiss.recipes import feature_fgrad, feature_linear, label_opt
from amiss.spaces import Pixels
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=8, classes=5, crowd=0.15)
GUIDED = replace(WORLD.task, guide=WORLD.task.image.roll(1, 0))
EPS = 0.05


class Hills(nn.Module):
    """A layer "hill" of sines, and logits of it: far from its tangents within any box that matters."""

    def __init__(self):
        super().__init__()
        self.hill = nn.Identity()
        self.register_buffer("weight", WORLD.weight)

    def forward(self, x):
        return self.hill(torch.sin(8 * ((x.flatten(1) - 0.5) @ self.weight.mT)))


HILLS = Classifier(Hills())


def ratio(classifier, layer, x):
    """R1 of images, from the features themselves."""
    here, source, guide = (classifier.outputs(v, (layer,))[layer] for v in (x, GUIDED.image, GUIDED.guide))
    return (here - guide).norm(dim=1) / (source - guide).norm(dim=1)


def least(classifier, layer):
    """R1 that projected L-BFGS reaches on the layer itself."""
    probe = Probe(Pixels(), Mimic(layer), Linf(EPS), LBFGSB(), "budget", Budget(60))
    return ratio(classifier, layer, probe.run(classifier, GUIDED).images)


def test_of_a_linear_network_the_linear_model_finds_what_the_network_has():
    classifier = WORLD.classifier()
    result = feature_linear("linear", EPS, 60, levels=None).run(classifier, GUIDED)
    found = ratio(classifier, "linear", result.images)
    assert torch.allclose(found, least(classifier, "linear"), rtol=0, atol=1e-4)
    assert torch.allclose(torch.tensor([o.loss for o in result.outcomes]).double().sqrt(), found, atol=1e-4)
    assert torch.equal(result.met, found <= 0.5)
    assert found.max() > 0.05  # the bound keeps some from their guides: there is something to agree about


def test_of_hills_the_linear_model_promises_more_than_it_keeps():
    result = feature_linear("hill", EPS, 60, levels=None).run(HILLS, GUIDED)
    kept, promised = ratio(HILLS, "hill", result.images), torch.tensor([o.loss for o in result.outcomes]).sqrt()
    assert kept.median() > promised.median() + 0.05
    assert kept.median() > least(HILLS, "hill").median() + 0.1
    assert torch.equal(result.met, kept <= 0.5)


@pytest.mark.parametrize(
    ("classifier", "layer"), [(WORLD.classifier(), "linear"), (HILLS, "hill")], ids=["line", "hills"]
)
def test_one_step_goes_to_the_corner_that_the_gradient_names(classifier, layer):
    probe = feature_fgrad(layer, EPS, levels=None)
    asked = [step.query.p for step in probe.walk(classifier, GUIDED)]
    x = GUIDED.image.clone().requires_grad_()
    guide = classifier.outputs(GUIDED.guide, (layer,))[layer]
    away = (classifier.outputs(x, (layer,))[layer] - guide).square().sum()
    (grad,) = torch.autograd.grad(away, x)
    corner = (GUIDED.image - EPS * grad.sign()).clamp(0, 1)
    assert torch.allclose(asked[1], corner, rtol=0, atol=1e-15)
    result = probe.run(classifier, GUIDED)
    closer = ratio(classifier, layer, corner) < 1
    assert torch.allclose(result.images[closer], corner[closer])
    assert torch.equal(result.images[~closer], GUIDED.image[~closer])
    assert torch.equal(result.met, ratio(classifier, layer, corner) <= 0.5)


@pytest.mark.parametrize("make", [feature_linear, feature_fgrad])
def test_what_is_saved_stays_in_the_ball_on_gray_levels(make):
    task = replace(GUIDED, image=(GUIDED.image * 255).round() / 255)
    result = make("linear", 7.3 / 255).run(WORLD.classifier(), task)
    assert ((result.images - task.image).abs().amax((1, 2, 3)) <= 7 / 255 + 1e-9).all()
    assert torch.allclose(result.images * 255, (result.images * 255).round(), atol=1e-9)


@pytest.mark.parametrize("make", [feature_linear, feature_fgrad])
def test_a_bound_in_gray_levels_is_refused(make, refuses):
    with refuses(UsageError, "eps-units") as caught:
        make("linear", 10)
    assert "10 / 255" in caught.value.hint
    with refuses(UsageError, "mimic-near"):
        make("linear", near=50)


def test_the_smallest_change_that_flips_a_label():
    world = LinearWorld(n=12, crowd=0.3)
    result = label_opt(target="task", levels=None).run(world.classifier(), world.task)
    found = result.size / world.l2_optimum(0.05)
    assert result.met.all()
    assert found.min() >= 1 - 1e-6
    assert found.max() <= 1.005


def test_a_flip_is_one_in_the_file():
    world = LinearWorld(n=12, crowd=0.05)
    image = (world.task.image * 255).round() / 255
    task = replace(world.task, image=image, label=world.logits(image).argmax(1))
    result = label_opt(margin=0.05).run(world.classifier(), task)
    assert result.met.all()
    assert torch.allclose(result.images * 255, (result.images * 255).round(), atol=1e-9)
    assert (world.logits(result.images).argmax(1) != task.label).all()
    # The smallest of them would be lost in rounding: it moves no pixel by half a level.
    bare = label_opt(margin=0.05, levels=None).run(world.classifier(), task)
    assert bare.met.all() and (bare.size <= result.size + 1e-9).all()
    assert (bare.linf < 0.5 / 255).any()


def test_among_classes_the_nearest_one_is_found():
    right = replace(WORLD.task, label=WORLD.logits(WORLD.task.image).argmax(1))
    result = label_opt(levels=None).run(WORLD.classifier(), right)
    gaps = WORLD.logits(right.image)
    gaps = gaps.gather(1, right.label[:, None]) - gaps + 0.05
    slopes = (WORLD.weight[right.label][:, None] - WORLD.weight).norm(dim=2)
    nearest = torch.where(slopes > 0, gaps / slopes, torch.inf).amin(1)
    assert result.met.all()
    assert (result.size >= nearest * (1 - 1e-6)).all()
    assert (result.size <= nearest * 1.5).all()  # the runner-up is followed, which need not be the nearest class
    assert result.size.median() <= 1.01 * nearest.median()
