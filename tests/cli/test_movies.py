"""Movies and signals from the command line: learned, asked by strips of film, and refused in plain words."""

import json
from pathlib import Path

import numpy as np
import pytest

FRAMES = np.random.default_rng(0).integers(0, 256, (8, 5, 1, 9, 9), dtype=np.uint8)
LABELS = np.arange(8) % 2
SHORT = ("--steps", "2", "--width", "2", "--hidden", "4", "--quiet")


def learn(amiss, data, *more):
    return amiss("train", "sequence-classifier", data, "--out", "run", *SHORT, *more)


def test_a_movie_classifier_is_checked_by_strips_of_film_and_scores_what_its_training_said(amiss):
    assert learn(amiss, "digit-movies", "--limit", "100").code == 0
    scored = json.loads(Path("run/training.json").read_text())["figures"]
    words = ("check", "run/model.safetensors", "strips:digit-movies", "--json")
    told = json.loads(amiss(*words).out)
    assert told["accuracy"] == scored["accuracy"] and told["images"] == scored["sequences"] == 597
    assert json.loads(amiss(*words, "--limit", "30").out)["images"] == 30


def test_it_is_attacked_as_any_classifier(amiss):
    assert learn(amiss, "digit-movies", "--limit", "100").code == 0
    words = ("--limit", "12", "--eps", "0.5", "--steps", "20", "--out", "attacked")
    done = amiss("run", "pgd", "run/model.safetensors", "strips:digit-movies", *words)
    assert done.code == 0, done.err
    assert list(Path("attacked").rglob("*.png"))


def test_its_mistakes_are_repaired_along_a_decoder_of_frames(amiss):
    assert learn(amiss, "digit-movies", "--limit", "100").code == 0
    assert amiss("train", "vae", "digits", "--latent", "2", "--steps", "20", "--out", "vae", "--quiet").code == 0
    words = ("lse", "run/model.safetensors", "strips:digit-movies", "--decoder", "strips:vae/model.safetensors")
    done = amiss("run", *words, "--limit", "8", "--steps", "5", "--out", "repaired")
    assert done.code == 0, done.err
    assert amiss("run", "repaired").code == 0  # its decoder is found again


def test_numbers_beside_frames_keep_strips_out_and_can_be_left_out(amiss):
    whole = {"frames": FRAMES, "labels": LABELS, "beside": np.zeros((8, 5, 2))}
    np.savez("cells.npz", **{f"{name}_{split}": t for name, t in whole.items() for split in ("train", "test")})
    assert learn(amiss, "cells.npz").code == 0
    asked = ("check", "run/model.safetensors", "strips:cells.npz")
    assert "[film-strip]" in amiss(*asked).err
    assert amiss("train", "sequence-classifier", "cells.npz", "--out", "bare", *SHORT, "--no-beside").code == 0
    assert amiss("check", "bare/model.safetensors", "strips:cells.npz").code == 0
    assert "[film-strip-shape]" in amiss("check", "bare/model.safetensors", "digits").err


def test_numbers_beside_a_signal_are_refused_unless_they_are_left_out(amiss):
    whole = {"frames": np.zeros((8, 5, 3), np.float32), "labels": LABELS, "beside": np.zeros((8, 5, 2))}
    np.savez("signals.npz", **{f"{name}_{split}": t for name, t in whole.items() for split in ("train", "test")})
    row = learn(amiss, "signals.npz").refused("sequences-beside", code=1)
    assert "2 numbers" in row["Seen"]
    assert "torch.cat([frames, beside], 2)" in row["Try"] and "--no-beside" in row["Try"]
    assert learn(amiss, "signals.npz", "--no-beside").code == 0


@pytest.mark.parametrize(("length", "code"), [(4, 0), (6, 1)])
def test_none_of_which_frames_are_picked_is_tested_by_longer_ones(amiss, length, code):
    frames = np.random.default_rng(0).random((8, 6, 3), np.float32)
    np.savez(
        "signals.npz", frames_train=frames[:, :5], labels_train=LABELS, frames_test=frames[:, :length],
        labels_test=LABELS,
    )  # fmt: skip
    assert amiss("train", "sequence-classifier", "signals.npz", "--out", "whole", *SHORT).code == 0
    said = learn(amiss, "signals.npz", "--keep", "2")
    assert said.code == code
    if code:
        row = said.refused("train-frames", code=1)
        assert row["Seen"] == "test: 6 frames" and "5 frames" in row["Needed"] and "--keep" in str(row)
        assert not Path("run").exists()


def test_a_page_tells_no_folder_of_this_machine(amiss):
    np.savez("cells.npz", frames_train=FRAMES, labels_train=LABELS, frames_test=FRAMES, labels_test=LABELS)
    assert learn(amiss, "cells.npz").code == 0
    here = Path.cwd()
    words = ("fgsm", "run/model.safetensors", f"strips:{here}/cells.npz", "--eps", "0.1", "--out", "attacked")
    assert amiss("run", *words).code == 0
    told = [
        path.read_text()
        for kind in ("json", "toml", "md", "html", "csv")
        for path in Path("attacked").rglob(f"*.{kind}")
    ]
    assert told and not any(str(here) in text for text in told)
    assert amiss("run", "attacked").code == 0  # its movies are found again


def test_a_signal_classifier_is_no_classifier_of_images(amiss):
    assert (
        amiss("train", "sequence-classifier", "signals", "--limit", "20", *SHORT[:2], "--out", "run", "-q").code == 0
    )
    assert "[model-kind]" in amiss("check", "run/model.safetensors", "digits").err
    row = amiss("show", "run").refused("run-missing", "trained model, sequence-classifier")["Try"]
    assert row.startswith("In Python: ")  # strips of film show movies alone
    kept = ("digit-movies", "--keep", "3", "--limit", "20", *SHORT[:2], "--out", "kept", "-q")
    assert amiss("train", "sequence-classifier", *kept).code == 0
    assert "--keep" in amiss("check", "kept/model.safetensors", "strips:digit-movies").refused("model-kind")["Try"]
    assert amiss("train", "sequence-classifier", "digit-movies", "--out", "movies", "--limit", "20", *SHORT).code == 0
    assert "[film-strips]" in amiss("check", "movies/model.safetensors", "strips:signals").err


@pytest.mark.parametrize(
    ("arrays", "slug"),
    [
        ({"labels_train": None}, "sequences-labels"),
        ({"frames_train": FRAMES[:, :, 0]}, "sequences"),
        ({"frames_train": FRAMES / 255.0}, "sequences"),
        ({"frames_train": FRAMES[:0], "labels_train": LABELS[:0]}, "sequences"),
        ({"frames_train": FRAMES[..., :8]}, "data-not-square"),
        ({"frames_train": FRAMES[..., :5, :5]}, "movie-classifier"),
        ({"labels_train": LABELS[:5]}, "sequences"),
        ({"labels_train": LABELS + 0.5}, "sequences"),
        ({"labels_train": LABELS - 1}, "sequences"),
        ({"lengths_train": [5, 5, 6, 5, 5, 5, 5, 5]}, "sequences"),
        ({"lengths_train": [5, 5, 0, 5, 5, 5, 5, 5]}, "sequences"),
        ({"lengths_train": [5, 4.5, 5, 5, 5, 5, 5, 5]}, "sequences"),
        ({"beside_train": np.zeros((8, 4, 2))}, "sequences"),
        ({"beside_train": np.full((8, 5, 2), np.nan)}, "sequences-finite"),
        ({"frames_train": np.full((8, 40, 1), np.nan)}, "sequences-finite"),
        ({"frames_test": FRAMES, "labels_test": LABELS + 3}, "train-classes"),
        ({"frames_test": FRAMES}, "sequences-labels"),
    ],
)
def test_files_that_do_not_fit_are_refused(amiss, arrays, slug):
    whole = {"frames_train": FRAMES, "labels_train": LABELS} | arrays
    np.savez("bad.npz", **{name: np.asarray(array) for name, array in whole.items() if array is not None})
    said = learn(amiss, "bad.npz")
    assert said.code in (1, 2) and f"[{slug}]" in said.err
    assert "Try:" in said.err and not Path("run/model.safetensors").exists()
