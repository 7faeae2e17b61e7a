"""The experiment with fooling images: what its studies keep, against a walk by hand, and what it refuses."""

from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import pytest
import torch
from torch import nn

from amiss.audit import chronicle
from amiss.audit.chronicle import Chronicle, Told, moments, shrunk
from amiss.audit.encodings import ENCODINGS
from amiss.audit.evolution import Evolution, EvolutionExperiment, log_odds
from amiss.classifier import Classifier
from amiss.errors import ContractError, DataError, Interrupted, ModelError, UsageError
from amiss.optimizers import ancestry
from amiss.recipes import classes
from amiss.search import Step
from amiss.study import Store
from amiss.study.sameness import run_digest
from amiss.task import ALL, Answer, Query
from amiss.testing import LinearWorld
from tests.audit.conftest import from_disk

WORLD = LinearWorld(classes=6, dtype=torch.float32)
SHAPE = (1, 8, 8)
SMALL = Evolution(generations=12, children=20, steps=12, batch=4)


def linear(gives="jacobian"):
    """The world's network, its logits ten times as far apart."""
    own = WORLD.classifier()

    def logits(x):
        return 10 * own.outputs(x)["answer"]

    return Classifier(logits, labels=list("abcdef"), gives=gives)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("fooling") / "run"
    return EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).run(out), out


def test_moments_are_a_series_that_ends_with_the_last_turn():
    assert moments(60, (1.0, 2.0, 5.0)) == (0, 1, 2, 5, 10, 20, 50, 60)
    assert moments(1, (1.0, 2.0, 5.0)) == (0, 1)
    assert moments(200, (1.0, 2.0, 5.0))[-2:] == (100, 200)


def test_files_are_as_sure_as_is_said(run):
    found, out = run
    assert [part.encoding for part in found.parts] == list(ENCODINGS[:3])
    for part in found.parts:
        images = torch.stack([torch.from_numpy(from_disk(out / path)) for path in part.paths])
        sure = (10 * WORLD.logits(images.float())).double().log_softmax(1).diagonal()
        assert torch.allclose(-part.nats.double(), sure, atol=1e-4)
        assert torch.allclose(part.told.losses[-1], part.nats, atol=1e-4)
        assert part.result.met.tolist() == (sure >= np.log(SMALL.confidence)).tolist()


def test_log_odds_are_those_of_the_probability():
    p = torch.tensor([1e-3, 0.5, 0.99], dtype=torch.float64)
    assert torch.allclose(log_odds(-p.log()), p.logit())
    assert log_odds(torch.tensor([0.0, torch.inf])).tolist() == [100, -100]
    assert float(log_odds(torch.tensor(1e-12, dtype=torch.float64))) == pytest.approx(np.log(1e12))


@pytest.mark.parametrize("encoding", ["direct", "cppn"])
def test_notes_are_what_a_walk_by_hand_sees(run, encoding):
    part = next(part for part in run[0].parts if part.encoding == encoding)
    steps = list(part.probe.walk(linear(), classes(linear())))
    told = part.told
    assert told.marks == (0, 1, 2, 5, 10, 12)
    for turn, holders in zip(told.marks, told.holders, strict=True):
        optimizer = steps[turn].state["optimizer"]
        assert torch.equal(holders, optimizer["holder"])
        for cell, number in enumerate(holders.tolist()):
            assert torch.equal(told.pool[number], steps[turn].state["best"]["p"][cell])
    for turn, evaluations, losses in zip(told.ticks, told.evaluations, told.losses, strict=True):
        assert torch.equal(losses, steps[turn].state["best"]["loss"])
        assert evaluations == 20 * (turn + 1)
    for cell in range(6):
        line = ancestry(steps[-1].state["optimizer"], cell)
        own = told.line(int(told.holders[-1, cell]))
        assert own == line[:, 2].tolist()
        assert [told.first[k] for k in own] == [tuple(row) for row in line[:, [0, 1, 3]].tolist()]
        assert all(k in told.pool for k in own)  # a graph's ancestors, and a small image's, can be looked at
        assert all(told.first[a][0] > told.first[b][0] for a, b in pairwise(own))


def test_nobody_is_kept_whom_no_elite_descends_from(run):
    for part in run[0].parts[:2]:
        needed = {k for held in part.told.holders.unique().tolist() for k in part.told.line(held)}
        assert set(part.told.pool) == set(part.told.first) == needed


def test_the_gradient_has_no_ancestors_and_shards_of_its_own(run):
    part = run[0].parts[2]
    told = part.told
    assert told.first == {}
    # Two shards together; a gradient is three evaluations, and the look after the last step is one.
    assert told.evaluations == tuple(18 * turn + (18 if turn < 12 else 6) for turn in told.ticks)
    last = torch.stack([told.pool[k] for k in told.holders[-1].tolist()])
    assert torch.equal((last * 255).round() / 255, part.result.images)
    assert torch.equal(told.losses.cummin(0).values, told.losses)


def test_large_genomes_are_kept_as_small_pictures():
    probe = SMALL.probe("direct", (3, 80, 40))
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    classifier = Classifier(net.eval(), labels=list("abcd"))
    search = probe.search(classifier, classes(classifier))
    witness = Chronicle((0, 4), (0, 4))
    notes, steps = witness.begin(search), []
    for step in search.walk():
        steps.append(step)
        notes = witness.see(search, step, notes)
    told = Told.of([(list(range(4)), witness.close(search, steps[-1].state, notes))], 4)
    assert told.marks == (0, 4, 12)
    for mark, held in zip(told.marks, told.holders.tolist(), strict=True):
        pictures = (steps[mark].state["best"]["p"] * 255).round()
        for cell, number in enumerate(held):
            assert told.pool[number].shape == (3, 64, 32) and told.pool[number].dtype == torch.uint8
            assert abs(float(told.pool[number].float().mean() - pictures[cell].mean())) < 1
    line = told.line(int(told.holders[-1, 0]))
    assert line and told.first[line[-1]][2] == -1  # who descends from whom is known all the same


def test_whom_a_climber_set_out_from_is_kept_though_it_holds_no_cell(monkeypatch):
    monkeypatch.setattr(chronicle, "_SLACK", 0)  # others are looked for at once
    search = SMALL.probe("direct", SHAPE).search(linear(), classes(linear()).rows(torch.arange(2)))
    history = [  # individuals that were asked for, their captures, and where the climber of cell 0 comes from
        (2, [0, 1], [[0, 0, 0, -1, -1], [0, 1, 1, -1, -1]], 1),
        *((1, [-1, 0], [[turn, 1, turn + 1, 0, -1]], 1) for turn in (1, 2, 3)),  # number 1 has no cell any more
        (1, [0, -1], [[4, 0, 5, 1, -1]], 5),
    ]
    witness, captures, born = Chronicle((), ()), [], 0
    notes, p = witness.begin(search), torch.zeros(2, *SHAPE)
    for turn, (n, won, taken, origin) in enumerate(history):
        captures += taken
        genomes = torch.arange(born, born + n).float()[:, None, None, None].expand(n, *SHAPE)
        optimizer = {"captures": torch.tensor(captures), "count": len(captures)}
        optimizer["climbers"] = {"origin": torch.tensor([origin])}
        state = {"optimizer": optimizer, "best": {"p": p, "loss": torch.zeros(2)}}
        none, rows = torch.zeros(n, 2), torch.tensor(won)
        step = Step(turn, state, Query(genomes, ALL, "loss"), Answer(none > 0, none[:, 0], none, won=rows), rows)
        notes = witness.see(search, step, notes)
        born += n
    told = Told.of([([0, 1], witness.close(search, state, notes))], 2)
    assert told.line(5) == [5, 1]
    assert {k: int(genome.mean()) for k, genome in told.pool.items()} == {k: k for k in (0, 1, 4, 5)}


def test_small_pictures_are_means_over_areas():
    images = torch.zeros(2, 1, 8, 4, dtype=torch.uint8)
    images[:, :, :2, :2] = 200
    small = shrunk(images, 4)
    assert small.shape == (2, 1, 4, 2) and small[0, 0, 0].tolist() == [200, 0]
    assert shrunk(images, 8) is images


@pytest.mark.parametrize("turns", [1, 9, 20, 30])
def test_a_stop_anywhere_changes_nothing(run, tmp_path, turns):
    turn = count(1)
    with pytest.raises(Interrupted):
        EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).run(tmp_path, stop=lambda: next(turn) >= turns)
    again = EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).run(tmp_path)
    for part, whole in zip(again.parts, run[0].parts, strict=True):
        one, two = (run_digest(Store(place / "studies" / part.encoding)) for place in (tmp_path, run[1]))
        assert one == two
        assert torch.equal(part.told.holders, whole.told.holders)


def test_it_is_read_without_a_search(run):
    found, out = run
    again = EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).read(out)
    assert torch.equal(again.parts[1].nats, found.parts[1].nats)
    studies, whole = EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).studies(out)
    assert [study.folder.name for study in studies] == list(ENCODINGS[:3]) and whole
    with pytest.raises(DataError, match="run-other"):
        EvolutionExperiment(linear(), None, replace(SMALL, children=21), shape=SHAPE).read(out)


def test_half_a_run_is_told_as_such(tmp_path):
    with pytest.raises(DataError, match="run-missing"):
        EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).read(tmp_path)
    turn = count(1)
    with pytest.raises(Interrupted):
        EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).run(tmp_path, stop=lambda: next(turn) >= 15)
    studies, whole = EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).studies(tmp_path)
    assert len(studies) == 2 and not whole


def test_without_gradients_the_gradient_is_left_out_and_the_rest_is_the_same(run, tmp_path):
    blind = linear("loss")
    found = EvolutionExperiment(blind, None, SMALL, shape=SHAPE).run(tmp_path)
    assert list(found.left_out) == ["gradient"] and "no gradients" in found.left_out["gradient"]
    for part, seeing in zip(found.parts, run[0].parts, strict=False):
        assert torch.equal(part.nats, seeing.nats) and torch.equal(part.told.holders, seeing.told.holders)
    with pytest.raises(ContractError, match="contract-ladder"):
        EvolutionExperiment(blind, None, Evolution(("ascent", "gradient")), shape=SHAPE).run(tmp_path / "two")


def test_some_classes_are_those_of_the_whole(run, tmp_path):
    asked = replace(SMALL, encodings=("gradient", "cppn"), classes=("e", 1))
    found = EvolutionExperiment(linear(), None, asked, shape=SHAPE).run(tmp_path)
    assert (found.classes, found.names) == ((4, 1), ("e", "b"))
    # Gray images that follow the gradient know nothing of each other.
    assert torch.allclose(found.parts[0].nats, run[0].parts[2].nats[[4, 1]], atol=1e-5)
    for part in found.parts:
        images = torch.stack([torch.from_numpy(from_disk(tmp_path / path)) for path in part.paths])
        sure = (10 * WORLD.logits(images.float())).double().log_softmax(1)[[0, 1], [4, 1]]
        assert torch.allclose(-part.nats.double(), sure, atol=1e-4)
    for wrong in (("z",), (6,), ("a", 0)):
        with pytest.raises(UsageError, match="class-"):
            EvolutionExperiment(linear(), None, replace(asked, classes=wrong), shape=SHAPE).run(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_progress_is_of_the_whole_run(tmp_path):
    told = []
    EvolutionExperiment(linear(), None, SMALL, shape=SHAPE).run(tmp_path, progress=lambda *said: told.append(said))
    searched = [(done, total) for what, done, total in told if what.startswith("Fooling 6 classes")]
    whole = 2 * 20 * (12 + 1) + 3 * 6 * 12  # two that evolve; a gradient is three
    assert {total for _, total in searched} == {whole}
    assert [done for done, _ in searched] == sorted(done for done, _ in searched)
    assert searched[0][0] == 0 and searched[-1][0] == whole
    assert len({done for done, _ in searched}) > 30  # a turn at a time, and not a class at a time


def test_gradients_help_pixels_that_evolve(run, tmp_path):
    found = EvolutionExperiment(
        linear(), None, replace(SMALL, encodings=("direct-gradient", "ascent")), shape=SHAPE
    ).run(tmp_path)
    climbed, ascended = found.parts
    assert float(climbed.nats.mean()) < float(run[0].parts[0].nats.mean())  # as many generations of pixels alone
    assert climbed.told.first and not ascended.told.first  # climbers have ancestors
    assert ascended.told.evaluations[-1] == 6 * (3 * 12 + 1)
    gray = torch.stack([torch.from_numpy(from_disk(tmp_path / path)) for path in ascended.paths]) - 0.5
    steps = found.parts[1].probe.run(linear(), classes(linear()))
    assert torch.allclose(gray, (steps.images - 0.5).to(gray.dtype), atol=1e-6)


def test_graphs_draw_in_the_colors_that_are_asked_for():
    spaces = [Evolution(("cppn",), color=color).probe("cppn", (3, 8, 8)).space for color in ("hls", "rgb")]
    assert [space.color for space in spaces] == ["hls", "rgb"]


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"encodings": ("direct-gradient",), "preset": "paper-2015"}, "fooling-encodings"),
        ({"encodings": ()}, "fooling-encodings"),
        ({"encodings": ("cppn", "cppn")}, "fooling-encodings"),
        ({"encodings": ("cpn",)}, "fooling-encodings"),
        ({"generations": 0}, "fooling-counts"),
        ({"children": 0}, "fooling-counts"),
        ({"steps": -1}, "fooling-counts"),
        ({"confidence": 1.0}, "confidence-range"),
    ],
)
def test_what_asks_for_nothing_is_refused(change, slug):
    with pytest.raises(UsageError, match=slug):
        Evolution(**change)


def test_classifiers_that_cannot_be_fooled_are_refused_before_anything_is_written(tmp_path):
    def answers(values):
        return Classifier(lambda x: torch.full((len(x), len(values)), 1.0) * torch.tensor(values), gives="loss")

    out = tmp_path / "run"
    with pytest.raises(ModelError, match="model-not-finite"):
        EvolutionExperiment(answers([torch.nan, torch.nan]), None, SMALL, shape=SHAPE).run(out)
    named = Classifier(lambda x: torch.zeros(len(x), dtype=torch.int64), gives="met", labels=["a", "b"])
    with pytest.raises(ContractError, match="contract-ladder"):
        EvolutionExperiment(named, None, SMALL, shape=SHAPE).run(out)
    assert not out.exists()
