"""The page of a defense: its table against the rows, its pictures against the champions, and what it cannot say."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.audit.defense_pages import defense_record
from amiss.audit.rubbish_pages import rubbish_section
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import Archive, Hardened
from amiss.defend.telling import figures_of, sentence_of
from amiss.models import LeNet
from amiss.report import build
from tests.audit.conftest import strict

NAMES = ["left", "</script><b>right"]
ABOUT = {"recipe": "rubbish-class", "model": "m", "data": "d", "seed": 3, "command": "amiss defend m d"}


def row(k, spent, every=None):
    """A network that was fooled after so many of 500 evaluations, or never."""
    row = {
        "round": float(k),
        "rubbish": 10.0 * k,
        "accuracy": 0.9 - k / 10,
        "confidence": 0.8,
        "called_rubbish": k / 20,
    }
    for name in ("", "_first", "_newest", "_long", "_other", "_gradient"):
        row |= {f"recall{name}": None if k == 0 else 0.5, f"recall{name}_of": 0.0 if k == 0 else 8.0}
    row["recall_called"] = 0.0 if k == 0 else 9.0
    row |= {"champion": 0.97, "fooled": 0.25, "evaluations_median": spent, "evaluations_all": every, "budget": 500.0}
    return row


def archive(k):
    """Two champions, gray squares of levels that tell network and class."""
    images = torch.tensor([20 * k + 1, 20 * k + 2], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 8, 8)
    sure = torch.tensor([0.995, 0.5], dtype=torch.float64)
    none = torch.zeros(0, dtype=torch.float64)
    return Archive(images, torch.arange(2), sure, sure > 0.9, none, none, none)


@pytest.fixture
def made(tmp_path):
    images = Images.of(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 2, NAMES)
    given, hard = (Classifier(LeNet(size=8, classes=n), labels=[*NAMES, "rubbish"][:n]) for n in (2, 3))
    rows = (row(0, 100.0, 300.0), row(1, None), row(2, 250.0))
    done = Hardened(hard, rows, sentence_of(rows, 0.99), figures_of(rows), tuple(map(archive, range(3))))
    told = {"flags": [], "about": ABOUT, "settings": "RubbishClass(rounds=2)"}
    section = rubbish_section(done, 0.99, tmp_path)
    return done, strict(json.dumps(defense_record(done, section, given, images, images, **told))), tmp_path


def test_the_table_says_what_the_rows_say_and_what_was_never_reached(made):
    done, record, _ = made
    defense = record["defense"]
    assert record["sentence"] == defense["sentence"] == done.sentence and record["figures"] == done.figures
    table = [dict(zip(defense["head"], cells, strict=True)) for cells in defense["rows"]]
    assert [one["Round"] for one in table] == [0, 1, 2]
    assert [one["Accuracy"] for one in table] == ["90.0 %", "80.0 %", "70.0 %"]
    assert [one["Evaluations, median class"] for one in table] == ["100", "more than 500", "250"]
    assert [one["Evaluations, all classes"] for one in table] == ["300", "more than 500", "more than 500"]
    curve = [(point["median"], point["median_held"], point["all"], point["all_held"]) for point in defense["curve"]]
    assert curve == [(100, False, 300, False), (500, True, 500, True), (250, False, 500, True)]
    # Before the first round there is no network before, and so no recall.
    assert [cells[0] for cells in defense["recall"]["rows"]] == [1, 2]
    assert [cells[1:7] for cells in defense["recall"]["rows"]] == [["50.0 % of 8 (22 to 78)"] * 6] * 2
    assert [cells[7] for cells in defense["recall"]["rows"]] == ["5.0 %", "10.0 %"]
    tiles = {tile["label"]: tile["value"] for tile in record["tiles"]}
    assert tiles["Cost of nonsense"] == "2.5x" and tiles["Accuracy"] == "70.0 %"


def test_the_pictures_are_the_champions_and_the_page_takes_hostile_names(made):
    done, record, out = made
    for k, one in enumerate(record["defense"]["networks"]):
        assert [entry["class"] for entry in one["champions"]] == NAMES
        for c, entry in enumerate(one["champions"]):
            assert entry["confidence"] == done.champions[k].confidence[c]
            with Image.open(out / entry["image"]) as image:
                assert np.asarray(image).tolist() == np.full((8, 8), 20 * k + c + 1).tolist()
    html = build(record, out).read_text(encoding="utf-8")
    assert html.count("data:image/png") == 6 and "<b>right" not in html


def test_a_cost_that_nobody_knows_is_told_as_such(made, tmp_path):
    done, _, _ = made
    images = Images.of(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 2, NAMES)
    told = {"flags": [], "about": ABOUT, "settings": ""}

    def tile(*rows):
        found = Hardened(done.classifier, rows, "", figures_of(rows), done.champions[: len(rows)])
        section = rubbish_section(found, 0.99, tmp_path)
        return defense_record(found, section, done.classifier, images, images, **told)["tiles"][0]["value"]

    assert tile(row(0, None), row(1, None)) == "unknown"
    assert tile(row(0, 100.0), row(1, None)) == "more than 5x"
