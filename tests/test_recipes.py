"""Presets: what they are made of, what they reach where the answer is known, and what they refuse."""

import pytest
import torch

from amiss.citations import BIBTEX, bibtex
from amiss.classifier import Classifier
from amiss.errors import ContractError, UsageError
from amiss.recipes import RECIPES, classes, fgsm, fool_gradient, lse, pgd
from amiss.testing import LinearWorld


@pytest.fixture(scope="module")
def world():
    return LinearWorld(n=40, dtype=torch.float32)


def test_one_step_is_the_best_step_in_a_linear_world(world):
    # On whole gray levels fgsm and forty steps of pgd end in the same corner of the ball.
    image = (world.task.image * 255).round() / 255
    task = world.task.rows(torch.arange(40))
    task = type(task)(task.key, image, label=1 - task.label, target=task.label)
    for eps in (1 / 255, 3 / 255):
        slope = world.slope(task.target, task.label)
        worst = torch.where(slope > 0, image.flatten(1) + eps, image.flatten(1) - eps).clamp(0, 1)
        broken = (slope * (worst - 0.5)).sum(1) >= 0.05
        assert torch.equal(fgsm(eps).run(world.classifier(), task).met, broken)
        assert torch.equal(pgd(eps, 20).run(world.classifier(), task).met, broken)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_attack_leaves_its_ball(world, norm):
    result = pgd(0.02, 10, norm=norm, until="budget", target="task", margin=5.0).run(world.classifier(), world.task)
    change = (result.images - world.task.image).flatten(1)
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert float(size.max()) <= 0.02 + 1e-5  # a thousandth of a gray level is let pass as rounding
    levels = result.images * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)


def test_more_steps_find_a_smaller_change_of_the_code(world):
    # The task's target is its label: LSE repairs. The first flip lies beyond the optimum; going on leads to it.
    first, best = (
        lse(world.codec, until=until, lr=0.02, steps=400, levels=None).run(world.classifier(), world.task)
        for until in ("met", "budget")
    )
    assert bool(first.met.all()) and bool(best.met.all())
    ratio = best.size / world.latent_optimum(0.5)
    assert 1 - 1e-4 <= float(ratio.min()) <= float(ratio.max()) < 1.06
    assert bool((best.size <= first.size + 1e-6).all())
    assert float((best.size < first.size).double().mean()) > 0.5


def test_a_class_given_by_number_or_by_the_task(world):
    by_task = pgd(0.1, target="task").run(world.classifier(), world.task)
    by_number = pgd(0.1, target=1).run(world.classifier(), world.task)
    ones = world.task.target == 1
    assert torch.equal(by_task.images[ones], by_number.images[ones])


def test_classes_are_one_sample_each(world):
    classifier = world.classifier(labels=["a", "b"])
    assert classes(classifier).target.tolist() == [0, 1]
    assert classes(classifier, [1]).target.tolist() == [1]
    assert classes(classifier).image is None
    assert len(fool_gradient(world.shape).run(classifier, classes(classifier, []))) == 0


def test_what_means_nothing_is_refused(world, refuses):
    classifier = world.classifier(labels=["a", "b"])
    for only in ([2], [-1], [0, 5]):
        with refuses(UsageError, "class-unknown"):
            classes(classifier, only)
    with refuses(ContractError, "contract-classes"):
        classes(Classifier(torch.nn.Flatten()))
    with refuses(UsageError, "recipe-norm"):
        pgd(0.1, norm="l1")
    with refuses(ContractError, "contract-step"):
        pgd(None)
    with refuses(UsageError, "budget-zero"):
        pgd(0.1, 0)


def test_every_recipe_is_entered_and_cites_papers_that_are_there():
    import amiss.recipes

    makers = {n for n in amiss.recipes.__all__ if n not in ("RECIPES", "Recipe", "classes")}
    assert set(RECIPES) == makers
    assert all(recipe.cite and set(recipe.cite) <= set(BIBTEX) for recipe in RECIPES.values())
    assert all(text.startswith("@") and f"{{{key}," in text for key, text in BIBTEX.items())
    assert bibtex("madry2018", "lee2015", "madry2018").count("@") == 2
