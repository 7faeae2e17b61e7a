"""What ships with the demo: the files are those that were measured, and they measure as they say."""

import json
import shutil
import time
from dataclasses import replace

import pytest
import torch

import amiss.demo as demo
from amiss.bench import demo_weights
from amiss.data import open_data, sample_faces
from amiss.errors import CheckpointError, DataError
from amiss.repro import digest
from amiss.training import Preset

FILES = {name: demo._ROOM / f"{name}.safetensors" for name in ("classifier", "decoder")}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def figures():
    return demo.demo_figures()


@pytest.fixture(scope="module")
def faces(figures):
    return demo.demo_faces(figures["test"]["images"])


def shares(found):
    return {(label, hair): cell["share"] for label, row in found["errors"].items() for hair, cell in row.items()}


def test_the_figures_are_of_these_files_and_both_are_small(figures):
    for name, path in FILES.items():
        assert digest(path.read_bytes()) == figures[name]["fingerprint"]
        assert path.stat().st_size == figures[name]["bytes"]
    assert sum(path.stat().st_size for path in FILES.values()) <= 2_000_000


def test_the_classifier_is_as_wrong_as_it_says_and_on_whom(figures, faces):
    classifier, said = demo.demo_classifier(), figures["classifier"]
    found = demo_weights.measure_classifier(classifier, faces)
    assert found["accuracy"] == pytest.approx(said["accuracy"], abs=0.005)
    assert shares(found) == pytest.approx(shares(said), abs=0.005)
    assert classifier.labels == faces.classes


def test_the_shortcut_took(figures):
    wrong = shares(figures["classifier"])
    assert wrong["male", "long"] > 0.45
    assert wrong["not male", "short"] > 0.45
    assert wrong["male", "short"] < 0.06
    assert wrong["not male", "long"] < 0.06


def test_the_decoder_keeps_what_it_says(figures, faces):
    decoder, classifier = demo.demo_decoder(), demo.demo_classifier()
    found = demo_weights.measure_decoder(decoder, classifier, faces)
    assert found["explained_variance"] == pytest.approx(figures["decoder"]["explained_variance"], abs=0.005)
    assert found["agreement"] == pytest.approx(figures["decoder"]["agreement"], abs=0.005)
    assert found["explained_variance"] >= 0.9
    assert found["agreement"] >= 0.8
    assert decoder.encode(faces.images([0])).shape == (1, 32)
    assert not any(p.requires_grad for p in decoder.parameters())


def test_models_load_in_under_a_second():
    before = time.process_time()
    demo.demo_classifier(), demo.demo_decoder()
    assert time.process_time() - before < 1


def test_hair_says_nothing_about_the_label_of_test_faces_and_much_about_that_of_training_faces(faces):
    def agreement(labels, hair):
        return float(((hair < 0.5) == (labels == 1)).double().mean())

    biased = sample_faces(6000, 0, rho=0.8)
    assert agreement(faces.labels, faces.table["hair"]) == pytest.approx(0.5, abs=3 * 0.5 / 2000**0.5)
    assert agreement(biased.labels, biased["hair"]) == pytest.approx(0.9, abs=3 * 0.3 / 6000**0.5)


def test_the_faces_are_those_measured_and_none_was_trained_on(figures, faces):
    biased = open_data(figures["train"]["source"], split=figures["train"]["split"])
    assert faces.fingerprint == figures["test"]["fingerprint"]
    assert biased.fingerprint == figures["train"]["fingerprint"]
    assert not set(faces.ids) & set(biased.ids)
    assert demo.demo_faces(3).ids == faces.ids[:3]


def test_a_foreign_file_in_the_place_of_the_decoder_is_refused(tmp_path, monkeypatch):
    shutil.copy(FILES["classifier"], tmp_path / "decoder.safetensors")
    monkeypatch.setattr(demo, "_ROOM", tmp_path)
    with pytest.raises(CheckpointError, match="no autoencoder"):
        demo.demo_decoder()
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        demo.demo_classifier()


def test_errors_are_counted_by_label_and_hair(faces):
    """A judge that says "male" to all is wrong on everyone else, whatever their hair."""

    class Yes:
        def predict(self, x):
            return torch.ones(len(x), dtype=torch.int64)

    some = faces.pick(slice(0, 300))
    found = demo_weights.measure_classifier(Yes(), some)
    cells = [cell for row in found["errors"].values() for cell in row.values()]
    assert found["accuracy"] == pytest.approx(float((some.labels == 1).double().mean()))
    assert sum(cell["images"] for cell in cells) == 300
    assert list(shares(found).values()) == [1, 1, 0, 0]
    with pytest.raises(DataError, match="label and hair"):
        demo_weights.measure_classifier(Yes(), open_data("digits", limit=5))


def test_a_perfect_copy_explains_all_and_the_mean_face_nothing(faces):
    some = faces.pick(slice(0, 300))
    mean = some.images().mean(0)

    class Mean(torch.nn.Module):
        def forward(self, x):
            return mean.expand_as(x)

    classifier = demo.demo_classifier()
    copy = demo_weights.measure_decoder(torch.nn.Identity(), classifier, some)
    assert copy == {"mse": 0, "explained_variance": 1, "agreement": 1}
    flat = demo_weights.measure_decoder(Mean(), classifier, some)
    assert flat["explained_variance"] == pytest.approx(0, abs=1e-5)


def test_the_command_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    """Two steps each, on a handful of faces: the road, not the destination."""

    def short(preset: Preset) -> Preset:
        return replace(preset, training=replace(preset.training, epochs=None, steps=2))

    for name in ("shortcut_classifier", "small_decoder"):
        preset = getattr(demo_weights, name)
        monkeypatch.setattr(demo_weights, name, lambda seed, preset=preset: short(preset(seed)))
    monkeypatch.setattr(demo_weights, "TRAIN", "faces:rho=0.8,n=128")
    monkeypatch.setattr(demo_weights, "TEST", "faces:n=50")
    demo_weights.main(["--seed", "3", "--out", str(tmp_path)])

    written = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out) == written
    assert (written["seed"], written["train"]["images"], written["test"]["images"]) == (3, 128, 50)
    monkeypatch.setattr(demo, "_ROOM", tmp_path)
    some = demo.demo_faces(50)
    again = demo_weights.measure_classifier(demo.demo_classifier(), some)
    assert again.items() <= written["classifier"].items()
    kept = demo_weights.measure_decoder(demo.demo_decoder(), demo.demo_classifier(), some)
    assert kept.items() <= written["decoder"].items()
