"""The page of a hardened network: its table against the rows, and both detectors where there is one."""

import json

import pytest
import torch

from amiss.audit.defense_pages import defense_record
from amiss.audit.hardening_pages import hardening_section
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import DEFENSES, CodeDetector, Hardened
from amiss.defend.outcome import before_and_after, gains
from amiss.models import LeNet
from amiss.report import build
from tests.audit.conftest import strict

NAMES = ["left", "</script><b>right"]
ROWS = (
    {"accuracy": 0.99, "robust_few": 0.1, "robust_many": 0.0, "robust_worst": None, "images": 50.0},
    {"accuracy": 0.97, "robust_few": 0.9, "robust_many": 0.86, "robust_worst": 0.84, "images": 50.0},
)


def recorded(name, **more):
    images = Images.of(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4) % 2, NAMES)
    classifier = Classifier(LeNet(size=8, classes=2), labels=NAMES)
    rows = tuple({"round": float(k), **row, "cpu_minutes": 3.0 * k} for k, row in enumerate(ROWS))
    figures = gains(rows) | more.pop("figures", {})
    done = Hardened(classifier, rows, before_and_after(rows, 0.3), figures, **more)
    about = {"recipe": name, "model": "m", "data": NAMES[1], "seed": 3, "command": "amiss defend m d"}
    section, more = hardening_section(done, name), {"flags": [], "about": about, "settings": "S"}
    return strict(json.dumps(defense_record(done, section, classifier, images, images, **more)))


@pytest.mark.parametrize("name", [name for name in DEFENSES if name != "rubbish-class"])
def test_every_defense_has_a_page_that_says_what_its_rows_say(name, tmp_path):
    record = recorded(name)
    table = [dict(zip(record["defense"]["head"], cells, strict=True)) for cells in record["defense"]["rows"]]
    assert [row["Network"] for row in table] == ["as given", "hardened"]
    assert [row["PGD, many steps"] for row in table] == ["0.0 %", "86.0 %"]
    assert [row["Worst case"] for row in table] == ["\u2013", "84.0 %"]
    # The lowest share of the row: Wilson's interval of 0 and of 42 of 50.
    assert [row["Lowest (95 % certainty)"] for row in table] == ["0.0 % (0 to 7)", "84.0 % (71 to 92)"]
    assert [row["CPU minutes"] for row in table] == ["0", "3"]
    tiles = {tile["label"]: (tile["value"], tile["note"]) for tile in record["tiles"]}
    assert tiles["Robust accuracy"] == ("84.0 %", "0.0 % before, the lowest of its row")
    assert record["methods"][0]["reference"] and record["defense"]["detectors"] is None
    page = build(record, tmp_path).read_text(encoding="utf-8")
    assert "</script><b>right" not in page


def test_both_detectors_stand_beside_each_other():
    told = {}
    for mark, area in (("", 0.95), ("linear_", 0.85)):
        told |= {f"{mark}natural_passed": 0.95, f"{mark}auc_minimal_l2": area, f"{mark}passed_minimal_l2": 0.2}
        told |= {f"{mark}type2_met": 1.0, f"{mark}type2_l2": 1.25}
    del told["linear_type2_l2"]  # it was never fooled
    record = recorded("safetynet", figures=told, detector=CodeDetector("fc1"))
    found = record["defense"]["detectors"]
    rows = [dict(zip(found["head"], cells, strict=True)) for cells in found["rows"]]
    assert [row["Detector"] for row in rows] == ["SafetyNet", "Linear detector"]
    assert [row["Area, smallest L2"] for row in rows] == ["0.950", "0.850"]
    assert [row["Type II, median L2"] for row in rows] == ["1.25", "\u2013"]
    assert record["defense"]["rows"][1][0] == "with the detector"
    assert any("rejects counts as wrong" in text for text in record["defense"]["text"])
