"""Estimated gradients: exact by coordinates in a linear world, of the right direction on the average, and counted."""

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import L2, Linf, Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Become
from amiss.optimizers import Adam, Estimated, Momentum, Sign
from amiss.probe import Budget, Probe
from amiss.recipes import nes, pgd, spsa
from amiss.spaces import Pixels
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=12)


def moved(search, world=WORLD, constraint=None, turns=1):
    """Changes [n, pixels] after some steps, from losses that are far from 0."""
    probe = Probe(Pixels(), Become(margin=1e3), constraint or Unconstrained(), search, "budget", Budget(turns))
    *_, last = probe.walk(world.classifier(), world.task)
    return (last.query.p - world.task.image).flatten(1)


def test_finite_differences_are_the_gradient():
    slope = WORLD.deficit(0.0)[1]
    step = moved(Estimated(Momentum(0.1, 0.0, "l2"), "coordinates", None, 1e-3))
    assert torch.allclose(step, 0.1 * slope / slope.norm(dim=1, keepdim=True), atol=1e-9)


def test_at_the_wall_of_the_box_the_difference_that_is_left_counts():
    world = LinearWorld(n=12, crowd=0.6)
    walls = (world.task.image == 0) | (world.task.image == 1)
    assert 0.2 < walls.double().mean() < 0.8
    step = moved(Estimated(Sign(1e-3), "coordinates", None, 1e-3), world)
    exact = moved(Sign(1e-3), world)
    assert torch.allclose(step, exact, atol=1e-12)


def test_coordinates_that_are_not_drawn_stay():
    step = moved(Estimated(Sign(0.01), "coordinates", 7))
    assert ((step != 0).sum(1) == 7).all()
    assert not torch.equal(step[0] != 0, step[1] != 0)


@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
def test_random_pairs_point_along_the_gradient(kind):
    # Of m random directions in d dimensions the estimate has a cosine of about the root of m / (m + d).
    slope = WORLD.deficit(0.0)[1]
    for pairs in (16, 64):
        step = moved(Estimated(Momentum(0.1, 0.0, "l2"), kind, pairs, 1e-3))
        cosine = torch.cosine_similarity(step, slope)
        assert cosine.mean() == pytest.approx((pairs / (pairs + 64)) ** 0.5, abs=0.08)


def test_restarts_and_penalties_are_estimated_too():
    search = Estimated(Adam(0.05, restarts=3, spread=0.01), "coordinates", None, 1e-3)
    probe = Probe(Pixels(), Become(margin=0.05), L2(weight=0.05), search, "budget", Budget(60))
    exact = Probe(Pixels(), Become(margin=0.05), L2(weight=0.05), search.inner, "budget", Budget(60))
    found, known = (p.run(WORLD.classifier(), WORLD.task.rows(torch.arange(3))) for p in (probe, exact))
    assert found.met.all() and torch.allclose(found.size, known.size, atol=1e-3)


@pytest.mark.parametrize("recipe", [nes, spsa])
def test_a_success_is_one_that_can_be_and_an_easy_one_is_found(recipe):
    world = LinearWorld(n=40, crowd=0.15)
    probe = recipe(0.02, 1000, target="task", sigma=0.005, levels=None)
    result = probe.run(world.classifier(), world.task)
    easy = world.reach(0.02) >= 1.3 * world.deficit(0.05)[0]
    assert not (result.met & ~world.feasible(0.02, 0.05)).any()
    assert result.met[easy].all() and 8 < easy.sum() < 38


def test_queries_are_counted_and_no_gradient_is_asked():
    net = WORLD.classifier()
    result = nes(0.02, 130, target=0, margin=1e3, pairs=5).run(net, WORLD.task)
    assert {o.queries for o in result.outcomes} == {11 * 11 + 1}  # eleven estimates and a look
    assert net.counts.queries == 12 * 122 + 12 and net.counts.backward == 0


def test_it_works_where_no_gradient_is():
    with torch.no_grad():
        blind = Classifier(lambda x: WORLD.logits(x).detach(), gives="loss", labels=("a", "b"))
    with pytest.raises(ContractError):
        pgd(0.1).run(blind, WORLD.task)
    assert nes(0.1, 600, target="task").run(blind, WORLD.task).met.all()


def test_what_means_nothing_is_refused(refuses):
    for options in ({"kind": "uniform"}, {"pairs": 0}, {"pairs": None}, {"sigma": 0.0}, {"sigma": float("nan")}):
        with refuses(UsageError, "estimated-options"):
            Estimated(Sign(0.01), **options)
    with refuses(UsageError, "estimated-options"):
        nes(0.1, pairs=0)
    mute = Classifier(lambda x: WORLD.logits(x).argmax(1), gives="met", labels=("a", "b"))
    with refuses(ContractError, "contract-ladder"):
        Probe(Pixels(), Become(), Linf(0.1), Estimated(Sign(0.01))).run(mute, WORLD.task)
