"""Sequences by a word or a file."""

import numpy as np
import pytest
import torch

from amiss.data import open_data
from amiss.data.sequence_sources import BUILT_IN_SEQUENCES, open_sequences
from amiss.errors import DataError


@pytest.mark.parametrize("name", [*BUILT_IN_SEQUENCES, "digit-movies"])
def test_drawn_worlds_have_two_splits_of_different_rows(name):
    train, test = (open_sequences(name, split=split, limit=14) for split in ("train", "test"))
    assert len(train) == len(test) == 14
    assert train.classes == test.classes
    assert train.fingerprint != test.fingerprint
    assert open_sequences(name, limit=14).fingerprint == train.fingerprint
    assert open_sequences(name, limit=14, seed=1).fingerprint not in (train.fingerprint, test.fingerprint)


def test_no_frame_of_noise_stands_in_both_splits():
    train, test = (open_sequences("digit-movies", split=split).frames.flatten(0, 1) for split in ("train", "test"))
    rows = {frame.numpy().tobytes() for frame in train}
    assert len(rows) > 0.99 * len(train)
    assert not any(frame.numpy().tobytes() in rows for frame in test)


def test_a_file_of_arrays_is_read(tmp_path):
    frames, labels = np.random.default_rng(0).random((5, 4, 2)), np.array([0, 1, 0, 1, 1])
    np.savez(tmp_path / "a.npz", frames_train=frames, labels_train=labels, lengths_train=[4, 3, 2, 1, 4],
             frames_test=frames[:2])  # fmt: skip
    train = open_sequences(tmp_path / "a.npz", limit=4)
    assert torch.equal(train.frames, torch.tensor(frames[:4]).float())
    assert train.lengths.tolist() == [4, 3, 2, 1] and train.truth.tolist() == [0, 1, 0, 1]
    assert open_sequences(tmp_path / "a.npz", split="test").labels is None


@pytest.mark.parametrize("open_", [open_sequences, lambda source: open_data(f"strips:{source}", split="train")])
def test_a_file_in_the_home_folder_is_found(tmp_path, monkeypatch, open_):
    np.savez(tmp_path / "a.npz", frames_train=np.zeros((2, 3, 1, 8, 8), np.uint8), labels_train=[0, 1])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_("~/a.npz")) == 2


def test_classes_of_a_file_have_their_names(tmp_path):
    np.savez(
        tmp_path / "a.npz", frames_train=np.zeros((2, 3, 1)), labels_train=[0, 1], classes=["calm", "red", "far"]
    )
    assert open_sequences(tmp_path / "a.npz").classes == ("calm", "red", "far")


def test_one_wild_label_does_not_fill_the_memory(tmp_path):
    np.savez(tmp_path / "a.npz", frames_train=np.zeros((2, 3, 1)), labels_train=[0, 2 * 10**12])
    with pytest.raises(DataError) as caught:
        open_sequences(tmp_path / "a.npz")
    assert caught.value.slug == "sequences"


def test_names_without_a_split_are_shown_beside_those_that_are_needed(tmp_path):
    for names, seen, wanted in (
        (("frames", "labels"), "frames, labels", "frames_train=frames"),
        (("x", "y"), "x, y", "frames_train=x"),
        (("frame_train",), "frame_train", "frames_train=..."),
        (tuple("abcdefghij"), "a, b, c, d, e, f, g, h, ...", "frames_train=..."),
        ((), "no array", "frames_train=..."),
    ):
        np.savez(tmp_path / "a.npz", **{name: np.zeros((2, 3, 1)) for name in names})
        with pytest.raises(DataError) as caught:
            open_sequences(tmp_path / "a.npz")
        assert caught.value.slug == "data-split" and caught.value.needed == "frames_train"
        assert caught.value.seen == seen and wanted in caught.value.hint


def test_what_is_no_file_of_sequences_is_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", frames_train=np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    np.savez(tmp_path / "words.npz", frames_train=np.array([["a"]]))
    (tmp_path / "text.npz").write_text("no archive")
    for name, slug in (
        ("nothing.npz", "sequences-missing"),
        ("cels", "sequences-missing"),
        ("objects.npz", "data-npz"),
        ("text.npz", "data-npz"),
        ("words.npz", "data-npz"),
        ("other.npz", "data-split"),
    ):
        with pytest.raises(DataError) as caught:
            open_sequences(tmp_path / name if name.endswith("npz") else name)
        assert caught.value.slug == slug, name
    with pytest.raises(DataError, match="data-split"):
        open_sequences("signals", split="val")
