"""DDN: the smallest change is found where it is known, and its length is bisected to the boundary."""

from dataclasses import replace

import pytest
import torch

from amiss import Budget, Pixels, Probe
from amiss.constraints import L2
from amiss.errors import ContractError, UsageError
from amiss.objectives import Avoid, Become, Confidence
from amiss.optimizers import DDN
from amiss.recipes import ddn
from amiss.spaces import CPPN
from amiss.testing import LinearWorld
from tests.probes.catalog import nearest_boundary

WORLD = LinearWorld(n=12, classes=4)
MARGIN = 0.05


def lengths(world, task, *, objective=None, steps=50, **options):
    probe = Probe(Pixels(), objective or Become(margin=MARGIN), L2(), DDN(**options), "budget", Budget(steps))
    result = probe.run(world.classifier(), task)
    assert result.met.all()
    return result.size


@pytest.mark.parametrize("crowd", [0.05, 0.3])
def test_the_smallest_change_is_found_also_where_the_walls_are_near(crowd):
    world = LinearWorld(n=12, crowd=crowd)
    ratio = lengths(world, world.task) / world.l2_optimum(MARGIN)
    assert ratio.min() >= 1 - 1e-6
    assert ratio.max() <= (1.002 if crowd < 0.1 else 1.02)


def test_what_gamma_leaves_is_bisected():
    world = LinearWorld(n=12)
    optimum = world.l2_optimum(MARGIN)
    errors = [(lengths(world, world.task, steps=30 + k, gamma=0.2, halvings=k) / optimum - 1).max() for k in (0, 6)]
    assert errors[0] > 0.01  # a ray's length is known to a fifth
    assert errors[1] <= 0.2 / 2**5 + 1e-3


def test_a_short_search_that_ends_far_inside_is_brought_to_the_boundary():
    world = LinearWorld(n=12)
    optimum = world.l2_optimum(MARGIN)
    rough = lengths(world, world.task, steps=16, gamma=0.02, halvings=0) / optimum
    short = lengths(world, world.task, steps=16 + 8, gamma=0.02, halvings=8) / optimum
    assert rough.max() > 1.05  # a length that shrinks by a fiftieth a turn is late
    assert short.max() <= 1.02


def test_the_first_length_is_that_of_a_linear_boundary():
    world = LinearWorld(n=12)
    assert (lengths(world, world.task, steps=16) / world.l2_optimum(MARGIN)).max() <= 1.1


def test_among_classes_the_nearest_one_is_found():
    label = WORLD.logits(WORLD.task.image).argmax(1)
    task = replace(WORLD.task, label=label)
    found = lengths(WORLD, task, objective=Avoid(MARGIN))
    nearest = nearest_boundary(WORLD, task)
    assert (found / nearest).median() <= 1.01
    assert (found / nearest).min() >= 1 - 1e-6


def test_several_starts_find_the_nearest_class_more_often_than_one():
    world = LinearWorld(n=100, classes=6, crowd=0.03)
    task = replace(world.task, label=world.logits(world.task.image).argmax(1))
    one, three = (lengths(world, task, objective=Avoid(MARGIN), steps=60, starts=k) for k in (1, 3))
    nearest = nearest_boundary(world, task)
    assert (three / nearest).min() >= 1 - 1e-6
    assert (one > 1.01 * nearest).sum() >= 4  # so there is something to find
    assert (three > 1.01 * nearest).sum() <= (one > 1.01 * nearest).sum() / 2


def test_only_the_best_start_goes_on_and_a_start_without_a_class_is_idle():
    for classes, starts, rows in ((2, 1, 1), (2, 3, 2), (5, 3, 3), (5, 2, 2)):
        world = LinearWorld(n=4, classes=classes)
        label = world.logits(world.task.image).argmax(1)
        probe = Probe(Pixels(), Avoid(MARGIN), L2(), DDN(halvings=2, starts=starts), "budget", Budget(26))
        steps = list(probe.walk(world.classifier(), replace(world.task, label=label)))
        asked = [int((step.query.owner >= 0).sum()) // 4 for step in steps]
        race = -(-24 // (starts + 1)) - 1 - (starts > 1)
        assert asked == [1] * (1 + (starts > 1)) + [rows] * race + [1] * (27 - 1 - (starts > 1) - race)
        assert [step.query.want for step in steps].count("jacobian") == (starts > 1)


def test_a_search_too_short_for_a_race_has_one_start():
    result = Probe(Pixels(), Avoid(MARGIN), L2(), DDN(starts=3), "budget", Budget(3)).run(
        WORLD.classifier(), WORLD.task
    )
    assert {outcome.queries for outcome in result.outcomes} == {4}


def test_the_odds_are_the_gap_between_two_classes_and_less_among_many():
    for world in (LinearWorld(n=12), WORLD):
        y, task = {"answer": world.logits(world.task.image)}, world.task
        for objective in (Become(margin=0.0), Avoid(0.0)):
            seen = objective.view(y)
            odds, slack = objective.odds(seen, task), objective.slack(seen, task)
            p = (
                y["answer"]
                .softmax(1)
                .gather(1, (task.target if isinstance(objective, Become) else task.label)[:, None])
            )
            p = p[:, 0] if isinstance(objective, Become) else 1 - p[:, 0]
            assert torch.allclose(odds, torch.logit(p))
            assert torch.allclose(odds, slack) if world.classes == 2 else not torch.allclose(odds, slack)
    assert torch.equal((2 * Avoid()).odds(seen, WORLD.task), Avoid().odds(seen, WORLD.task))


def test_a_sum_is_as_likely_as_its_least_part():
    both = Avoid(0.0) + Confidence(0.6)
    view = both.view({"answer": WORLD.logits(WORLD.task.image)})
    odds = both.odds(view, WORLD.task)
    parts = [part.odds(view[str(i)], WORLD.task) for i, part in enumerate(both.parts)]
    assert torch.equal(odds, torch.minimum(*parts))


def test_a_flip_on_gray_levels_is_one_in_the_file():
    world = LinearWorld(n=12)
    image = (world.task.image * 255).round() / 255
    task = replace(world.task, image=image, label=world.logits(image).argmax(1))
    result = ddn().run(world.classifier(), task)
    assert result.met.all()
    assert torch.allclose(result.images * 255, (result.images * 255).round(), atol=1e-9)
    assert (world.logits(result.images).argmax(1) != task.label).all()


def test_what_it_refuses():
    for options in ({"gamma": 0.0}, {"gamma": 1.0}, {"halvings": -1}, {"starts": 0}):
        with pytest.raises(UsageError) as caught:
            DDN(**options)
        assert caught.value.slug == "ddn-options"
    probe = Probe(CPPN((1, 8, 8)), Avoid(), L2(), DDN())
    with pytest.raises(ContractError):
        probe.run(WORLD.classifier(), WORLD.task)
