"""The bench's judges can say no: of false successes, of memory that grows, of time that does."""

import csv

import pytest
import torch

from amiss.analysis.pairs import Pairs, pair_inputs
from amiss.bench.trust_shadow import false_imposters, false_successes
from amiss.bench.trust_soak import linearity, slope
from amiss.bench.trust_studies import lost, rotten
from amiss.data import write_png
from amiss.demo import demo_classifier, demo_faces
from amiss.recipes import feature_opt
from amiss.study import Study
from tests.study.studies import entries, study

READINGS = list(range(0, 5001, 100))


def judged(made):
    image = made.inputs.rows(range(len(made.inputs))).image
    known = dict(zip(made.inputs.ids, image, strict=True))
    return false_successes(made.store.folder, made.classifier.network, known)


@pytest.mark.parametrize("kind", ["pgd", "lse"])
def test_a_file_that_shows_the_original_is_no_success(tmp_path, kind):
    made = study(tmp_path, kind)
    made.run()
    met = [entry for entry in entries(made).values() if entry.outcome.met]
    assert judged(made) == (len(met), 0)
    task = made.inputs.rows(range(4))
    for wrong, entry in enumerate(met, 1):
        image = (task.image[entry.sample] * 255).round().to(torch.uint8)
        write_png(made.store.image_path(entry.id, entry.sample), image)
        assert judged(made) == (len(met), wrong)


def test_a_file_outside_of_the_radius_is_no_success(tmp_path):
    made = study(tmp_path)
    made.run()
    entry = next(entry for entry in entries(made).values() if entry.outcome.met)
    path = made.store.image_path(entry.id, entry.sample)
    slope = made.classifier.network.linear.weight.diff(dim=0)[0].reshape(1, 4, 4)
    away = (slope > 0) == (made.inputs.rows([entry.sample]).target == 1)  # white where that helps the target
    write_png(path, away.to(torch.uint8) * 255)
    assert judged(made)[1] == 1


def test_an_imposter_whose_features_are_its_own_is_no_success(tmp_path):
    faces = demo_faces(8)
    task = faces.task()
    first = int(task.label[0])
    guide = int((task.label != first).nonzero()[0])
    inputs = pair_inputs(faces, Pairs(torch.tensor([0]), torch.tensor([guide])))
    made = Study(tmp_path, feature_opt("relu5", 20 / 255, 40), demo_classifier(), inputs)
    made.run()
    named = dict(zip(faces.names, faces.images().double(), strict=True))
    (entry,) = entries(made).values()
    assert entry.outcome.met
    assert false_imposters(tmp_path, made.classifier, named) == (1, 0)
    write_png(made.store.image_path(entry.id, entry.sample), faces.pixels[0])
    assert false_imposters(tmp_path, made.classifier, named) == (1, 1)
    write_png(made.store.image_path(entry.id, entry.sample), faces.pixels[guide])  # the features, but not the picture
    assert false_imposters(tmp_path, made.classifier, named) == (1, 1)


def test_rotten_studies_claim_more_than_they_show(tmp_path):
    for name, made in rotten(tmp_path, 0).items():
        made.run()
        found = entries(made).values()
        claimed, met = sum(entry.claimed for entry in found), sum(entry.outcome.met for entry in found)
        assert 0 < met < claimed, name
        assert judged(made) == (met, 0), name


def test_what_is_missing_from_a_run_is_counted(tmp_path):
    made = study(tmp_path)
    made.run()
    assert lost(made) == 0
    table = tmp_path / "results.csv"
    rows = list(csv.reader(table.read_text().splitlines()))
    table.write_text("\n".join(",".join(row) for row in rows[:-1]) + "\n")
    assert lost(made) == 1
    made.store.shard_path(1).unlink()
    assert lost(made) == 3


def test_memory_is_measured_after_the_first_images():
    assert slope(READINGS, [1e9 if i < 500 else 7 * i + 5 for i in READINGS]) == pytest.approx(7)


def test_time_is_a_straight_line_or_is_not():
    assert linearity(READINGS, [0.3 * i for i in READINGS]) == pytest.approx(0)
    assert linearity(READINGS, [i + (1000 if i else 0) for i in READINGS]) == pytest.approx(0)
    late = [i - 500 for i in READINGS]
    doubling = [x + x * x / 9000 for x in late]  # an image costs twice as much at the end as after the first 500
    assert linearity(READINGS, doubling) == pytest.approx(1 / 12, abs=1e-3)
