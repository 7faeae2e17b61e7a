"""Climbers: elites that follow gradients inside MapElites, counted once, in a lineage, saved and gone on with."""

import io
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.nn import functional

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Confidence
from amiss.optimizers import MapElites, ancestry
from amiss.optimizers.climbers import placed, waiting
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fool_direct
from amiss.spaces import CPPN, Genome
from amiss.task import Query, Task
from amiss.testing import LinearWorld
from amiss.testing.batteries.values import same

WORLD = LinearWorld(classes=12)
CELLS = Task(torch.arange(12), target=torch.arange(12))
SHAPE = (1, 8, 8)


def evolving(search=None, generations=25, until="budget", confidence=0.9, **budget):
    search = search or MapElites(20, gradient=0.02)
    return Probe(Genome(SHAPE), Confidence(confidence), Unconstrained(), search, until, Budget(generations, **budget))


def walked(probe, asked=None):
    return list(probe.walk(asked or WORLD.classifier(), CELLS, images=True))


def nats(images):
    return -WORLD.logits(images.double()).log_softmax(1)


@pytest.fixture(scope="module")
def steps():
    return walked(evolving())


def test_cells_never_fall_and_every_step_competes_in_every_cell(steps):
    lowest = torch.full((12,), torch.inf, dtype=torch.float64)
    for step in steps:
        lowest = torch.minimum(lowest, nats(step.images).amin(0))
        assert torch.allclose(step.state["best"]["loss"].double(), lowest, rtol=1e-4)
    wants = [step.query.want for step in steps]
    assert wants[:2] == ["loss", "grad"] and wants.count("grad") > 10


def test_gradients_save_most_of_the_evaluations():
    spent = {}
    for gradient in (None, 0.05):
        probe = evolving(MapElites(20, gradient=gradient), 400, "met", 0.99)
        found = walked(probe)
        spent[gradient] = sum(len(s.query) * (3 if s.query.want == "grad" else 1) for s in found)
        assert found[-1].state["best"]["met"].all() or gradient is None
    assert spent[0.05] < 0.2 * spent[None]


def test_one_pass_reads_all_cells_and_one_gradient_a_row():
    asked = WORLD.classifier()
    probe = evolving(generations=6)
    found = list(probe.walk(asked, CELLS))
    climbs = [step for step in found if step.query.want == "grad"]
    assert asked.counts.queries == sum(len(step.query) for step in found)
    assert asked.counts.forward == len(found) and len(climbs) >= 4
    for step in climbs:
        x = step.query.p.double().requires_grad_()
        own = -WORLD.logits(x).log_softmax(1).gather(1, step.query.toward[:, None])
        (slope,) = torch.autograd.grad(own.sum(), x)
        assert torch.allclose(step.answer.grad.double(), slope, rtol=1e-4, atol=1e-6)
        assert torch.allclose(step.answer.value.double(), own[:, 0].detach(), rtol=1e-4, atol=1e-6)


def test_rows_are_split_into_passes_with_their_cells():
    whole, split = (replace(evolving(generations=8), batch=b) for b in (64, 5))
    one, two = walked(whole), walked(split)
    for a, b in zip(one, two, strict=True):
        assert torch.allclose(a.images, b.images, atol=1e-4)
        assert (a.query.toward is None) == (a.query.want == "loss")


def test_the_same_seed_gives_the_same_archive():
    one, again, other = (replace(evolving(generations=8), seed=s).run(WORLD.classifier(), CELLS) for s in (1, 1, 2))
    assert torch.equal(one.p, again.p) and not torch.equal(one.p, other.p)


def test_stop_and_resume_are_the_same_bit_for_bit(steps):
    for cut in (0, 1, 9, 24):
        file = io.BytesIO()
        torch.save(steps[cut].state, file)
        file.seek(0)
        rest = list(evolving().walk(WORLD.classifier(), CELLS, torch.load(file, weights_only=True)))
        assert len(rest) == len(steps) - cut - 1
        assert same(rest[-1].state["best"], steps[-1].state["best"])
        assert same(rest[-1].state["optimizer"], steps[-1].state["optimizer"])


def test_a_climber_is_a_child_of_the_elite_on_its_way(steps):
    state = steps[-1].state["optimizer"]
    captures = state["captures"][: state["count"]].tolist()
    climbs = {step.turn: step.query.toward for step in steps if step.query.want == "grad"}
    born = {step.turn: sum(len(s.query) for s in steps[: step.turn]) for step in steps}
    elites, own = set(), 0
    for turn, cell, individual, parent, mate in captures:
        if turn in climbs:
            assert mate == -1 and parent in elites
            own += int(climbs[turn][individual - born[turn]]) == cell
        elites.add(individual)
    assert own > 50
    for cell in range(12):
        line = ancestry(state, cell)
        assert line[-1, 0] == 0 and line[-1, 3] == -1 and len(line) > 1


def test_only_cells_that_are_left_are_climbed(steps):
    for before, step in pairwise(steps):
        if step.query.want == "grad":
            met = before.state["best"]["met"]
            assert met.all() or not met[step.query.toward].any()
            assert len(set(step.query.toward.tolist())) == len(step.query)
    assert steps[-1].state["best"]["met"].all() and len(steps[-1].query) in (12, 20)  # then all of them are again


def test_there_are_no_more_climbers_than_children():
    found = walked(evolving(MapElites(5, gradient=0.05), 200, "met"))
    assert max(len(step.query) for step in found) == 5
    assert found[-1].state["best"]["met"].all()
    cells = {int(c) for step in found if step.query.toward is not None for c in step.query.toward}
    assert len(cells) >= 8


def hopeless(first):
    """Who sees the first few classes in nothing, however steep the way there is; a thirteenth is nobody's cell."""
    low = torch.where(torch.arange(13) < first, -900.0, 0.0)
    return Classifier(lambda x: functional.pad(WORLD.logits(x.double()), (0, 1)) + low, labels=[*"abcdefghijklm"])


def test_classes_that_cannot_be_met_do_not_keep_the_climbers_from_the_others():
    found = walked(evolving(MapElites(3, gradient=0.05), 150, "met"), hopeless(3))
    state = found[-1].state
    assert state["best"]["met"].tolist() == [False] * 3 + [True] * 9
    climbs = torch.cat([step.query.toward for step in found if step.query.want == "grad"]).bincount(minlength=12)
    assert torch.equal(climbs, state["optimizer"]["climbers"]["climbs"])


def test_cells_that_none_can_meet_are_climbed_alike():
    found = walked(evolving(MapElites(3, gradient=0.05), 150), hopeless(12))
    climbs = found[-1].state["optimizer"]["climbers"]["climbs"]
    assert climbs.min() > 0.5 * climbs.double().mean()


def test_who_changes_cells_is_gone_on_with_bit_for_bit():
    probe = evolving(MapElites(3, gradient=0.05), 60)
    found, again = walked(probe, hopeless(3)), walked(probe, hopeless(3))
    assert same(found[-1].state["optimizer"], again[-1].state["optimizer"])
    for cut in (20, 37):
        rest = list(probe.walk(hopeless(3), CELLS, found[cut].state))
        assert same(rest[-1].state["optimizer"], found[-1].state["optimizer"])


def seated(cells, idle, climbs):
    """Climbers in cells, and what the next turn makes of them where all cells are to be climbed."""
    n, elites = len(climbs), torch.arange(len(climbs))[:, None].double()
    before = waiting(len(cells), elites) | {"cell": torch.tensor(cells), "idle": torch.tensor(idle)}
    before |= {
        "climbs": torch.tensor(climbs),
        "steps": torch.full((len(cells),), 3),
        "p": torch.full((len(cells), 1), 9.0).double(),
    }
    after = placed(before, elites, torch.arange(n) + 100, torch.ones(n, dtype=torch.bool), torch.full((n,), -1))
    return before, after


def test_who_took_its_cell_longest_ago_goes_to_the_one_climbed_least():
    _, after = seated([0, 1, 2], [12, 9, 40], [50, 50, 50, 7, 7])
    assert after["cell"].tolist() == [4, 1, 3] and after["idle"].tolist() == [0, 9, 0]
    assert after["origin"].tolist() == [104, -1, 103] and after["p"].flatten().tolist() == [4, 9, 3]
    _, after = seated([0, 1, -1], [30, 20, 0], [50, 50, 8, 7])
    assert after["cell"].tolist() == [2, 1, 3]  # who has no cell comes first
    _, after = seated([0, 1], [9, 9], [50, 50, 0])
    assert after["cell"].tolist() == [0, 1]  # nobody has waited long enough


def test_where_no_cell_waits_nobody_leaves_its_own():
    before, after = seated([1, 0, 2], [99, 99, 99], [5, 50, 1])
    assert same(before, after)


def test_where_nothing_slopes_children_have_their_turn():
    asked = Classifier(lambda x: WORLD.logits((x.double() * 4).floor() / 4), labels=[*"abcdefghijkl"])
    found = walked(evolving(generations=9), asked)
    assert [step.query.want for step in found] == ["loss", *["grad", "grad", "loss"] * 3]
    losses = [step.state["best"]["loss"].mean() for step in found]
    assert losses[3] < losses[2] and losses[6] < losses[5]


def test_who_is_overtaken_starts_anew_from_the_new_elite(steps):
    anew = 0
    for step in steps:
        climbers, best = step.state["optimizer"]["climbers"], step.state["best"]["p"]
        there = climbers["cell"] >= 0
        fresh = there & (climbers["steps"] == 0)
        anew += int(fresh.sum())
        assert torch.equal(climbers["p"][fresh], best[climbers["cell"][fresh]])
        holder = step.state["optimizer"]["holder"]
        assert torch.equal(climbers["origin"][fresh], holder[climbers["cell"][fresh]])
        assert not climbers["mean"][fresh].any()
    assert anew > 12


def test_a_gradient_that_is_none_sends_the_climber_back():
    class Sick(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return torch.full_like(grad, torch.nan)

    asked = Classifier(lambda x: WORLD.logits(Sick.apply(x).double()), labels=[*"abcdefghijkl"])
    found = walked(evolving(generations=9), asked)
    for step in found:
        assert step.query.p.isfinite().all() and step.state["best"]["loss"].isfinite().all()
    assert [step.query.want for step in found].count("loss") == 4  # children go on


def test_queries_are_spent_to_the_last():
    asked = WORLD.classifier()
    found = list(evolving(queries=25).walk(asked, CELLS))
    assert [len(step.query) for step in found] == [20, 5] and asked.counts.queries == 25
    assert len(found[-1].query.toward) == len(found[-1].answer.grad) == 5


def test_what_has_no_gradient_is_refused(refuses):
    for wrong in (0, -0.1):
        with refuses(UsageError, "evolution-options"):
            MapElites(gradient=wrong)
    with refuses(ContractError, "contract-ladder") as caught:
        replace(evolving(), space=CPPN(SHAPE)).run(WORLD.classifier(), CELLS)
    assert "without gradients" in caught.value.hint
    blind = Classifier(WORLD.logits, gives="loss", labels=[*"abcdefghijkl"])
    with refuses(ContractError, "contract-ladder"):
        fool_direct(SHAPE, gradient=True).run(blind, classes(blind))
    with refuses(ContractError, "contract-ladder"):
        fool_direct(SHAPE, gradient=True, preset="paper-2015").run(WORLD.classifier(), CELLS)


def test_who_has_no_climbers_says_nothing_of_them():
    assert "gradient" not in repr(MapElites(20)) and MapElites(20).wants == "loss"
    assert repr(MapElites(20, gradient=0.05)).endswith("gradient=0.05)") and MapElites(gradient=0.1).wants == "grad"
    assert Query(torch.zeros(1, 2), None).toward is None


def test_the_recipe_climbs():
    world = LinearWorld(classes=4, dtype=torch.float32)
    asked = Classifier(world.logits, labels="abcd")
    steep, blind = (fool_direct(SHAPE, gradient=g, confidence=0.999) for g in (True, False))
    result, other = (probe.run(asked, classes(asked)) for probe in (steep, blind))
    assert result.counts == {"met": 4}
    assert (world.logits(result.images).softmax(1).diagonal() >= 0.999 - 1e-6).all()
    assert 3 * max(o.queries for o in result.outcomes) < max(o.queries for o in other.outcomes)
