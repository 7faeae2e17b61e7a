"""Square: what it paints, what it keeps, what it spends, and how its squares shrink."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.objectives import Avoid, Become
from amiss.optimizers import Sign, Square, Then
from amiss.probe import Budget, Probe
from amiss.recipes import pgd, square
from amiss.spaces import Latent, Pixels
from amiss.task import Task
from amiss.testing import LinearWorld

EPS = 0.03


def color(n=6, side=12, channels=3):
    """A task of colored images, and a classifier of two classes that none of them can reach."""
    image = torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(1)).double()
    image = ((0.1 + 0.8 * image) * 255).round() / 255
    weight = torch.randn(channels * side * side, generator=torch.Generator().manual_seed(2)).double()
    net = Classifier(lambda x: torch.stack([x.flatten(1) @ weight, 0 * x.flatten(1).sum(1) + 1e6], 1), gives="loss")
    return Task(torch.arange(n), image, label=torch.ones(n, dtype=torch.int64)), net, weight


def walked(steps=60, **options):
    task, net, weight = color(**options)
    probe = Probe(Pixels(), Avoid(), Linf(EPS), Square(EPS, 0.3), budget=Budget(steps))
    return task, weight, list(probe.walk(net, task))


def test_the_first_looks_are_the_image_and_stripes():
    task, _, steps = walked(3)
    assert torch.equal(steps[0].query.p, task.image)
    change = (steps[1].query.p - task.image) / EPS
    assert torch.allclose(change.abs(), torch.ones_like(change))
    assert torch.allclose(change, change[:, :, :1, :].expand_as(change))  # a column of a channel has one sign
    assert len(change[:, :, 0].sign().flatten(1).unique(dim=0)) == len(task)  # every sample its own
    assert 0.3 < (change > 0).double().mean() < 0.7


def test_each_later_look_repaints_one_square_at_the_bound():
    task, _, steps = walked(60)
    for before, step in pairwise(steps[1:]):
        standing = before.state["optimizer"]["p"]
        differs = (step.query.p != standing).any(1)
        assert differs.flatten(1).any(1).all()  # no query is spent on what stands already
        side = Square(EPS, 0.3)._side(step.turn / 60, 12, 12)
        for i, where in enumerate(differs):
            rows, columns = where.any(1).nonzero().flatten(), where.any(0).nonzero().flatten()
            assert rows[-1] - rows[0] < side and columns[-1] - columns[0] < side
            inside = (step.query.p - task.image)[i][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert torch.allclose(inside.abs(), torch.full_like(inside, EPS))
    far = torch.stack([(step.query.p - task.image).abs().amax() for step in steps])
    assert far.max() <= EPS + 1e-12


def test_on_gray_images_too_every_query_shows_something_new():
    # Squares of one pixel and one channel: half of all colors drawn are those that stand there.
    _, _, steps = walked(200, channels=1)
    for before, step in pairwise(steps[1:]):
        assert (step.query.p != before.state["optimizer"]["p"]).flatten(1).any(1).all()


def test_what_stands_is_the_best_that_was_painted():
    _, _, steps = walked(80)
    losses = torch.stack([step.answer.loss for step in steps[1:]])  # from the stripes on
    standing = torch.stack([step.state["optimizer"]["loss"] for step in steps[1:]])
    assert torch.equal(standing, losses.cummin(0).values)
    assert (standing[-1] < standing[0]).all()


def test_the_squares_shrink_by_halves():
    search = Square(EPS, 0.64)
    parts = (0.0005, 0.003, 0.01, 0.03, 0.07, 0.15, 0.3, 0.5, 0.7, 0.9)
    sides = [search._side(part, 1000, 1000) for part in parts]
    assert [800 / 2 ** (k / 2) for k in range(10)] == pytest.approx(sides, abs=0.5)
    assert search._side(0.001, 1000, 1000) == 800  # the tenth of ten thousand is still of the first size
    assert Square(EPS, 1.0)._side(0, 20, 5) == 5  # never larger than the image
    assert Square(EPS, 0.01)._side(1, 8, 8) == 1


def test_every_place_of_the_image_is_painted():
    _, _, steps = walked(400, n=20, side=5)
    seen = torch.zeros(5, 5, dtype=torch.bool)
    for before, step in pairwise(steps[1:]):
        seen |= (step.query.p != before.state["optimizer"]["p"]).any(1).any(0)
    assert seen.all()


def test_a_success_is_one_that_can_be_and_an_easy_one_is_found():
    world = LinearWorld(n=60, crowd=0.15)
    probe = Probe(Pixels(), Become(margin=0.05), Linf(0.015), Square(0.015), budget=Budget(1500))
    result = probe.run(world.classifier(), world.task)
    feasible = world.feasible(0.015, 0.05)
    easy = world.reach(0.015) >= 1.05 * world.deficit(0.05)[0]
    assert not (result.met & ~feasible).any()
    assert result.met[easy].all()
    assert 20 < easy.sum() < 50


def test_the_recipe_spends_queries_and_no_more():
    task, net, _ = color()
    result = square(8 / 255, queries=37).run(net, task)
    assert {o.queries for o in result.outcomes} == {37}
    assert net.counts.forward == 37 + 1  # the judgement at the end
    assert net.counts.backward == 0
    assert {o.status for o in result.outcomes} == {"exhausted"}
    assert result.linf.max() <= 8 / 255 + 1e-6


def test_who_is_wrong_already_costs_one_query():
    task, net, _ = color()
    result = square(8 / 255, queries=50).run(net, replace(task, label=1 - task.label))
    assert {o.status for o in result.outcomes} == {"already-met"}
    assert {o.queries for o in result.outcomes} == {1}


def test_it_needs_losses_and_nothing_more():
    world = LinearWorld(n=10, dtype=torch.float32)
    with torch.no_grad():
        blind = Classifier(lambda x: world.logits(x).detach(), gives="loss", labels=("a", "b"))
        result = square(0.1, 300, target="task").run(blind, world.task)
    assert result.met.all()
    with pytest.raises(ContractError) as caught:
        pgd(0.1).run(blind, world.task)
    assert caught.value.slug == "contract-ladder"
    mute = Classifier(lambda x: world.logits(x).argmax(1), gives="met", labels=("a", "b"))
    with pytest.raises(ContractError) as caught:
        square(0.1).run(mute, world.task)
    assert caught.value.slug == "contract-ladder"


def test_after_another_optimizer_it_paints_on():
    world = LinearWorld(n=10)
    first = Sign(0.002)
    probe = Probe(Pixels(), Become(margin=1e6), Linf(EPS), Then(first, Square(EPS), 5, "steps"), budget=Budget(40))
    steps = list(probe.walk(world.classifier(), world.task))
    handed = next(step.state["optimizer"] for step in steps if step.state["optimizer"]["phase"] == 1)
    after = [step for step in steps if step.query.want == "loss" and step.state["optimizer"]["phase"] == 1]
    assert torch.equal(after[1].query.p, handed["inner"]["p"])
    standing = torch.stack([step.state["optimizer"]["inner"]["loss"] for step in after[1:]])
    assert (standing.diff(dim=0) <= 0).all() and (standing[-1] < standing[0]).all()


def test_rows_that_wait_stay_where_they_are():
    task, _, _ = color()
    domain = Domain(Pixels(), Linf(EPS), task, 10)
    search = Square(EPS)
    state = {**search.init(domain), "turn": 3}
    query = replace(search.ask(state, domain), owner=torch.tensor([0, -1, 2, -1, 4, 5]), p=state["p"] + 0.01)

    class Said:
        loss = torch.zeros(6)

    after = search.tell(state, domain, query, Said)
    moved = (after["p"] != state["p"]).flatten(1).any(1)
    assert moved.tolist() == [True, False, True, False, True, True]
    assert after["loss"].isinf().tolist() == [False, True, False, True, False, False]


def test_what_means_nothing_is_refused(refuses):
    world = LinearWorld(n=4)
    for share in (0, -0.1, 1.5, float("nan")):
        with refuses(UsageError, "square-share"):
            square(0.1, share=share)
    with refuses(UsageError, "budget-zero"):
        square(0.1, 0)
    probe = Probe(Latent(world.codec), Become(), Linf(0.1), Square(0.1))
    with refuses(ContractError, "contract-pixels"):
        probe.run(world.classifier(), world.task)
