"""Lineages: pictures of a line are those that were evolved, founders share the cells out, goals are counted."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from amiss.analysis.champions import confidence, descent, follow, frames, lines, switches
from amiss.constraints import Unconstrained
from amiss.data import to_bytes
from amiss.errors import UsageError
from amiss.objectives import Confidence
from amiss.optimizers import MapElites, ancestry
from amiss.probe import Budget, Probe
from amiss.spaces import CPPN, Genome
from amiss.task import Task
from amiss.testing import LinearWorld

torch.set_num_threads(1)
WORLD = LinearWorld(classes=12)
CELLS = Task(torch.arange(12), target=torch.arange(12))
SHAPE = (1, 8, 8)


def evolving(space, generations=40):
    return Probe(space, Confidence(0.9), Unconstrained(), MapElites(20), "budget", Budget(generations), batch=64)


@pytest.fixture(scope="module", params=[CPPN(SHAPE), Genome(SHAPE, rate=0.3)], ids=["cppn", "genome"])
def evolved(request):
    """A walk of an evolution, and its space."""
    probe = evolving(request.param)
    return list(probe.walk(WORLD.classifier(), CELLS, images=True)), request.param


def test_each_ancestors_genome_is_the_one_that_took_its_cell(evolved):
    steps, _ = evolved
    lineage, last = follow(steps), steps[-1].state
    state = last["optimizer"]
    held = torch.searchsorted(lineage.individual, lineage.holder)
    assert torch.equal(lineage.p[held], last["best"]["p"])
    members = set()
    for cell in range(12):
        line = ancestry(state, cell)
        members |= set(line[:, 2].tolist())
        for generation, _, individual, *_ in line.tolist():
            row = individual - sum(len(step.query) for step in steps[:generation])
            p = steps[generation].query.p[row]
            assert torch.equal(lineage.p[lineage.individual.tolist().index(individual)], p)
    assert set(lineage.individual.tolist()) == members


def test_it_is_the_same_gone_on_with_and_with_genomes_forgotten_on_the_way(evolved, monkeypatch):
    steps, _ = evolved
    whole = follow(steps)
    for parts in (follow(steps[17:], follow(steps[:17])), follow(iter([]), whole)):
        assert all(torch.equal(getattr(parts, name), getattr(whole, name)) for name in vars(whole))
    monkeypatch.setattr("amiss.analysis.champions.lineage._ROOM", 1)
    seldom = follow(steps)
    assert all(torch.equal(getattr(seldom, name), getattr(whole, name)) for name in vars(whole))


def test_an_individual_that_a_climber_set_out_from_is_remembered():
    captures = torch.tensor([[0, 0, 0, -1, -1], [0, 1, 1, -1, -1], [1, 1, 2, 0, -1], [2, 0, 3, 1, -1]])
    lineage = None
    for count, holder in ((2, [0, 1]), (3, [0, 2]), (4, [3, 2])):  # 1 holds nothing for a turn, and then has a child
        p = torch.tensor([[float(number)] for number in holder])
        climbers = {"origin": torch.tensor([1, -1])}
        state = {"captures": captures, "count": count, "holder": torch.tensor(holder), "climbers": climbers}
        step = SimpleNamespace(state={"optimizer": state, "best": {"p": p}})
        lineage = follow([step], lineage)
    assert lineage.individual.tolist() == lineage.p[:, 0].tolist() == [0, 1, 2, 3]
    assert [line[:, 2].tolist() for line in lines(lineage.captures, lineage.holder)] == [[1, 3], [0, 2]]


def test_a_walk_without_a_step_is_refused(refuses):
    with refuses(UsageError, "lineage-empty"):
        follow([])


def test_the_frames_of_a_line_end_with_its_champion(evolved):
    steps, space = evolved
    lineage, best, classifier = follow(steps), steps[-1].state["best"], WORLD.classifier()
    longest = max(range(12), key=lambda cell: len(ancestry(steps[-1].state["optimizer"], cell)))
    told = frames(classifier, space, lineage, longest)
    assert len(told.individual) > 2 and told.cell == longest
    assert bool((told.generation.diff() > 0).all()) and told.generation[0] == 0
    assert torch.equal(told.images[-1], to_bytes(space.decode(CELLS, best["p"][longest][None]))[0])
    assert torch.equal(told.own, confidence(classifier, told.images, told.held))
    assert told.champion[-1] >= told.champion.max() - 0.01  # the file's rounding aside it is the best that ever was
    (captured,) = {int(cell) for g, cell, i, *_ in lineage.captures.tolist() if i == told.individual[-1]} & {longest}
    assert captured == longest


def test_lines_of_all_cells_are_those_of_each(evolved):
    state = evolved[0][-1].state["optimizer"]
    captures = state["captures"][: state["count"]]
    for cell, line in enumerate(lines(captures, state["holder"])):
        assert torch.equal(line.flip(0), ancestry(state, cell))
    assert len(lines(captures, torch.tensor([-1]))[0]) == 0


def test_founders_share_the_cells_out(evolved):
    lineage = follow(evolved[0])
    told = descent(lineage)
    assert int(told.cells[told.generation == 0].sum()) == 12
    assert told.founders == int((told.generation == 0).sum()) >= 1
    assert torch.equal(told.individual.sort().values, lineage.individual)
    assert bool((told.cells.diff() <= 0).all()) and told.cells[-1] >= 1
    empty = descent(replace(lineage, holder=torch.full((3,), -1)))
    assert len(empty.cells) == 0 and empty.founders == 0


def test_a_goal_is_switched_where_the_parent_held_another_cell():
    captures = torch.tensor(
        [
            [0, 0, 3, -1, -1],
            [0, 1, 4, -1, -1],
            [1, 0, 7, 3, 4],  # its parent held cell 0: it goes on
            [1, 1, 8, 3, 4],  # its parent held another
            [1, 2, 7, 3, 4],  # a cell that was empty
            [2, 0, 9, 7, 7],
            [2, 1, 10, 7, 8],
        ]
    )
    told = switches(captures)
    assert (told.captures, told.switched, told.share) == (5, 3, 0.6)
    none = switches(captures[:2])
    assert none.captures == 0 and none.share != none.share


def test_parents_are_those_of_the_generation_before():
    # 7 took cell 0 in the very generation in which 3's other child took cell 1, which 3 held.
    captures = torch.tensor([[0, 0, 3, -1, -1], [0, 1, 3, -1, -1], [1, 0, 7, 3, 3], [1, 1, 8, 3, 3]])
    assert switches(captures).switched == 0
