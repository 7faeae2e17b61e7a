"""`amiss defend`: what it leaves behind, that it goes on, and what it refuses."""

import csv
import html
import json
from pathlib import Path

import numpy as np
import pytest

from amiss.defend import read_detector
from tests.cli.conftest import draw

SETTINGS = {"champions": 4, "held-out": 2, "learned-generations": 2, "generations": 3, "children": 10, "epochs": 2}
QUICK = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]

DENSE = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def grown():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
"""


@pytest.fixture
def squares():
    """Bright squares on the left or on the right: 64 to learn from, 20 to test."""
    rng, arrays = np.random.default_rng(0), {}
    for split, n in (("train", 64), ("test", 20)):
        y = np.arange(n) % 2
        x = rng.integers(0, 60, (n, 8, 8), dtype=np.uint8)
        for i, side in enumerate(y):
            x[i, 2:6, 4 * side : 4 * side + 3] += 180
        arrays |= {f"x_{split}": x, f"y_{split}": y}
    np.savez("squares.npz", **arrays)
    return "squares.npz"


def defend(amiss, model, data, *more, out="run"):
    return amiss("defend", model, data, "--with", "rubbish-class", "--out", out, *QUICK, *more)


def test_a_checkpoint_is_hardened_told_and_shown(amiss, squares):
    assert amiss("train", "classifier", squares, "--epochs", "10", "--out", "base", "-q").code == 0
    said = defend(amiss, "base/model.safetensors", squares, "--rounds", "1", "--quiet")
    assert said.code == 0, said.err
    assert "After 1 round" in said.out and "run/model.safetensors" in said.out
    rows = list(csv.DictReader(Path("run/rounds.csv").read_text().splitlines()))
    assert [row["round"] for row in rows] == ["0", "1"]
    record = json.loads(Path("run/rounds.json").read_text())
    assert record["sentence"] in said.out and record["model"] == "model.safetensors"
    assert Path("run/rounds.svg").read_text().startswith("<svg")
    assert str(Path.cwd()) not in Path("run/run.json").read_text()
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Report: run/report.html" in said.out and f"<h1>{html.escape(record['sentence'])}</h1>" in page
    assert "Report: run/report.html" in amiss("show", "run").out
    assert sorted(path.name for path in Path("run/champions").iterdir()) == [
        f"{k:02d}-000{c}.png" for k in (0, 1) for c in (0, 1)
    ]
    checked = amiss("check", "run/model.safetensors", squares)
    assert checked.code == 0 and f"{float(rows[1]['accuracy']):.1%}" in checked.out

    shown = amiss("show", "run")
    assert shown.code == 0
    assert record["sentence"] in shown.out and "rubbish-class on model.safetensors, squares.npz" in shown.out
    assert "Not finished" not in shown.out
    told = json.loads(amiss("show", "run", "--json").out)
    assert told["kind"] == "defense" and told["finished"] and told["figures"] == record["figures"]

    more = defend(amiss, "base/model.safetensors", squares, "--rounds", "2", "--json")
    assert more.code == 0, more.err
    assert len(json.loads(more.out)["rows"]) == 3
    assert json.loads(more.out)["rows"][:2] == record["rows"]

    defend(amiss, "base/model.safetensors", squares, "--seed", "1").refused("run-other", "seed=1")
    defend(amiss, "run/model.safetensors", squares, out="twice").refused("defend-twice", "--rounds")


def test_an_unfinished_run_says_how_it_goes_on(amiss, squares):
    Path("nets.py").write_text(DENSE)
    assert defend(amiss, "nets.py:build", squares, "--rounds", "1", "-q").code == 0
    record = json.loads(Path("run/rounds.json").read_text())
    Path("run/rounds.json").write_text(json.dumps({"rows": record["rows"][:1]}))
    said = amiss("show", "run")
    assert said.code == 0 and "goes on by: amiss defend nets.py:build squares.npz" in said.out
    assert said.out.rstrip().endswith("--out run")


def test_a_network_of_ones_own_leaves_weights_that_fit_one_output_more(amiss, squares):
    Path("nets.py").write_text(DENSE)
    said = defend(amiss, "nets.py:build", squares, "--rounds", "1", "--layers", "1")
    assert said.code == 0, said.err
    assert "3 outputs: --weights run/weights.safetensors" in said.out
    assert "Round 1: retraining" in said.err
    assert amiss("check", "nets.py:grown", squares, "--weights", "run/weights.safetensors").code == 0


def test_a_fifth_is_held_out_where_there_is_one_split(amiss):
    draw(Path("eights"), each=10)
    Path("nets.py").write_text(DENSE)
    said = defend(amiss, "nets.py:build", "eights", "--rounds", "1", "--json")
    assert said.code == 0, said.err
    fingerprints = json.loads(Path("run/run.json").read_text())["fingerprints"]
    assert fingerprints["train"] != fingerprints["test"]
    accuracies = [row["accuracy"] for row in json.loads(said.out)["rows"]]
    assert all((4 * share).is_integer() for share in accuracies)  # 4 of 20 images

    draw(Path("two"), each=1)
    defend(amiss, "nets.py:build", "two", out="few").refused("defend-images", "2 images")


def test_what_cannot_be_hardened_is_refused_before_anything_is_written(amiss, squares):
    Path("nets.py").write_text(DENSE + "\n\ndef function():\n    return lambda x: x.flatten(1)[:, :2]\n")
    amiss("defend", "nets.py:build", squares, "--with", "magic", "--out", "run").refused(
        "defend-unknown", "rubbish-class", code=2
    )
    defend(amiss, "nets.py:build", squares, "--rounds", "0").refused("defend-options", "rounds=0", code=2)
    defend(amiss, "nets.py:build", squares, "--rate", "inf").refused("defend-options", "rate=inf", code=2)
    defend(amiss, "nets.py:build", squares, "--layers", "1,head").refused("defend-layers", "'head'", code=2)
    defend(amiss, "nets.py:build", squares, "--shift", "5").refused("defend-shift", "8 x 8", "0 to 4", code=2)
    defend(amiss, "nets.py:function", squares).refused("defend-model", "ONNX")
    Path("flat").mkdir()
    (Path("photos") / "dark" / "10.png").rename("flat/a.png")
    defend(amiss, "nets.py:build", "flat").refused("data-unlabeled")
    assert not Path("run").exists()
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    defend(amiss, "nets.py:build", squares, out="mine").refused("out-not-empty")


LINE = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))
"""
SHORT = ("--images", 12, "--few", 2, "--many", 4, "--restarts", 2, "--eps", 0.2, "--no-worst")


@pytest.mark.parametrize("name", ["adversarial-training", "logit-pairing", "augmentation"])
def test_a_network_is_trained_on_and_told_under_attack(amiss, squares, name):
    Path("nets.py").write_text(LINE)
    words = ("--with", name, "--out", "run", "--epochs", 2, "--steps", 2, "--seed", 1, *SHORT)
    said = amiss("defend", "nets.py:build", squares, *words)
    assert said.code == 0, said.err
    record = json.loads(Path("run/rounds.json").read_text())
    assert record["sentence"] in said.out and "Training" in said.err
    rows = list(csv.DictReader(Path("run/rounds.csv").read_text().splitlines()))
    assert [row["round"] for row in rows] == ["0", "1"] and rows[1]["images"] == "12"
    assert float(rows[1]["robust_many"]) == pytest.approx(record["figures"]["robust_many"], abs=1e-6)
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert html.escape(record["sentence"]) in page and "Before and after" in page
    assert not Path("run/rounds.svg").exists()
    assert amiss("check", "nets.py:build", squares, "--weights", "run/weights.safetensors").code == 0
    assert amiss("defend", "nets.py:build", squares, *words, "--json").code == 0  # all of it is there
    told = json.loads(amiss("show", "run", "--json").out)
    assert told["finished"] and told["figures"] == record["figures"]


def test_a_detector_is_left_beside_the_network(amiss, squares):
    Path("nets.py").write_text(LINE)
    more = ("--eps", 0.9, "--steps", 10, "--learned", 32)
    trained = ("--with", "adversarial-training", "--out", "first", "--epochs", 20, "--rate", 0.02, "--eps", 0.01)
    assert amiss("defend", "nets.py:build", squares, *trained, "--images", 4, "--no-worst", "-q").code == 0
    words = ("--weights", "first/weights.safetensors", "--with", "safetynet", "--out", "run", *SHORT, *more)
    said = amiss("defend", "nets.py:build", squares, *words)
    assert said.code == 0, said.err
    assert "Detector: run/detector.safetensors" in said.out and "Area under the curve" in said.out
    assert read_detector(Path("run/detector.safetensors")).layer == "1"
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Linear detector" in page and "Type II" in page


def test_options_of_another_defense_are_refused(amiss, squares):
    Path("nets.py").write_text(LINE)
    words = ("defend", "nets.py:build", squares, "--out", "run", "--with")
    amiss(*words, "augmentation", "--rounds", "2").refused("defend-option", "--rounds", "--eps", code=2)
    amiss(*words, "rubbish-class", "--eps", "0.1").refused("defend-option", "--eps", "--rounds", code=2)
    amiss(*words, "logit-pairing", "--eps", "8").refused("defend-options", "eps=8.0", code=2)
    amiss(*words, "logit-pairing", "--form", "other").refused("defend-options", "form='other'", code=2)
    assert not Path("run").exists()
