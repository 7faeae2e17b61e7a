"""Tables say what was known and what came of it, one row a sample, and no cell is a formula."""

import csv
from dataclasses import replace

import pytest
import torch

from amiss.classifier import Classifier
from amiss.constraints import L2, Quantized
from amiss.data import Images
from amiss.errors import Interrupted
from amiss.objectives import Says
from amiss.optimizers import Momentum
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.study import Inputs
from amiss.study.store import LEDGER
from amiss.study.tables import write_results
from amiss.testing import LinearWorld
from tests.probes import worlds
from tests.study.studies import entries, on_file, study, world


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_inputs_say_what_is_known_and_what_was_answered(tmp_path):
    made = study(tmp_path)
    made.run()
    rows = table(tmp_path / "inputs.csv")
    task = on_file(world().task)
    logits = world().logits(task.image)
    high = logits.topk(2).values
    assert [int(row["sample"]) for row in rows] == [0, 1, 2, 3]
    assert [row["id"] for row in rows] == list(made.inputs.ids)
    assert [row["name"] for row in rows] == ["00000", "00001", "00002", "00003"]
    assert [int(row["label"]) for row in rows] == task.label.tolist()
    assert [int(row["target"]) for row in rows] == task.target.tolist()
    assert [int(row["prediction"]) for row in rows] == logits.argmax(1).tolist()
    margins = torch.tensor([float(row["margin"]) for row in rows], dtype=torch.float64)
    assert torch.allclose(margins, high[:, 0] - high[:, 1])


def test_inputs_are_written_once(tmp_path):
    made = study(tmp_path)
    made.run()
    before = made.classifier.counts.queries
    (tmp_path / "inputs.csv").write_text("mine")
    made.run()
    assert (tmp_path / "inputs.csv").read_text() == "mine"
    assert made.classifier.counts.queries == before


def test_results_say_how_each_ended(tmp_path):
    made = study(tmp_path)
    made.run()
    rows = table(tmp_path / "results.csv")
    assert [row["status"] for row in rows] == [entries(made)[i].outcome.status for i in range(4)]
    assert {row["status"] for row in rows} == {"met", "exhausted"}
    for row, (i, entry) in zip(rows, sorted(entries(made).items()), strict=True):
        assert int(row["sample"]) == i
        assert float(row["size"]) == entry.outcome.size
        assert float(row["l2"]) == entry.l2 > 0
        assert (tmp_path / row["image"]).is_file()
        assert (row["votes"], row["asked"]) == (("1", "1") if row["status"] == "met" else ("0", "0"))


def test_the_unfinished_and_the_unreadable_have_rows_of_their_own(tmp_path):
    inputs = replace(Inputs.of_task(on_file(world().task)), unreadable=(("a.png", "cut short"),))
    made = study(tmp_path, inputs=inputs)
    with pytest.raises(Interrupted):
        made.run(stop=lambda left=iter(range(9)): next(left, None) is None)
    assert len(entries(made)) == 2
    assert not (tmp_path / "results.csv").exists()
    rows = table(write_results(made.store, inputs, entries(made)))
    assert [row["status"] for row in rows][2:] == ["interrupted", "interrupted", "unreadable"]
    assert [row["reason"] for row in rows][2:] == ["Not finished yet.", "Not finished yet.", "cut short"]
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "\t=x", "a\udcff.png", 'x,"y"\n'])
def test_no_cell_is_a_formula(tmp_path, name):
    pixels = (world(1).task.image * 255).round().to(torch.uint8)
    images = Images.of(pixels, [0], names=[name], unreadable=[(name, name)])
    made = study(tmp_path, inputs=Inputs.of_images(images, target=torch.tensor([1])))
    made = replace(made, classifier=Classifier(made.classifier.network.float()))
    made.run()
    for file in ("inputs.csv", "results.csv"):
        for row in table(tmp_path / file):
            assert not row["name"].startswith(("=", "+", "-", "@", "\t"))
            assert row["name"].strip("'")


def test_a_task_without_images_has_no_answers(tmp_path):
    study(tmp_path, "elites").run()
    assert list(table(tmp_path / "inputs.csv")[0]) == ["sample", "id", "name", "target"]


def test_whoever_gives_no_logits_has_no_answers(tmp_path):
    world = LinearWorld(n=2, side=4, classes=6)
    wanted = Probe(Pixels(), Says("owl dog"), L2() & Quantized(), Momentum(0.05, 0.0, "l2"), budget=Budget(1))
    asked = worlds.Captioner(world.weight.view(2, 3, -1))
    study(tmp_path, probe=wanted, classifier=asked, inputs=Inputs.of_task(on_file(world.task))).run()
    assert list(table(tmp_path / "inputs.csv")[0]) == ["sample", "id", "name", "label", "target"]
    assert (tmp_path / LEDGER).is_file()
