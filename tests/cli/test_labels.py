"""`amiss train label-sequence DATA`: labels of frames, by a word or a file; what is refused, and how it goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.training import load_model

TRAIN = ("train", "label-sequence", "rows.npz", "--hidden", "6", "--steps", "6", "--out", "run")


@pytest.fixture
def rows(amiss):
    """Rows of three lengths, whose labels tell whether a number is above 0; nothing is known behind an end."""
    lots = np.random.default_rng(0)
    frames, lengths = lots.normal(size=(40, 5, 2)), lots.integers(3, 6, 40)
    labels = (frames[:, :, 0] > 0).astype(float)
    behind = np.arange(5) >= lengths[:, None]
    frames[behind], labels[behind] = np.nan, np.nan
    parts = {"frames": frames, "labels": labels, "lengths": lengths}
    np.savez("rows.npz", **{f"{name}_{split}": part for name, part in parts.items() for split in ("train", "test")})
    np.savez("whole.npz", frames_train=frames[:, :3], labels_train=labels[:, 0])
    np.savez("movies.npz", frames_train=np.zeros((4, 3, 1, 8, 8), np.uint8), labels_train=np.zeros((4, 3)))
    np.savez("short.npz", frames_train=frames[:, :3], labels_train=labels[:, :2])
    np.savez("empty.npz", frames_train=frames, labels_train=labels, lengths_train=lengths * 0)
    np.savez("holes.npz", frames_train=frames, labels_train=np.nan_to_num(labels))
    np.savez("unsure.npz", frames_train=np.nan_to_num(frames), labels_train=labels)
    ragged = np.array([[1, 2], [1]], dtype=object)
    np.savez("ragged.npz", frames_train=ragged, labels_train=ragged)
    return amiss


def test_rows_of_any_lengths_are_learned_and_labeled(rows):
    said = rows(*TRAIN, "--feedback", "--sampled", "0.5")
    assert said.code == 0, said.err
    figures = json.loads(Path("run/training.json").read_text())["figures"]
    assert figures["sequences"] == 40 and 0 < figures["accuracy"] < 1 and 0.1 < figures["nats"] < 2
    model, facts = load_model("run/model.safetensors")
    assert facts["classes"] == ["0", "1"] and model.feedback and model.recurrent.hidden == 6
    labels = model.label(torch.randn(2, 5, 2), torch.tensor([5, 3]))
    assert labels[1, 3:].tolist() == [0, 0]
    assert rows(*TRAIN, "--feedback", "--sampled", "0.5", "--more", "2").code == 0
    assert json.loads(Path("run/training.json").read_text())["history"]["steps"] == 8
    rows("sample", "run/model.safetensors").refused("sample-options", "a model of labels", code=2)


@pytest.mark.parametrize("task", ["parity", "echo", "chained"])
def test_tasks_are_learned_by_their_names(amiss, task):
    said = amiss("train", "label-sequence", task, "--limit", "40", "--steps", "2", "--hidden", "3", "--out", "run")
    assert said.code == 0, said.err
    assert "accuracy" in said.out and "nats" in said.out


@pytest.mark.parametrize(
    ("words", "slug", "code"),
    [
        ("whole.npz", "sequences-labels", 1),
        ("movies.npz", "label-frames-kind", 1),
        ("short.npz", "sequences", 1),
        ("empty.npz", "sequences", 1),
        ("holes.npz", "sequences-finite", 1),
        ("unsure.npz", "sequences", 1),
        ("ragged.npz", "data-npz", 1),
        ("signals", "sequences-labels", 1),
        ("nothing.npz", "sequences-missing", 1),
        ("rows.npz --sampled 0.5", "label-sampled", 2),
        ("rows.npz --feedback --sampled 2", "label-sampled", 2),
        ("rows.npz --hidden 0", "recurrent-network", 2),
        ("rows.npz --cell elm", "train-option", 2),
    ],
)
def test_what_cannot_be_learned_is_refused(rows, words, slug, code):
    rows("train", "label-sequence", *words.split(), "--out", "other").refused(slug, code=code)


def test_labels_of_frames_are_none_of_a_whole(rows):
    rows("train", "sequence-classifier", "rows.npz", "--out", "other").refused("sequences-labels", code=1)


def test_numbers_beside_frames_are_refused(rows):
    arrays = dict(np.load("rows.npz"))
    beside = {f"beside_{split}": np.zeros((*arrays[f"frames_{split}"].shape[:2], 2)) for split in ("train", "test")}
    np.savez("beside.npz", **arrays, **beside)
    row = rows("train", "label-sequence", "beside.npz", "--out", "other").refused("sequences-beside", code=1)
    assert "torch.cat([frames, beside], 2)" in row["Try"] and "--no-beside" not in row["Try"]


def test_splits_of_different_frames_are_refused_before_anything_is_trained(amiss):
    frames, labels = np.zeros((4, 3, 2), np.float32), np.zeros((4, 3), np.int64)
    np.savez("apart.npz", frames_train=frames, labels_train=labels, frames_test=frames[:, :, :1], labels_test=labels)
    said = amiss("train", "label-sequence", "apart.npz", "--out", "run")
    said.refused("train-frames", code=1)
    assert "1 with 0 numbers" in said.err and "2 with 0 numbers" in said.err
