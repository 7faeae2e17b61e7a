"""Parts of the bench of features: their quick forms, and the measures behind their figures on known cases."""

import pytest
import torch

from amiss.bench import (
    features_failures,
    features_inversion,
    features_labels,
    features_linear,
    features_ordering,
    features_transfer,
)
from amiss.bench.bench import Run, Skip
from amiss.bench.mobilenets import mobilenet, photographs, ratios, scene
from amiss.data import Images
from amiss.loading import open_classifier
from amiss.tensorfile import read_tensors
from tests.realdata import amiss_data

torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path):
    return Run(10, True, tmp_path)


def test_the_ratio_is_1_at_the_source_and_0_at_the_guide(run):
    place = scene(run, "v2", 6)
    task, layer = place.task, place.layers[-1]
    assert len(task) == 6
    assert not (task.label == task.target).any()
    assert torch.equal(ratios(place.classifier, layer, task, task.image), torch.ones(6))
    assert torch.equal(ratios(place.classifier, layer, task, task.guide), torch.zeros(6))


def test_labels_are_those_of_the_files_and_stay_within_the_bound(run):
    figures, told = features_labels.labels(run)
    kept = read_tensors(run.place / "labels.safetensors")[0]
    apart = (kept["made"].int() - kept["source"].int()).abs().amax((1, 2, 3))
    assert apart.max() <= 10
    assert (apart >= 9).all()
    said = scene(run, "v2", 50).classifier.predict(kept["made"].float() / 255)
    assert figures["label_is_guide_8bit"] == float((said == kept["guide"]).double().mean())
    assert figures["label_is_source_8bit"] == float((said == kept["label"]).double().mean())
    assert figures["r1_v2"] < figures["r1_v2_at_5"] < 1
    assert told["pairs"] == len(said)


def test_images_are_shown_to_others_only_once_they_are_made(run):
    with pytest.raises(Skip, match="labels comes first"):
        features_transfer.transfer(run)
    features_labels.labels(run)
    figures, told = features_transfer.transfer(run)
    assert told["random"]["n"] == len(read_tensors(run.place / "labels.safetensors")[0]["made"])
    assert set(figures) == {"transfer_changed_random", "transfer_noise_random", "transfer_guide_random"}


def test_on_one_matrix_the_linear_model_is_the_network(run):
    figures, told = features_linear.linear(run)
    assert figures["linear_coincide"] <= 1e-4
    assert all(0 < one < 1 for one in told["matrix"]["r1"]["each"])
    gaps = [told[name]["median"] - told["feature_opt"]["median"] for name in ("feature_linear", "feature_fgrad")]
    assert figures["linear_gap"] == min(gaps)


def test_an_order_that_is_broken_anywhere_is_no_law():
    assert features_ordering.laws([[0.9, 0.8], [0.5, 0.4]]) == {"r1_falls_with_delta": 1, "r1_rises_to_input": 1}
    assert features_ordering.laws([[0.9, 0.8], [0.4, 0.4]])["r1_falls_with_delta"] == 0
    assert features_ordering.laws([[0.9, 0.5], [0.8, 0.7]]) == {"r1_falls_with_delta": 1, "r1_rises_to_input": 0}


def test_networks_that_have_learned_nothing_stand_beside_the_trained_one(run):
    figures, told = features_ordering.ordering(run)
    assert set(figures.values()) == {1.0}
    cells = {name: told[name] for name in ("trained", "random", "orthonormal")}
    layers = scene(run, "v1-0.25", 1).layers
    assert all(set(cell) == set(layers) and set(cell[layers[0]]) == {"10", "20"} for cell in cells.values())
    assert len({repr(cell) for cell in cells.values()}) == 3


def test_a_correlation_does_not_heed_scale_or_brightness():
    x = torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    others = torch.stack([0.3 * x[0] + 0.2, 1 - x[1], x[2].flip(-1)])
    seen = features_inversion._correlation(x, others)
    assert seen[:2].tolist() == pytest.approx([1, -1], abs=1e-6)
    assert abs(seen[2]) < 0.7


def test_the_first_layer_gives_the_image_back_and_the_last_one_the_guide(run):
    figures, _ = features_inversion.inversion(run)
    assert figures["inversion_first"] > 0.9
    assert figures["inversion_guide"] >= 0.9


def test_styles_are_quarters_of_the_training_contrasts():
    waves = torch.linspace(0, 120, 40)[:, None, None, None] * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    images = Images.of((127 + waves).round().to(torch.uint8), [0] * 40, ["any"])
    learned, asked = features_failures.styled(images, images.pick([0, 39]))
    assert torch.bincount(learned.truth).tolist() == [10, 10, 10, 10]
    assert asked.truth.tolist() == [0, 3]
    assert [asked.classes[i] for i in asked.truth] == ["flat", "hard"]
    assert torch.equal(learned.pixels, images.pixels)


def test_networks_that_resist_are_measured_and_kept(run, monkeypatch):
    figures, told = features_failures.failures(run)
    assert set(told) == {"mnist", "cifar", "residual", "styled"}
    assert figures["mnist_r1_10"] > 0.5  # eight pixels a side leave little to change
    assert told["styled"]["classes"] == 4
    gap = told["styled"]["hidden"]["10"]["median"] - told["styled"]["logits"]["10"]["median"]
    assert figures["styled_gap"] == gap
    monkeypatch.delattr(features_failures, "train")  # they are read from their files
    assert set(features_failures._cases(run)) == set(told)


def test_the_fast_form_of_a_network_answers_as_the_example_does(tmp_path, monkeypatch):
    amiss_data("weights")
    monkeypatch.setenv("AMISS_DATA", str(amiss_data("imagenet-200").parent))
    full = Run(10, False, tmp_path)
    fast, plain = mobilenet(full, "v1-0.25"), open_classifier("examples/mobilenet_v1.py:mobilenetv1_025")
    x = photographs(full, 128).images(slice(0, 4))
    with torch.no_grad():
        torch.testing.assert_close(fast.outputs(x)["answer"], plain.outputs(x)["answer"], rtol=1e-3, atol=1e-3)
    assert set(scene(full, "v1-0.25", 2).layers) < set(fast.layers)
    assert fast.size == 128
