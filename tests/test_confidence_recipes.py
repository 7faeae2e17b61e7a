"""Recipes that make a classifier sure: the least change for a confidence where it is known, and what is refused."""

import math

import pytest
import torch

from amiss.errors import UsageError
from amiss.objectives import Confidence
from amiss.recipes import label_opt, pgd
from amiss.task import Task
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=12, dtype=torch.float32)


def sure(images):
    """Softmax probability of each sample's target."""
    return WORLD.logits(images).softmax(1)[torch.arange(len(images)), WORLD.task.target]


@pytest.mark.parametrize("confidence", [0.3, 0.9, 0.999])
def test_the_least_change_for_a_confidence_is_found(confidence):
    # Of two classes p is reached where the target's logit is log p / (1 - p) ahead.
    result = label_opt(target="task", confidence=confidence, levels=None).run(WORLD.classifier(), WORLD.task)
    least = WORLD.l2_optimum(math.log(confidence / (1 - confidence)))
    assert result.met.all()
    assert sure(result.images).min() >= confidence - 1e-6
    asked = least > 1e-3  # a lower confidence than one half may be there already
    assert (result.size / least)[asked].min() > 0.9999 and (result.size / least)[asked].max() < 1.01


def test_a_file_is_as_sure_as_was_asked():
    image = (WORLD.task.image * 255).round() / 255
    task = type(WORLD.task)(WORLD.task.key, image, WORLD.task.label, WORLD.task.target)
    for probe in (
        label_opt(target="task", confidence=0.99),
        pgd(None, 100, step=0.01, target="task", confidence=0.99),
        pgd(0.5, 100, norm="l2", step=0.02, target="task", confidence=0.6),
    ):
        result = probe.run(WORLD.classifier(), task)
        levels = result.images * 255
        assert torch.allclose(levels, levels.round(), atol=1e-4)
        assert result.met.any()
        assert torch.equal(result.met, sure(levels.round() / 255) >= probe.objective.threshold)


def test_many_gray_levels_are_crossed_where_a_confidence_lies_far():
    # Ten steps of a level, which suffice for a margin, would end in the middle of the way.
    dull = LinearWorld(n=6, side=6, dtype=torch.float32)
    far = label_opt(target="task", confidence=0.999, rounds=1, steps=1).run(dull.classifier(), dull.task)
    assert far.met.all()
    assert (far.linf * 255).max() > 10.5


def test_what_the_odds_lack_is_the_gap_of_two_classes():
    told = Confidence(0.9, hinge=True)
    logits = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 3.0], [90.0, 0.0], [0.0, 90.0]], requires_grad=True)
    task = Task(torch.arange(5), target=torch.ones(5, dtype=torch.int64))
    loss, met = told.score(told.view({"answer": logits}), task)
    lack = math.log(9) - (logits[:, 1] - logits[:, 0])
    assert torch.allclose(loss, lack.clamp_min(0), atol=1e-5)
    assert met.tolist() == [False, False, True, False, True]
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.allclose(slope[:, 1], -(~met).float(), atol=1e-5)
    assert repr(told) == "Confidence(threshold=0.9, target=None, hinge=True)"
    assert "hinge" not in repr(Confidence(0.9))


def test_a_confidence_is_of_a_class(refuses):
    for make in (lambda: label_opt(confidence=0.9), lambda: pgd(0.1, confidence=0.9)):
        with refuses(UsageError, "recipe-confidence"):
            make()
    for wrong in (0.0, 1.0, 99, math.nan):
        with refuses(UsageError, "confidence-range"):
            pgd(0.1, target="task", confidence=wrong)
