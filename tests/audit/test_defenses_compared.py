"""Defenses in one table: who is named the best, what chance leaves open, and what cannot stand beside each other."""

import json
from dataclasses import replace

import pytest

from amiss.audit.defenses_compared import (
    ATTACKED,
    Contender,
    comparison_record,
    comparison_rows,
    comparison_sentence,
    refuse_other_attacks,
)
from amiss.errors import UsageError
from amiss.report import build
from tests.audit.conftest import strict

ALIKE = {"eps": 0.3, "images": 100, "few": 5, "many": 50, "restarts": 2, "worst": True, "seed": 1}
HOSTILE = "</script><b>trained"


def row(k, few, many, worst):
    shares = {"robust_few": few, "robust_many": many, "robust_worst": worst, "images": 100.0}
    return {"round": float(k), "accuracy": 0.9 + 0.05 * k, **shares, "cpu_minutes": 2.0 * k}


def contender(name, few, many, worst, defense="adversarial-training", model="a" * 64):
    rows = (row(0, 0.2, 0.1, 0.0), row(1, few, many, worst))
    return Contender(
        name, defense, "net", "digits", {"model": model, "test": "b" * 64}, {**ALIKE, "rate": 1e-3}, rows
    )


TRAINED = contender(HOSTILE, 0.9, 0.85, 0.8)
PAIRED = contender("paired", 0.99, 0.9, 0.3, "logit-pairing")


def test_the_best_is_who_leaves_most_under_its_own_worst_attack():
    said = comparison_sentence([PAIRED, TRAINED])  # pairing looks better under few steps and many
    assert f"Of 2 defenses {HOSTILE} (adversarial-training) leaves most" in said
    assert "80.0 % (71 to 87) stay right" in said and "0.0 % before" in said and "95.0 %, 90.0 % before" in said
    assert "apart" not in said  # the intervals of 80 and 30 of 100 are far from each other
    close = contender("close", 0.9, 0.85, 0.75)
    assert comparison_sentence([close, TRAINED]).endswith("These images do not tell it apart from close.")


def test_a_network_stands_once_as_it_was_given():
    other = contender("other", 0.9, 0.9, 0.9, model="c" * 64)
    names = [(name, state) for name, state, _ in comparison_rows([TRAINED, PAIRED, other])]
    given = ("net", "as given")
    assert names == [given, (HOSTILE, TRAINED.defense), ("paired", "logit-pairing"), given, ("other", other.defense)]


@pytest.mark.parametrize("name", ATTACKED)
def test_another_attack_is_refused_and_named(name):
    value = not ALIKE[name] if name == "worst" else ALIKE[name] + 1
    with pytest.raises(UsageError) as caught:
        refuse_other_attacks([TRAINED, PAIRED, replace(PAIRED, settings={**PAIRED.settings, name: value})])
    assert caught.value.slug == "compare-attacks" and f"{name} {ALIKE[name]} and {value}" in caught.value.seen


def test_other_images_are_refused_and_other_training_is_not():
    refuse_other_attacks([TRAINED, replace(PAIRED, settings={**PAIRED.settings, "rate": 0.1})])
    with pytest.raises(UsageError) as caught:
        refuse_other_attacks([TRAINED, replace(PAIRED, prints={**PAIRED.prints, "test": "d" * 64})])
    assert "other test images" in caught.value.seen


def test_the_page_holds_the_table_and_takes_hostile_names(tmp_path):
    guarded = contender("guarded", 0.5, 0.4, None, "safetynet")
    record = strict(json.dumps(comparison_record([TRAINED, guarded], "amiss compare a b")))
    table = [dict(zip(record["defense"]["head"], cells, strict=True)) for cells in record["defense"]["rows"]]
    assert [one["Worst case"] for one in table] == ["0.0 %", "80.0 %", "\u2013"]
    assert [one["Accuracy"] for one in table] == ["90.0 %", "95.0 %", "95.0 %"]
    assert [one["Defense"] for one in table] == ["as given", "adversarial-training", "safetynet"]
    assert any("rejects counts as wrong" in text for text in record["defense"]["text"])
    assert {method["name"]: method["settings"] for method in record["methods"]} == {
        HOSTILE: TRAINED.settings,
        "guarded": guarded.settings,
    }
    assert HOSTILE not in build(record, tmp_path).read_text(encoding="utf-8")
