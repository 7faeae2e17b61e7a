"""A file of tensors is what was written, or it is refused: no byte of it can change unseen."""

import json

import pytest
import torch

from amiss.disk import Disk
from amiss.errors import CheckpointError
from amiss.tensorfile import contents_digest, encode_tensors, read_about, read_tensors, write_tensors

TENSORS = {"a": torch.arange(4.0), "b": torch.tensor([True, False]), "c": torch.zeros(0, 3, dtype=torch.bfloat16)}
ABOUT = {"name": "x", "list": [1, 2.5, None], "deep": {"é": "\ud800"}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "inner" / "x.safetensors"
    write_tensors(path, TENSORS, ABOUT)
    return path


def test_tensors_and_values_come_back(file):
    tensors, about = read_tensors(file)
    assert about == read_about(file) == ABOUT
    assert list(tensors) == sorted(TENSORS)
    assert all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in TENSORS.items())


def test_the_digest_names_the_contents(tmp_path, file):
    written = write_tensors(tmp_path / "y.safetensors", dict(reversed(TENSORS.items())), ABOUT)
    assert written == contents_digest(*read_tensors(file)) == encode_tensors(TENSORS, ABOUT)[1]
    others = [
        ({**TENSORS, "a": torch.arange(4.0) + 1}, ABOUT),
        ({**TENSORS, "a": torch.arange(4)}, ABOUT),
        ({"x" + k: v for k, v in TENSORS.items()}, ABOUT),
        (TENSORS, {**ABOUT, "name": "y"}),
    ]
    assert written not in [encode_tensors(*other)[1] for other in others]


def test_views_and_gradients_are_written_as_plain_tensors(tmp_path):
    base = torch.rand(4, 4, requires_grad=True)
    write_tensors(tmp_path / "v.safetensors", {"t": base.mT, "row": base[1]}, {})
    tensors, _ = read_tensors(tmp_path / "v.safetensors")
    assert torch.equal(tensors["t"], base.detach().mT)
    assert torch.equal(tensors["row"], base[1].detach())


@pytest.mark.parametrize("mask", [1, 0x20, 0x80])
def test_no_byte_changes_unseen(file, mask):
    whole, name = file.read_bytes(), contents_digest(*read_tensors(file))
    refused = 0
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        try:
            tensors, about = read_tensors(file)
        except CheckpointError:
            refused += 1
            continue
        assert about == ABOUT  # what is read all the same is what was written
        assert contents_digest(*read_tensors(file)) == name
        assert all(torch.equal(tensors[k], v) for k, v in TENSORS.items())
    assert refused > 0.9 * len(whole)


def test_no_beginning_of_a_file_is_one(file, refuses):
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with refuses(CheckpointError, "checkpoint-corrupt"):
            read_tensors(file)


def test_what_is_not_there_or_not_ours_is_refused(tmp_path, refuses):
    from safetensors.torch import save_file

    with refuses(CheckpointError, "checkpoint-missing"):
        read_tensors(tmp_path / "none.safetensors")
    save_file(TENSORS, tmp_path / "other.safetensors")
    for read in (read_tensors, read_about):
        with refuses(CheckpointError, "checkpoint-foreign"):
            read(tmp_path / "other.safetensors")
    header = {"format": "amiss-1", "digest": "", "about": json.dumps([1])}
    for about in ("[1]", "{", "[" * 100_000):
        save_file(TENSORS, tmp_path / "list.safetensors", {**header, "about": about})
        with refuses(CheckpointError, "checkpoint-corrupt"):
            read_about(tmp_path / "list.safetensors")


@pytest.mark.parametrize("about", [{"x": float("nan")}, {"x": torch.zeros(1)}])
def test_only_plain_values_travel_in_the_header(tmp_path, about, refuses):
    with refuses(CheckpointError, "checkpoint-about"):
        write_tensors(tmp_path / "x.safetensors", {}, about)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_leaves_the_file_before(file, monkeypatch, refuses):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Disk, "_write", fail)
    with refuses(CheckpointError, "checkpoint-write"):
        write_tensors(file, {}, {})
    assert read_tensors(file)[1] == ABOUT


def test_a_missing_file_says_what_the_folder_holds(file):
    for missing in (file.parent, file.parent / "y.safetensors"):
        with pytest.raises(CheckpointError, match=r"the folder holds x\.safetensors"):
            read_about(missing)
    file.rename(file.parent / "state.safetensors")
    with pytest.raises(CheckpointError, match="training has not ended"):
        read_about(file)
