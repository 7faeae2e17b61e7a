"""`amiss compare` of defenses: the table is that of their folders, and what was attacked otherwise is refused."""

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.audit.conftest import strict

NETS = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))
"""
ATTACKS = ("--images", 12, "--few", 2, "--many", 4, "--restarts", 2, "--no-worst")


def defend(amiss, name, out, *more, eps=0.2):
    words = ("--with", name, "--out", out, *ATTACKS, "--eps", eps, "--epochs", 4, "--rate", 0.02, "-q", *more)
    said = amiss("defend", "nets.py:build", "squares.npz", *words)
    assert said.code == 0, said.err


def table(folder):
    return list(csv.DictReader(Path(folder, "rounds.csv").read_text().splitlines()))


@pytest.fixture
def pair(amiss):
    """Two defenses of one network within one radius, in trained/ and augmented/."""
    rng, arrays = np.random.default_rng(0), {}
    for split, n in (("train", 64), ("test", 20)):
        y = np.arange(n) % 2
        x = rng.integers(0, 60, (n, 8, 8), dtype=np.uint8)
        for i, side in enumerate(y):
            x[i, 2:6, 4 * side : 4 * side + 3] += 180
        arrays |= {f"x_{split}": x, f"y_{split}": y}
    np.savez("squares.npz", **arrays)
    Path("nets.py").write_text(NETS)
    defend(amiss, "adversarial-training", "trained", "--steps", 2)
    defend(amiss, "augmentation", "augmented", "--steps", 2, eps="1/5")  # the same radius
    return amiss


def test_the_table_is_that_of_the_folders_and_no_model_is_loaded(pair):
    Path("nets.py").unlink()
    before = {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()}
    said = pair("compare", "trained", "augmented", "--json")
    assert said.code == 0, said.err
    told = strict(said.out)
    for place, folder in (("first", "trained"), ("second", "augmented")):
        given, last = table(folder)
        for name in ("accuracy", "robust_few", "robust_many", "images", "cpu_minutes"):
            assert told["figures"][f"{place}.{name}"] == pytest.approx(float(last[name]), rel=1e-5), name
        lowest = [min(float(one["robust_few"]), float(one["robust_many"])) for one in (given, last)]
        assert told["figures"][f"{place}.robust"] == pytest.approx(lowest[1], abs=1e-5)
        assert told["figures"][f"{place}.robust_gain"] == pytest.approx(lowest[1] - lowest[0], abs=1e-5)
    assert {path: path.read_bytes() for path in Path(".").rglob("*") if path.is_file()} == before
    lines = pair("compare", "trained", "augmented").out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["Network", "nets.py:build", "trained", "augmented"]
    assert lines[0] == told["sentence"]


def test_the_settings_are_kept_and_those_that_differ_are_told(pair):
    config = tomllib.loads(Path("trained/config.toml").read_text())
    assert config["recipe"] == "adversarial-training" and config["settings"]["clean"] == 1.0  # as the defense has it
    assert str(Path.cwd()) not in Path("trained/config.toml").read_text()
    command = json.loads(Path("augmented/run.json").read_text())["command"]
    assert "--no-worst" in command and "--eps 1/5" in command and "False" not in command
    defend_words = ("defend", "nets.py:build", "squares.npz", "--with", "augmentation", "--out", "two")
    pair(*defend_words, "--eps", "0.1,0.2").refused("usage-numbers", "'0.1,0.2'", code=2)
    defend(pair, "augmentation", "longer", "--steps", 2, "--shift", 1)
    assert strict(pair("compare", "augmented", "longer", "--json").out)["differing"] == {"shift": [0, 1]}
    assert "shift: 0, 1" in pair("compare", "augmented", "longer").out.splitlines()
    pair("run", "trained").refused("run-audit", "amiss defend nets.py:build", code=2)


def test_a_page_and_gates(pair):
    said = pair(*("compare", "trained", "augmented", "--page", "pages/table.html", "--junit", "ci.xml"))
    page = Path("pages/table.html").read_text(encoding="utf-8")
    assert (
        "Page: pages/table.html" in said.out and "Of 2 defenses" in page and "amiss compare trained augmented" in page
    )
    words = ("--require", "second.accuracy>=0", "--require", "first.robust>1")
    said = pair("compare", "trained", "augmented", *words)
    assert said.code == 3 and "not met  first.robust>1" in said.out
    pair("compare", "trained", "augmented", "--require", "third.robust>=0").refused("gate-unknown", code=2)
    (gate,) = strict(pair("compare", "trained", "augmented", "--require", "first.robust_worst>0", "--json").out)[
        "gates"
    ]
    assert (gate["met"], gate["why"]) == (False, "not measured: the defenses were run with --no-worst")
    Path("file").write_text("")
    pair("compare", "trained", "augmented", "--page", "file/table.html").refused("out-not-writable")


def test_what_cannot_stand_in_one_table_is_refused(pair):
    defend(pair, "augmentation", "wider", "--steps", 2, eps=0.25)
    pair("compare", "trained", "augmented", "wider").refused("compare-attacks", "eps 0.2 and 0.25", code=2)
    pair("compare", "trained").refused("compare-count", "trained (a defense)", code=2)
    pair("compare", *["trained"] * 10).refused("compare-count", code=2)
    attack = ("--eps", 0.1, "--steps", 2, "--quiet", "--split", "test", "--out", "attacked")
    assert pair("run", "pgd", "nets.py:build", "squares.npz", *attack).code == 0
    pair("compare", "trained", "attacked").refused("compare-kinds", "attacked is a run of one recipe", code=2)
    pair("compare", "attacked", "attacked", "--page", "x.html").refused("compare-count", "--page", code=2)
    nonsense = ("--champions", 4, "--held-out", 2, "--learned-generations", 1, "--generations", 2, "--children", 6)
    words = ("--with", "rubbish-class", "--rounds", 1, *nonsense, "--out", "rubbish", "-q")
    assert pair("defend", "nets.py:build", "squares.npz", *words).code == 0
    pair("compare", "trained", "rubbish").refused("compare-kinds", "rubbish-class", code=2)


def test_what_is_unfinished_or_damaged_is_refused(pair):
    config = Path("trained/config.toml").read_text()
    Path("trained/config.toml").unlink()
    pair("compare", "trained", "augmented").refused("defend-unfinished", "no config.toml")
    Path("trained/config.toml").write_text(config.replace("eps = 0.2", 'eps = "wide"'))
    pair("compare", "trained", "augmented").refused("run-damaged", "eps = 'wide'")
    Path("trained/config.toml").write_text(config)
    record = json.loads(Path("trained/rounds.json").read_text())
    Path("trained/rounds.json").write_text(json.dumps({"rows": record["rows"][:1]}))
    pair("compare", "trained", "augmented").refused("defend-unfinished")
    for row in record["rows"]:
        row["accuracy"] = None
    Path("trained/rounds.json").write_text(json.dumps(record))
    pair("compare", "trained", "augmented").refused("run-damaged", "rows without their figures")
