"""The bench of geometry in its quick form: what it tells adds up, and is the same again."""

import pytest
import torch

from amiss.analysis.geometry import Reference
from amiss.bench.bench import Run
from amiss.bench.features_geometry import drawn_strangers, geometry_part, open_worlds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("geometry")


@pytest.fixture(scope="module")
def measured(place):
    return geometry_part(Run(10, True, place))


def test_faces_have_the_class_that_their_table_says(place, measured):
    world = open_worlds(Run(10, True, place))[0]
    table, names = world.images.table, world.images.classes
    assert len(names) == 8 and world.images.pixels.shape[1:] == (3, 64, 64)
    for i in range(40):
        worn = [mark for mark in ("glasses", "mustache", "beard") if table[mark][i] > 0.5]
        assert names[world.images.truth[i]] == (" ".join(worn) or "bare")
    # Trained once, read from its file ever after.
    again = open_worlds(Run(10, True, place))[0]
    assert again.classifier.fingerprint == world.classifier.fingerprint


def test_figures_are_those_of_the_worlds(measured):
    figures, raw = measured
    one = raw["faces"]
    chosen = one["feature_opt"][str(one["delta"])]
    assert figures["inlier_auc_feature"] == figures["inlier_auc_feature_faces"] == chosen["guide"]["inlier_auc"]
    assert figures["inlier_auc_label"] == one["label_opt"]["guide"]["inlier_auc"]
    for name, found in (("feature", chosen), ("label", one["label_opt"]), ("guides", one["guides"])):
        assert figures[f"inlier_auc_{name}_nearest_faces"] == found["nearest"]["inlier_auc"]
        assert figures[f"outlier_{name}_nearest_faces"] == found["nearest"]["outlier"]
    assert figures["outlier_strangers_faces"] == one["strangers"]["guide"]["outlier"]
    assert figures["overlap_lower"] == float(figures["overlap_feature_faces"] < figures["overlap_label_faces"])
    assert all(isinstance(value, float) for value in figures.values())


def test_a_stranger_is_of_the_guides_class_and_never_the_guide():
    reference = Reference.of(torch.rand(7, 3), torch.tensor([0, 1, 0, 1, 2, 2, 2]))
    for seed in range(10):
        rows = drawn_strangers(reference, torch.tensor([0, 2, 3, 5]), seed)
        assert rows[:3].tolist() == [2, 0, 1] and rows[3] in (4, 6)


def test_feature_opt_comes_nearer_than_one_step_and_changes_no_more_than_its_radius(measured):
    one = measured[1]["faces"]
    chosen = one["feature_opt"][str(one["delta"])]
    assert chosen["guide"]["r1"] < one["feature_fgrad"]["guide"]["r1"] <= 1
    assert all(part["linf"] <= one["delta"] + 0.01 for part in (chosen, one["feature_fgrad"], one["label_fgrad"]))


def test_histograms_count_every_pair_and_neighbor(measured):
    one = measured[1]["faces"]
    counts = one["feature_opt"][str(one["delta"])]["guide"]["histograms"]
    assert set(counts) == {"r2", "r3", "delta_rank", "likelihood", "omega"}
    for told in counts.values():
        assert sum(told["adversaries"]) == one["pairs"] == 8 and len(told["edges"]) == 21
    for name in ("likelihood", "omega"):
        assert sum(counts[name]["close"]) == 5 * 8 and sum(counts[name]["far"]) == 10 * 8
