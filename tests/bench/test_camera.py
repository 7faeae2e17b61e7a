"""Signs before a camera: what is judged is judged by known answers, and the bench has a quick form."""

import json

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.camera_classifier import classify
from amiss.bench.camera_detector import _found, detect
from amiss.bench.signs import EPS, Street
from amiss.data.worlds.signs import KINDS, sign_boxes
from amiss.domain import Domain
from amiss.models.detector import Detection
from amiss.spaces import Pixels

STREET = Street(10, 1, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("camera"))


class Knowing:
    """Finds what it is told, moved to the right by a part of its width."""

    size = 64

    def __init__(self, label, boxes, moved):
        self.label, self.boxes, self.moved = label, boxes, moved

    def detect(self, x):
        shift = self.moved * (self.boxes[:, 2] - self.boxes[:, 0])
        moved = self.boxes + shift[:, None] * torch.tensor([1.0, 0, 1, 0])
        return [[Detection(self.label, 0.9, tuple(box))] for box in moved.tolist()]


@pytest.mark.parametrize(("moved", "found"), [(0.0, True), (0.3, True), (0.4, False)])
def test_a_sign_is_found_where_half_of_the_boxes_is_shared(moved, found):
    """Boxes moved by a share s overlap by (1 - s) / (1 + s): half at a third."""
    street = Street(10, 1, 4)
    pictures, poses = street.seen(street.task.image, 3)
    for i, kind in enumerate(street.signs.kinds.tolist()):
        boxes = sign_boxes(torch.full((3,), kind), poses[i])
        knowing = Knowing(KINDS[kind], boxes, moved)
        assert _found(knowing, street, pictures, poses)[i].tolist() == [found] * 3
        other = Knowing(KINDS[kind - 1], boxes, 0.0)
        assert not _found(other, street, pictures, poses)[i].any()


def test_targets_are_other_kinds_and_photographs_repeat():
    task = STREET.task
    assert (task.target != task.label).all() and torch.equal(task.label, STREET.signs.kinds)
    one, other = STREET.seen(task.image, 2), Street(10, 1, 4).seen(task.image, 2)
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert not torch.equal(one[0], Street(11, 1, 4).seen(task.image, 2)[0])


def test_a_search_sees_none_of_the_streets_that_judge():
    scenes = [STREET.camera(0)[0].backgrounds, STREET._streets[1]]
    assert not any(torch.equal(a, b) for a in scenes[0] for b in scenes[1])


def test_the_bound_holds_the_sign_alone():
    for kind in (0, 5):
        rows = STREET.rows(kind)
        task = STREET.task.rows(rows)
        domain = Domain(Pixels(), STREET.bound(kind), task, 1)
        moved = domain.project(torch.rand_like(task.image), torch.arange(len(rows)))
        change = (moved - task.image).abs()
        inside = change.amax((0, 1)) > 0
        assert change.max() <= EPS + 1e-6 and change.max() > 0.9 * EPS
        assert 0.1 < inside.float().mean() < 0.45


def test_the_classifiers_part_in_its_quick_form(run):
    figures, told = classify(run)
    json.dumps(told)
    assert figures["largest_change"] <= EPS + 1e-6
    assert all(0 <= value <= 1 for value in figures.values())
    assert told["signs"] == len(KINDS) and told["clean"]["of"] == 8 * len(KINDS)
    assert (run.place / "classifier.html").stat().st_size > 10_000 and (run.place / "sheet.svg").is_file()


def test_the_detectors_part_in_its_quick_form(run):
    figures, told = detect(run)
    json.dumps(told)
    assert figures["detector_largest_change"] <= EPS + 1e-6
    assert all(0 <= value <= 1 for value in figures.values())
    assert (run.place / "detector.html").is_file()
