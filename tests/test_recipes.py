"""Presets: what they are made of, what they reach where the answer is known, and what they refuse."""

import pytest
import torch

from amiss.citations import BIBTEX, bibtex
from amiss.classifier import Classifier
from amiss.errors import ContractError, UsageError
from amiss.recipes import RECIPES, classes, fgsm, fool_gradient, lse, pgd
from amiss.testing import LinearWorld, RingWorld


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
    settings = {"minimize": None, "lr": 0.02, "steps": 400, "levels": None}
    first, best = (
        lse(world.codec, until=until, **settings).run(world.classifier(), world.task) for until in ("met", "budget")
    )
    assert bool(first.met.all()) and bool(best.met.all())
    ratio = best.size / world.latent_optimum(0.5)
    assert 1 - 1e-4 <= float(ratio.min()) <= float(ratio.max()) < 1.06
    assert bool((best.size <= first.size + 1e-6).all())
    assert float((best.size < first.size).double().mean()) > 0.5


def scaled(world, covariance):
    """Length of the smallest change in standard deviations of the covariance."""
    deficit, slope = world.deficit(0.5)
    slope = slope @ world.codec.basis
    return deficit / (slope @ covariance * slope).sum(1).sqrt()


@pytest.mark.parametrize("minimize", ["euclidean", "pull-back", "covariance"])
@pytest.mark.parametrize("until", ["met", "budget"])
def test_repairs_are_the_smallest_there_are_in_every_metric(world, minimize, until):
    covariance = torch.diag(torch.linspace(0.5, 3.0, world.latent))
    optimum = world.latent_optimum(0.5) if minimize != "covariance" else scaled(world, covariance)
    metric = covariance if minimize == "covariance" else minimize
    probe = lse(world.codec, minimize=metric, until=until, steps=60, levels=None)
    result = probe.run(world.classifier(), world.task)
    assert result.counts == {"met": 40}
    ratio = result.size / optimum
    assert 1 - 1e-4 <= float(ratio.min()) <= float(ratio.max()) < 1 + 2e-3
    assert all(0 <= o.first < 60 for o in result.outcomes)
    if until == "met":  # a sample that is met waits, and what is asked after that is the rounds and the halvings
        assert all(o.queries == o.first + 1 + 10 + 1 + 6 for o in result.outcomes)


def test_minimal_repairs_on_gray_levels_hold(world):
    result = lse(world.codec).run(world.classifier(), world.task)
    assert result.counts == {"met": 40}
    assert torch.allclose(result.images * 255, (result.images * 255).round(), atol=1e-4)
    gap = world.logits(result.images)
    gap = (gap.gather(1, world.task.target[:, None]) - gap.gather(1, 1 - world.task.target[:, None]))[:, 0]
    assert float(gap.min()) >= 0.5 - 1e-4
    # Rounding moves the boundary a little either way: not below it by more, and not far above.
    ratio = result.size / world.latent_optimum(0.5)
    assert float(ratio.min()) > 0.9 and float(ratio.median()) < 1.02 and float(ratio.max()) < 1.1


def test_who_is_stuck_is_tried_on_from_elsewhere_and_nobody_else():
    ring = RingWorld(decoy=0.2)
    codes = torch.stack([torch.tensor([a.cos(), a.sin()]) for a in torch.arange(12) * torch.pi / 6])
    ways = {
        "restarts": {"restarts": 6},
        "grid": {"grid": 11},
        "codes": {"codes": codes, "labels": torch.ones(12, dtype=torch.int64)},
    }
    common = {"margin": 0.05, "lr": 0.01, "steps": 80, "levels": None}
    alone = lse(ring.codec, **common).run(ring.classifier(), ring.task)
    assert torch.equal(alone.met, ~ring.trapped) and ring.trapped.sum() > 3
    for name, options in ways.items():
        found = lse(ring.codec, **common, **options).run(ring.classifier(), ring.task)
        assert bool(found.met.all()), name
        assert bool((found.size >= ring.latent_optimum(0.05) * (1 - 1e-6)).all()), name
        for a, b in zip(alone.outcomes, found.outcomes, strict=True):
            assert not a.met or (a.queries, a.size) == (b.queries, pytest.approx(b.size)), name


def test_a_class_that_is_nowhere_is_unreachable():
    ring = RingWorld(n=6)
    result = lse(ring.codec, margin=0.3, steps=10, grid=7).run(ring.classifier(), ring.task)  # 0.2 is all there is
    assert result.counts == {"unreachable": 6}
    assert {o.reason for o in result.outcomes} == {
        "No point of the 7 x 7 grid within 3 of the origin holds the answer."
    }
    told = lse(ring.codec, margin=0.3, steps=10).run(ring.classifier(), ring.task)
    assert told.counts == {"exhausted": 6}


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


def test_classes_have_names_and_numbers(world):
    classifier = world.classifier(labels=["b", "0"])
    assert classes(classifier, ["0", "b"]).target.tolist() == [1, 0]  # a name, though it looks like a number
    assert classes(classifier, ["1"]).target.tolist() == [1]
    assert classes(classifier, ("b", 1)).key.tolist() == [0, 1]


def test_classes_that_are_none_or_two_are_refused(world, refuses):
    classifier = world.classifier(labels=["crane", "crane"])
    with refuses(UsageError, "class-ambiguous", "0 or 1"):
        classes(classifier, ["crane"])
    classifier = world.classifier(labels=["tabby", "crane"])
    with refuses(UsageError, "class-unknown", "tabby"):
        classes(classifier, ["taby"])
    with refuses(UsageError, "class-unknown", "0 to 1"):
        classes(classifier, ["9" * 30])
    with refuses(UsageError, "class-twice", "by its number"):
        classes(classifier, ["crane", 1])


def test_what_means_nothing_is_refused(world, refuses):
    classifier = world.classifier(labels=["a", "b"])
    for only in ([2], [-1], [0, 5], ["2"], ["-1"], [""]):
        with refuses(UsageError, "class-unknown"):
            classes(classifier, only)
    with refuses(ContractError, "contract-classes"):
        classes(Classifier(torch.nn.Flatten()))
    with refuses(UsageError, "recipe-norm"):
        pgd(0.1, norm="l1")
    with refuses(ContractError, "contract-step"):
        pgd(None)
    for options in ({"minimize": "smallest"}, {"codes": torch.zeros(2, 2)}, {"labels": torch.zeros(2)}):
        with refuses(UsageError, "recipe-lse"):
            lse(world.codec, **options)
    with refuses(UsageError, "budget-zero"):
        pgd(0.1, 0)


def test_every_recipe_is_entered_and_cites_papers_that_are_there():
    import amiss.recipes

    makers = {n for n in amiss.recipes.__all__ if n not in ("RECIPES", "Recipe", "classes")}
    assert set(RECIPES) == makers
    assert all(recipe.cite and set(recipe.cite) <= set(BIBTEX) for recipe in RECIPES.values())
    assert all(text.startswith("@") and f"{{{key}," in text for key, text in BIBTEX.items())
    assert bibtex("madry2018", "lee2015", "madry2018").count("@") == 2
