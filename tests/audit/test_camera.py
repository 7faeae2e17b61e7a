"""The experiment before a camera, in a world of which it is known from where a change holds."""

import csv
import io
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from amiss.audit.camera import CameraExperiment
from amiss.audit.camera_asked import Camera
from amiss.audit.camera_pages import camera_figures, camera_known, camera_record, camera_rows
from amiss.audit.camera_views import EACH, film, places
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.data.cells import csv_text
from amiss.errors import AmissError, ContractError, DataError, Interrupted, UsageError
from amiss.report import build
from amiss.transforms import View
from tests.audit.conftest import from_disk, strict

CAMERA = Camera(
    0.2, images=4, views=12, steps=30, drawn=4, scale=(0.5, 1.0), rotation=20.0, tilt=20.0, batch=16, seed=3
)


class Middle(nn.Module):
    """Two classes, by whether the middle 4 x 4 pixels of 16 x 16 are dark or bright: all else is nothing to it."""

    def __init__(self):
        super().__init__()
        self.steep = nn.Parameter(torch.tensor(40.0))

    def forward(self, x):
        gap = self.steep * (x[:, :, 6:10, 6:10].mean((1, 2, 3)) - 0.5)
        return torch.stack([-gap, gap], 1)


def labeled(*levels):
    """Flat gray images, dark ones and bright ones."""
    pixels = torch.stack([torch.full((1, 16, 16), level, dtype=torch.uint8) for level in levels])
    return Images.of(pixels, [int(level > 127) for level in levels], ("dark", "bright"))


IMAGES = labeled(95, 96, 159, 160, 97)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("camera") / "run"
    filmed = CameraExperiment(Classifier(Middle()), IMAGES, CAMERA).run(out)
    return filmed, film(filmed, Classifier(Middle())), out


def test_one_view_is_no_other_and_expectation_holds_in_all(run):
    filmed, (clean, single, eot), _ = run
    figures = camera_figures(filmed, (clean, single, eot))
    assert figures["clean_accuracy"] == 1 and figures["design_view_success"] == 1
    # It stops where the middle 4 x 4 pixels are just beyond a half: one step aside, and some of them are not changed.
    assert figures["single_view_success"] <= 0.1 and single.map.met[0] == (0,) * 7
    assert figures["eot_success"] >= 0.95
    assert figures["eot_success_of_right"] == figures["eot_success"]
    assert clean.map.mean == 1 and eot.map.of == 4 * EACH


def test_a_map_tells_from_where_a_change_holds(run):
    filmed, _, _ = run
    part, x = filmed.parts[0], filmed.images.images()
    away = torch.where(filmed.images.truth == 0, 0.2, -0.2).reshape(-1, 1, 1, 1)
    x[:, :, 5:11, 5:11] += away
    by_hand = replace(part, result=replace(part.result, images=x))
    single = film(replace(filmed, parts=(by_hand, filmed.parts[1])), Classifier(Middle()))[1]
    # At half the size 3 x 3 of the 4 x 4 pixels that are looked at were changed, which is too few; at full size all.
    assert single.map.scales[0] == 0.5 and single.map.met[0] == (0,) * 7
    assert single.map.scales[-1] == 1.0 and single.map.met[-1] == (single.map.of,) * 7


def test_adversaries_stay_within_the_bound_and_in_the_files(run):
    filmed, _, out = run
    for part in filmed.parts:
        for path, x in zip(part.paths, filmed.images.images(), strict=True):
            assert abs(from_disk(out / path) - x.double().numpy()).max() <= 0.2 + 1e-6


def test_judging_views_are_no_views_of_the_search(run):
    filmed, _, _ = run
    objective = filmed.camera.probes(None)["eot"][1].objective
    seen = []

    def spy(x, key):
        seen.append(key)
        return x

    objective.transforms = (spy,)
    classifier = Classifier(Middle())
    task = filmed.camera.probes(None)["eot"][1].prepare(classifier, filmed.images.task())
    for turn in (None, *range(30)):
        objective.read(classifier, task.image, task, turn)
    searched = {int(key) for keys in seen for key in keys}
    seen.clear()
    film(replace(filmed, camera=_Spied(**{**vars(CAMERA), "spy": spy})), classifier)
    judged = {int(key) for keys in seen for key in keys}
    # The same photographs of all three kinds, and no two of one image from the same place.
    assert len(judged) == 4 * CAMERA.views and not judged & searched


class _Spied(Camera):
    """A camera that takes a picture for its photograph."""

    def __init__(self, spy, **given):
        super().__init__(**given)
        object.__setattr__(self, "_spy", spy)

    def photographs(self, view=None):
        return (self._spy,)


@pytest.mark.parametrize("after", [1, 11])
def test_noted_answers_are_not_asked_for_again_and_change_nothing(run, after):
    filmed, whole, _ = run
    book, turns = {}, iter(range(10**6))
    with pytest.raises(Interrupted) as stopped:
        film(filmed, Classifier(Middle()), keep=book.update, stop=lambda: next(turns) >= after)
    assert "photographs" in stopped.value.seen
    assert len(book) < 3 * (1 + 6 * 7) and (after == 1 or book)
    asked = Classifier(Middle())
    noted = json.loads(json.dumps(book))
    again = film(filmed, asked, before=noted)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(one.said, other.said) and one.map == other.map
    fresh = Classifier(Middle())
    film(filmed, fresh)
    assert (asked.counts.queries < fresh.counts.queries) == bool(noted)


def test_answers_of_a_file_that_are_none_are_asked_for(run):
    filmed, whole, _ = run
    book: dict = {}
    film(filmed, Classifier(Middle()), keep=book.update)
    bad = (None, "x", [], [[1] * 2] * 3, [[1] * 3] * 4, [[-1] * 2] * 4, [[True] * 2] * 4, [[0.5] * 2] * 4, [1] * 4)
    spoiled = {name: bad[i % len(bad)] for i, name in enumerate(book)}
    asked = Classifier(Middle())
    again = film(filmed, asked, before=spoiled)
    assert all(
        one.map == other.map and torch.equal(one.said, other.said) for one, other in zip(again, whole, strict=True)
    )
    assert asked.counts.queries == 3 * 4 * (1 + CAMERA.views + 6 * 7 * EACH)


def test_reading_finds_what_was_searched(run):
    filmed, _, out = run
    again = CameraExperiment(Classifier(Middle()), IMAGES, CAMERA).read(out)
    assert [part.paths for part in again.parts] == [part.paths for part in filmed.parts]
    assert all(torch.equal(a.result.images, b.result.images) for a, b in zip(again.parts, filmed.parts, strict=True))
    studies, whole = CameraExperiment(Classifier(Middle()), IMAGES, CAMERA).studies(out)
    assert whole and len(studies) == 2
    with pytest.raises(DataError, match="run-other"):
        CameraExperiment(Classifier(Middle()), IMAGES, replace(CAMERA, eps=0.1)).read(out)
    with pytest.raises(DataError, match="run-missing"):
        CameraExperiment(Classifier(Middle()), IMAGES, CAMERA).read(out / "none")


def test_a_record_tells_what_was_counted(run):
    filmed, seen, out = run
    record = strict(
        json.dumps(camera_record(filmed, seen, Classifier(Middle()), out, model="m", data="d", command="c"))
    )
    assert set(record["figures"]) == set(camera_known())
    clean, single, eot = record["camera"]["parts"]
    assert clean["share"] == 1 and clean["of_right"] is None and eot["of_right"] == 1
    for part in (clean, single, eot):
        assert part["low"] <= part["share"] <= part["high"]
    assert clean["low"] == pytest.approx(4 / (4 + 1.96**2))  # four images that all hold are few
    for part, one in zip((clean, single, eot), seen, strict=True):
        assert part["map"] == [[k / one.map.of for k in row] for row in one.map.met]
    assert len(record["camera"]["examples"]) == 4 and record["notices"] == []
    for example in record["camera"]["examples"]:
        assert [row["kind"] for row in example["rows"]] == ["clean", "single", "eot"]
        for row in example["rows"]:
            assert len(row["shots"]) == len(record["camera"]["places"])
            for shot in (row, *row["shots"]):
                assert (shot["says"] == example["true"]) == (shot["met"] == (row["kind"] == "clean"))
                middle = from_disk(out / shot["image"])[:, 6:10, 6:10].mean()
                assert shot["says"] == ("bright" if middle > 0.5 else "dark")
    assert record["fingerprints"]["data"] == IMAGES.fingerprint
    assert build(record, out).is_file()


def test_a_table_counts_like_the_figures(run):
    filmed, seen, _ = run
    rows = list(csv.DictReader(io.StringIO(csv_text(*camera_rows(filmed, seen)))))
    figures = camera_figures(filmed, seen)
    for name, kind in (("clean_accuracy", "clean"), ("single_view_success", "single"), ("eot_success", "eot")):
        own = [row for row in rows if row["kind"] == kind]
        assert len(own) == 4
        assert figures[name] == pytest.approx(sum(int(row["held"]) for row in own) / sum(int(r["of"]) for r in own))


def test_a_target_and_a_mask_are_kept(tmp_path):
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[5:11, 5:11] = True
    camera = replace(CAMERA, target="bright", mask=mask, printed=True, eps=1.0, scale=(0.9, 1.1), steps=8)
    filmed = CameraExperiment(Classifier(Middle(), labels=["dark", "bright"]), IMAGES, camera).run(tmp_path / "run")
    assert filmed.target == 1 and bool((filmed.images.truth == 0).all()) and len(filmed.images) == 3
    for part in filmed.parts:
        change = part.result.images - filmed.images.images()
        assert bool((change[:, :, ~mask] == 0).all()) and bool((change[:, :, mask] != 0).any())
        assert bool((filmed.held(Classifier(Middle()).predict(part.result.images)) == part.result.met).all())
    assert bool((filmed.held(torch.tensor([[1, 0], [1, 1], [0, 0]])).sum(1) == torch.tensor([1, 2, 0])).all())
    assert len(camera.photographs()) == 6 and len(CAMERA.photographs()) == 1


def test_a_classifier_that_fails_before_a_camera_is_said_to(run):
    filmed, seen, out = run
    wrong = replace(seen[0], said=1 - seen[0].said)
    record = camera_record(filmed, (wrong, *seen[1:]), Classifier(Middle()), out, model="m", data="d", command="c")
    assert record["notices"][0]["level"] == "warning" and "100%" in record["notices"][0]["text"]
    assert "eot_success_of_right" not in record["figures"]
    assert record["figures"]["clean_accuracy"] == 0


@pytest.mark.parametrize(
    ("given", "slug"),
    [
        ({"eps": -0.1}, "eps-negative"),
        ({"eps": 8}, "eps-units"),
        ({"eps": 0}, "camera-counts"),
        ({"views": 0}, "camera-counts"),
        ({"drawn": 0}, "camera-counts"),
        ({"tilt": 85}, "transform-range"),
        ({"scale": (1.5, 0.5)}, "transform-range"),
    ],
)
def test_what_cannot_be_asked_is_refused(given, slug):
    with pytest.raises(UsageError) as refused:
        replace(CAMERA, **given)
    assert refused.value.slug == slug


@pytest.mark.parametrize(
    ("given", "images", "gives", "slug"),
    [
        ({}, IMAGES, "loss", "contract-ladder"),
        ({}, labeled(100, 155).pick([0]), "met", "contract-ladder"),
        ({}, Images.of(IMAGES.pixels, 1 - IMAGES.labels, ("dark", "bright")), "grad", "camera-none"),
        ({"target": "dark"}, labeled(100, 101), "grad", "camera-none"),
        ({"target": "toaster"}, IMAGES, "grad", "class-unknown"),
        ({"target": "7"}, IMAGES, "grad", "class-unknown"),
        ({"mask": torch.ones(8, 8, dtype=torch.bool)}, IMAGES, "grad", "camera-mask"),
        ({"mask": torch.zeros(16, 16, dtype=torch.bool)}, IMAGES, "grad", "camera-mask"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_written(tmp_path, given, images, gives, slug):
    classifier = Classifier(Middle(), labels=["dark", "bright"], gives=gives)
    with pytest.raises(AmissError) as refused:
        CameraExperiment(classifier, images, replace(CAMERA, **given)).run(tmp_path / "run")
    assert refused.value.slug == slug and isinstance(refused.value, DataError | UsageError | ContractError)
    assert not (tmp_path / "run").exists()


def test_places_of_a_map_span_the_view():
    assert places(View((0.5, 1.5), tilt=(-30, 30))) == (
        (0.5, 0.7, 0.9, 1.1, 1.3, 1.5),
        (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0),
    )
    assert places(View((0.5, 0.5))) == ((0.5,), (0.0,))
