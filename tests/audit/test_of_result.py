"""The page of one probe's result: with and without paths, classifier, images, samples."""

import json
import re
from dataclasses import replace

import pytest
import torch

from amiss.errors import DataError
from amiss.recipes import classes, fool_gradient, pgd
from amiss.report import write_report
from amiss.testing import LinearWorld
from amiss.trust.flags import found, unmeasured
from tests.audit.conftest import from_disk


def data_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', text, re.S)[1])


@pytest.fixture(scope="module")
def world():
    return LinearWorld(n=4, dtype=torch.float32, classes=3)


@pytest.fixture
def probe():
    return pgd(None, 40, norm="l2", step=0.1, target="task", margin=0.5)


def test_a_result_with_paths_and_its_classifier(world, probe, tmp_path):
    result = probe.run(world.classifier(), world.task, frames=5)
    page = write_report(result, tmp_path / "new" / "r.html", classifier=world.classifier(), labels=["a", "b", "c"])
    data = data_of(page)
    assert data["sentence"] == "The objective is met for 4 of 4 samples."
    assert data["outcomes"] == {"this probe": {"met": 4}}
    first = world.logits(world.task.image).argmax(1)
    for i, case in enumerate(data["cases"]):
        assert case["true"] == "abc"[int(world.task.label[i])]
        assert case["predicted"] == "abc"[int(first[i])]
        repair = case["repairs"][0]
        assert repair["frame_labels"][-1] == case["true"]
        assert repair["frame_margins"][0] < 0 < 0.5 <= repair["frame_margins"][-1] + 1e-4
        shown = from_disk(tmp_path / "new" / "r" / "images" / f"{i:05d}-result.png")
        assert torch.equal((torch.from_numpy(shown) * 255).round(), (result.images[i].double() * 255).round())
        assert repair["l2"] == pytest.approx(float(result.l2[i]))


def test_only_repairs_are_called_repairs(world, probe, tmp_path):
    result = probe.run(world.classifier(), world.task)
    assert not {"cases_title", "cases_note", "cases_word"} & set(data_of(write_report(result, tmp_path / "r.html")))
    for task in (replace(world.task, target=None), replace(world.task, target=(world.task.label + 1) % 3)):
        wanted = probe if task.target is not None else pgd(0.1)
        data = data_of(write_report(wanted.run(world.classifier(), task), tmp_path / "a.html"))
        words = " ".join((data["cases_title"], data["cases_note"], data["cases_word"])).lower()
        assert "repair" not in words and "right" not in words


def test_without_a_classifier_nothing_is_made_up(world, probe, tmp_path):
    result = probe.run(world.classifier(), world.task, frames=5)
    case = data_of(write_report(result, tmp_path / "r.html"))["cases"][0]
    assert case["predicted"] is None
    assert case["name"] == f"sample 0, wanted {int(world.task.target[0])}"
    repair = case["repairs"][0]
    assert set(repair["frame_labels"]) == set(repair["frame_margins"]) == {None}
    assert len(repair["frames"]) > 1
    assert repair["verified"] is None


def test_names_for_too_few_classes_are_refused_before_anything_is_written(world, probe, tmp_path, refuses):
    result = probe.run(world.classifier(), world.task)
    with refuses(DataError, "data-labels"):
        write_report(result, tmp_path / "r.html", labels=["a"])
    assert list(tmp_path.iterdir()) == []


def test_trust_flags_stand_in_the_record_as_they_were_measured(world, probe, tmp_path):
    result = probe.run(world.classifier(), world.task)
    flags = (found("randomness", True, 0.5, "half of 32 images"), unmeasured("parity", "no accuracy was given"))
    data = data_of(write_report(result, tmp_path / "r.html", flags=flags))
    assert data["flags"] == [flag.to_json() for flag in flags]
    assert [flag["state"] for flag in data["flags"]] == ["fired", "not measured"]
    assert data_of(write_report(result, tmp_path / "r.html"))["flags"] == []


def test_without_frames_there_is_no_path(world, probe, tmp_path):
    result = probe.run(world.classifier(), world.task)
    repair = data_of(write_report(result, tmp_path / "r.html"))["cases"][0]["repairs"][0]
    assert repair["frames"] == []


def test_images_made_from_nothing_are_a_wall(world, tmp_path):
    classifier = world.classifier(labels=["a", "b", "c"])
    result = fool_gradient(world.shape).run(classifier, classes(classifier))
    data = data_of(write_report(result, tmp_path / "r.html", classifier=classifier, title="Nonsense"))
    assert data["title"] == "Nonsense"
    assert [cell["class"] for cell in data["fooled"]] == ["a", "b", "c"]
    for i, cell in enumerate(data["fooled"]):
        x = torch.from_numpy(from_disk(tmp_path / "r" / "images" / f"{i:05d}.png")).float()[None]
        assert cell["confidence"] == pytest.approx(float(world.logits(x).softmax(1)[0, i]), abs=1e-5)
        assert cell["verified"] is bool(result.met[i])
    unasked = data_of(write_report(result, tmp_path / "s.html"))
    assert [cell["class"] for cell in unasked["fooled"]] == ["0", "1", "2"]
    assert unasked["fooled"][0]["confidence"] is None
    assert unasked["fooled_bar"] is None


def test_no_sample_makes_an_empty_page_and_a_name_without_suffix_works(world, probe, tmp_path):
    none = world.task.rows(torch.arange(0))
    page = write_report(probe.run(world.classifier(), none), tmp_path / "plain")
    assert page == tmp_path / "plain"
    assert data_of(page)["sentence"] == "The objective is met for 0 of 0 samples."
