"""MapElites: what its cells hold, whose children it asks for, what it notes, and where it ends."""

import io
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.errors import ContractError, DataError, ModelError, UsageError
from amiss.objectives import Confidence
from amiss.optimizers import Adam, MapElites, ancestry
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fool_cppn, fool_direct
from amiss.repro import normal
from amiss.spaces import CPPN, Genome, Pixels
from amiss.spaces.cppn import CPPN_QUIRKS
from amiss.spaces.genome import GENOME_QUIRKS
from amiss.spaces.graphs import MODERN, Rates
from amiss.task import Task
from amiss.testing import LinearWorld

WORLD = LinearWorld(classes=12)
CELLS = Task(torch.arange(12), target=torch.arange(12))
SHAPE = (1, 8, 8)


def evolving(space=None, search=None, generations=15, until="budget", **budget):
    space, search = space or CPPN(SHAPE), search or MapElites(20)
    limits = Budget(generations, **budget)
    return Probe(space, Confidence(0.9), Unconstrained(), search, until, limits, batch=64)


def walked(probe, asked=None):
    return list(probe.walk(asked or WORLD.classifier(), CELLS, images=True))


@pytest.fixture(scope="module")
def steps():
    return walked(evolving())


def nats(images):
    """-log p of every image and class, in double precision."""
    return -WORLD.logits(images.double()).log_softmax(1)


def test_cells_hold_the_best_of_all_that_ever_lived_and_never_fall(steps):
    assert [len(step.query) for step in steps] == [20] * 16
    lowest, held = torch.full((12,), torch.inf, dtype=torch.float64), torch.full((12,), torch.inf)
    for step in steps:
        before, lowest = lowest, torch.minimum(lowest, nats(step.images).amin(0))
        best = step.state["best"]
        assert torch.allclose(best["loss"].double(), lowest, rtol=1e-4)
        # A picture may be drawn again to the last digit but one: such a capture is no fall.
        won, fell = step.answer.won >= 0, lowest < before * (1 - 1e-5)
        assert won[fell].all() and torch.equal(won, best["loss"] < held)
        held = best["loss"]
        drawn = CPPN(SHAPE).draw(best["p"])
        assert torch.allclose(nats(drawn).diagonal(), lowest, rtol=1e-3)
    assert (lowest < nats(steps[0].images).amin(0) * 0.8).double().mean() > 0.5  # and it does search


@pytest.mark.parametrize("space", [CPPN(SHAPE), Genome(SHAPE), CPPN(SHAPE, quirks=CPPN_QUIRKS)])
def test_the_same_seed_gives_the_same_archive_and_another_seed_another(space):
    probe = evolving(space, generations=6)
    one, again, other = (replace(probe, seed=s).run(WORLD.classifier(), CELLS) for s in (1, 1, 2))
    assert torch.equal(one.p, again.p) and torch.equal(one.images, again.images)
    assert not torch.equal(one.p, other.p)


def test_stop_and_resume_are_the_same_bit_for_bit(steps):
    probe = evolving()
    for cut in (0, 7, 14):
        file = io.BytesIO()
        torch.save(steps[cut].state, file)
        file.seek(0)
        rest = list(probe.walk(WORLD.classifier(), CELLS, torch.load(file, weights_only=True)))
        assert len(rest) == len(steps) - cut - 1
        for part in ("best", "optimizer"):
            for name, value in steps[-1].state[part].items():
                found = rest[-1].state[part][name]
                assert torch.equal(found, value) if isinstance(value, torch.Tensor) else found == value


def test_the_lineage_says_whose_child_took_which_cell(steps):
    state = steps[-1].state["optimizer"]
    captures = state["captures"][: state["count"]]
    told = [tuple(row[:3]) for row in captures.tolist()]
    seen = []
    for step in steps:  # each capture was read off the answers
        for cell, row in enumerate(step.answer.won.tolist()):
            if row >= 0:
                seen.append((step.turn, cell, 20 * step.turn + row))
    assert told == seen and len(seen) > 30
    holders = {}
    for turn, cell, individual, parent, mate in captures.tolist():
        if turn == 0:
            assert parent == mate == -1
        else:  # parents were elites when the generation began
            assert {parent, mate} <= set(holders[turn - 1].values())
        holders.setdefault(turn, dict(holders.get(turn - 1, {})))[cell] = individual
        for later in range(turn + 1, 17):
            holders.setdefault(later, dict(holders[turn]))[cell] = individual
    assert state["holder"].tolist() == [holders[15][cell] for cell in range(12)]


def test_a_line_goes_back_to_the_first_generation(steps):
    state = steps[-1].state["optimizer"]
    for cell in range(12):
        line = ancestry(state, cell)
        assert int(line[0, 2]) == int(state["holder"][cell])
        assert line[-1, 0] == 0 and line[-1, 3] == -1
        assert all(int(a[3]) == int(b[2]) and a[0] > b[0] for a, b in pairwise(line))
    fresh = MapElites(4).init(evolving().search(WORLD.classifier(), CELLS).domain)
    assert ancestry(fresh, 0).shape == (0, 5)


def test_children_are_their_parents_children():
    space, search = Genome(SHAPE, crossover=0.0, rate=0.02), MapElites(21)
    steps = walked(evolving(space, search, 6))
    for before, step in pairwise(steps):
        elites = before.state["best"]["p"].flatten(1)
        for child in step.query.p.flatten(1):
            assert ((elites != child).double().mean(1)).amin() < 0.15  # one of the elites, a few genes moved
    assert all(len(step.query) == 21 for step in steps)


def test_parents_are_taken_where_confidence_can_move():
    world = LinearWorld(classes=3, dtype=torch.float32)
    classifier = Classifier(world.logits, labels="abc")
    few = MapElites(2, parents="unsure")  # fewer than the cells that are left at the beginning
    probe, told = Probe(Genome(SHAPE), Confidence(0.99), Unconstrained(), few, "budget", Budget(400)), []
    for step in probe.walk(classifier, classes(classifier)):
        best, likely = step.state["best"], step.state["optimizer"]["pool"]
        left, p = int((~best["met"]).sum()), (-best["loss"].double()).exp()
        told.append(left)
        if left > 2:
            assert torch.allclose(likely, p * (1 - p) + 0.02)
        else:  # all cells that are left alike, or all where none is
            assert torch.equal(likely, (~best["met"] if left else best["met"]).double())
    assert max(told) == 3 and min(told) < 3


def test_parents_are_taken_from_the_cells_that_are_not_met():
    # In a world of two classes a bright image is one, a dark one the other; only the first is easily had.
    easy = Classifier(lambda x: torch.stack([10 * x.flatten(1).mean(1) + 9, 0 * x[:, 0, 0, 0]], 1), labels="ab")
    cells = Task(torch.arange(2), target=torch.arange(2))
    for parents, both in (("all", True), ("unsolved", False)):
        search = MapElites(40, parents=parents)
        steps = list(evolving(Genome(SHAPE), search, 4).walk(easy, cells))
        state = steps[-1].state["optimizer"]
        assert state["pool"].tolist() == [both, True]
        assert bool(steps[-1].state["best"]["met"][0]) and not bool(steps[-1].state["best"]["met"][1])
    everything = Probe(Genome(SHAPE), Confidence(0.1), Unconstrained(), MapElites(10), "budget", Budget(3))
    blind = Classifier(lambda x: x.flatten(1)[:, :2], labels="ab")
    done = list(everything.walk(blind, cells))
    assert done[-1].state["best"]["met"].all() and done[-1].state["optimizer"]["pool"].all()  # none left: all of them
    assert len(list(replace(everything, until="met").walk(blind, cells))) == 1


def test_queries_are_spent_to_the_last_and_counted_for_all_together():
    probe = evolving(queries=50)
    asked = WORLD.classifier()
    steps = list(probe.walk(asked, CELLS))
    assert [len(step.query) for step in steps] == [20, 20, 10]
    assert asked.counts.queries == 50
    result = probe.run(WORLD.classifier(), CELLS)
    assert {o.queries for o in result.outcomes} == {50}
    first = MapElites(20, first=33)
    assert [len(step.query) for step in walked(evolving(search=first, generations=1))] == [33, 20]


def test_the_order_goes_on_where_float32_says_one():
    # Logits so far apart that the probability is 1 in float32 for every image.
    sure = Classifier(lambda x: torch.stack([30 + 10 * x.flatten(1).mean(1), 0 * x[:, 0, 0, 0]], 1), labels="ab")
    cells = Task(torch.arange(1), target=torch.zeros(1, dtype=torch.int64))
    probe = Probe(
        Genome(SHAPE), Confidence(0.99), Unconstrained(), MapElites(40, parents="all"), "budget", Budget(20)
    )
    steps = list(probe.walk(sure, cells))
    logits = [sure.outputs(step.state["best"]["p"])["answer"] for step in steps]
    assert all(float(z.softmax(1)[0, 0]) == 1.0 for z in logits)
    brightness = [float(z[0, 0]) for z in logits]
    assert brightness == sorted(brightness) and brightness[-1] > brightness[0] + 0.5
    assert 0 < steps[-1].state["best"]["loss"][0] < steps[0].state["best"]["loss"][0] < 1e-13


def test_the_loss_is_minus_log_p_to_the_last_digit():
    logits = 40 * normal(torch.arange(50), (7,), torch.float64)
    view = Confidence().view({"answer": logits})["nats"]
    assert torch.allclose(view, -logits.log_softmax(1), rtol=1e-9, atol=1e-12)
    sure = torch.tensor([[50.0, 0.0, 0.0]])
    exact = 2 * torch.tensor(-50.0, dtype=torch.float64).exp()  # p = 1 - 2 e^-50, which float32 calls 1
    assert float(Confidence().view({"answer": sure})["nats"][0, 0]) == pytest.approx(float(exact), rel=1e-5)


def test_gradients_of_the_loss_by_differences():
    logits = normal(torch.arange(6), (5,), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: Confidence().view({"answer": z})["nats"], logits)


def test_numbers_that_are_none():
    def sick(x):
        y = WORLD.logits(x.double())
        return torch.where(x.flatten(1).mean(1, keepdim=True) > 0.5, torch.nan, y)

    result = evolving(Genome(SHAPE)).run(Classifier(sick, labels=[*"abcdefghijkl"]), CELLS)
    assert (result.images.flatten(1).mean(1) <= 0.5).all()  # a row without a number wins nothing
    assert {o.status for o in result.outcomes} <= {"met", "exhausted"}
    dead = Classifier(lambda x: torch.full((len(x), 12), torch.nan), labels=[*"abcdefghijkl"])
    result = evolving().run(dead, CELLS)
    assert result.counts == {"not-finite": 12}
    assert {o.queries for o in result.outcomes} == {20}  # one generation was enough to see it


def test_what_cannot_evolve_is_refused(refuses):
    for options in ({"children": 0}, {"first": 0}, {"parents": "some"}):
        with refuses(UsageError, "evolution-options"):
            MapElites(**options)
    with refuses(ContractError, "contract-evolves"):
        evolving(Pixels(SHAPE)).run(WORLD.classifier(), CELLS)
    with refuses(ContractError, "contract-ladder"):
        evolving(search=Adam(0.1)).run(WORLD.classifier(), CELLS)
    with refuses(ModelError, "model-one-class"):
        Confidence().view({"answer": torch.zeros(3, 1)})
    with refuses(DataError, "data-labels"):  # more cells than the model has classes
        evolving().run(WORLD.classifier(), Task(torch.arange(13), target=torch.arange(13)))
    for recipe in (fool_cppn, fool_direct):
        with refuses(UsageError, "budget-zero"):
            recipe(SHAPE, generations=0)
        with refuses(UsageError, "evolution-options"):
            recipe(SHAPE, children=0)
        with refuses(UsageError, "recipe-preset"):
            recipe(SHAPE, preset="paper-2016")
        with refuses(UsageError, "genome-quirk"):
            recipe(SHAPE, quirks="raw")


def test_presets_are_what_they_say():
    old, new = fool_cppn(SHAPE, preset="paper-2015"), fool_cppn(SHAPE)
    assert old.space.quirks == CPPN_QUIRKS and old.space.rates.fine == 0
    assert new.space.quirks == () and new.space.rates == MODERN and old.space.rates == Rates()
    assert (old.optimizer.parents, new.optimizer.parents) == ("all", "unsure")
    some = fool_cppn(SHAPE, preset="paper-2015", quirks="truncated, raw-coordinates")
    assert some.space.quirks == ("raw-coordinates", "truncated")
    assert fool_direct(SHAPE, preset="paper-2015", quirks="none").space.quirks == ()
    assert fool_direct(SHAPE, preset="paper-2015").space.quirks == GENOME_QUIRKS
    old, new = fool_direct(SHAPE, preset="paper-2015"), fool_direct(SHAPE)
    assert (old.space.halve, old.space.crossover, old.optimizer.children, old.budget.steps) == (None, 0.5, 200, 200)
    assert (new.space.halve, new.space.crossover, new.optimizer.children, new.budget.steps) == (10_000, 0, 20, 2000)
    assert fool_direct(SHAPE, children=200).space.halve == 1000


@pytest.mark.parametrize("preset", ["modern", "paper-2015"])
@pytest.mark.parametrize("recipe", [fool_direct, fool_cppn])
def test_logits_alone_are_enough(recipe, preset):
    world = LinearWorld(classes=3, dtype=torch.float32)
    blind = Classifier(world.logits, gives="loss", labels="abc")
    probe = recipe(SHAPE, preset=preset, confidence=0.6, generations=40, children=30)
    result = probe.run(blind, classes(blind))
    assert result.counts == {"met": 3}
    p = world.logits(result.images).softmax(1).diagonal()
    assert (p >= 0.6 - 1e-6).all()
    levels = result.images * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)  # judged as a file holds them


def test_a_space_of_ones_own_may_cross_as_well():
    class Mean(Genome):
        def cross(self, parents, mates, key, turn=0):
            assert torch.equal(key[::2], key[1::2]) and torch.equal(parents[::2], mates[1::2])
            return (parents + mates) / 2

    steps = walked(evolving(Mean(SHAPE, rate=0.0), MapElites(8), 2))
    assert torch.equal(steps[1].query.p[::2], steps[1].query.p[1::2])
    domain = evolving(Pixels(SHAPE)).search(WORLD.classifier(), CELLS).domain
    p = domain.start()
    assert domain.cross(p, p.flip(0), 1) is p  # who says nothing of crossing takes the first parent
