"""A defense in its folder: its rounds as a table, and what follows from them made anew without the model."""

import json
from pathlib import Path

import numpy as np
import pytest

SETTINGS = {"rounds": 1, "champions": 2, "held-out": 2, "learned-generations": 1, "generations": 2, "children": 6}
QUICK = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]

NET = """
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
"""


@pytest.fixture
def defended(amiss):
    """The folder of a finished defense of two classes, whose model is gone."""
    x, y = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8), np.arange(40) % 2
    np.savez("gray.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    Path("nets.py").write_text(NET)
    said = amiss("defend", "nets.py:build", "gray.npz", "--with", "rubbish-class", "--out", "run", *QUICK, "-q")
    assert said.code == 0, said.err
    Path("nets.py").unlink()
    Path("gray.npz").unlink()
    return Path("run")


def test_table_drawing_and_page_are_remade_and_the_table_is_printed(amiss, defended):
    names = ("rounds.csv", "rounds.svg", "report.html")
    whole = {name: (defended / name).read_bytes() for name in names}
    printed = amiss("show", "run", "--csv")
    assert printed.code == 0 and printed.out == whole["rounds.csv"].decode()
    assert len(printed.out.splitlines()) == 3  # the names, the network as it was given, and the last
    for name in names:
        (defended / name).unlink()
    said = amiss("show", "run", "--rebuild")
    assert said.code == 0, said.err
    assert "Report: run/report.html" in said.out
    assert {name: (defended / name).read_bytes() for name in names} == whole

    # What is not finished has the rounds so far, and no page.
    rows = json.loads((defended / "rounds.json").read_text())["rows"]
    (defended / "rounds.json").write_text(json.dumps({"rows": rows[:1]}))
    assert amiss("show", "run", "--csv").out.splitlines() == printed.out.splitlines()[:2]
    (defended / "page.json").unlink()
    amiss("show", "run", "--rebuild").refused("defend-unfinished", "no page.json")
    (defended / "rounds.json").unlink()
    amiss("show", "run", "--csv").refused("defend-unfinished", "no rounds.json")


def test_files_that_were_edited_are_refused_and_nothing_is_judged(amiss, defended):
    amiss("show", "run", "--verify").refused("run-settings-missing", "no successes")
    page = json.loads((defended / "page.json").read_text())
    for wrong in ([], {**page, "defense": 3}, {**page, "defense": {**page["defense"], "networks": [{}]}}):
        (defended / "page.json").write_text(json.dumps(wrong))
        amiss("show", "run", "--rebuild").refused("run-damaged", "page.json")
    outside = page["defense"]["networks"][0]["champions"][0]
    outside["image"] = "../secret.png"
    (defended / "page.json").write_text(json.dumps(page))
    amiss("show", "run", "--rebuild").refused("report-image-outside")
    for wrong in ("{", '{"rows": []}', '{"rows": [{"round": "0"}]}', '{"rows": [{"a": 1}, {"b": 1}]}', '{"rows": 1}'):
        (defended / "rounds.json").write_text(wrong)
        amiss("show", "run", "--csv").refused("run-damaged", "rounds.json")
