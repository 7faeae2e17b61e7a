"""The record of a study's page: what its figures, its cases and its words say."""

from dataclasses import replace

import pytest
import torch

from amiss.recipes import pgd
from amiss.report.of_study import shown_samples, study_record
from amiss.study import Inputs, Study
from amiss.testing import LinearWorld

ABOUT = {"recipe": "pgd", "model": "m", "data": "d", "created": "", "seed": 0, "command": "", "references": []}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three images that are named correctly, and attacked."""
    world = LinearWorld(n=3, dtype=torch.float32)
    right = replace(world.task, label=world.logits(world.task.image).argmax(1), target=None)
    inputs = Inputs.of_task(right, ["x", "y", "z"])
    probe = pgd(0.1)
    made = Study(tmp_path_factory.mktemp("study") / "run", probe, world.classifier(), inputs)
    made.run()
    return made


def recorded(study, **figures):
    held = study.read()
    tally = held.result.counts
    about = {**ABOUT, "fingerprints": study.fingerprints, "counts": tally, "flags": [], "claimed": 0, "held": 0}
    known = {"met": 249, "finished": 250, "success_rate": 0.996, "verified_from_disk": 0.999, **figures}
    return study_record(about, held, study.classifier, study.folder, figures=known, names=study.inputs.names)


def test_all_is_said_where_it_is_all(study):
    tiles = {tile["label"]: tile["value"] for tile in recorded(study)["tiles"]}
    assert (tiles["Met"], tiles["Claims that held"]) == ("over 99%", "over 99%")
    tiles = {tile["label"]: tile["value"] for tile in recorded(study, success_rate=1.0)["tiles"]}
    assert tiles["Met"] == "100%"
    tiles = {tile["label"]: tile["value"] for tile in recorded(study, success_rate=0.001)["tiles"]}
    assert tiles["Met"] == "under 1%"


def test_an_attack_is_not_called_a_repair(study):
    record = recorded(study)
    assert record["cases_word"] == "Result"
    assert [case["name"] for case in record["cases"]] == ["x", "y", "z"]
    entries = study.read().entries
    assert [case["verified"] for case in record["cases"]] == [entry.outcome.met for entry in entries]
    assert shown_samples(entries) == [0, 1, 2]
    assert len(shown_samples(entries, most=2)) == 2
