"""Only what is whole, of this run, and in its place is believed; reading changes nothing, mending loses nothing."""

import shutil
import zlib
from dataclasses import replace

import pytest
import torch

from amiss.bench.trust_disks import KilledDisk, Stopped
from amiss.constraints import LatentNorm
from amiss.data import read_image, to_bytes, write_png
from amiss.data.files import encode_png
from amiss.disk import PART
from amiss.errors import DataError, Interrupted
from amiss.study import Store
from amiss.study.sameness import run_digest
from amiss.study.store import LEDGER, RUN
from tests.study.studies import entries, probe, study


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of two shards, its digest beside it."""
    made = study(tmp_path_factory.mktemp("store") / "whole", "lse")
    made.run()
    return made, run_digest(made.store)


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it to be damaged."""
    shutil.copytree(whole[0].folder, tmp_path / "run")
    return study(tmp_path / "run", "lse")


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stopped(made, turns=3):
    """Run a study until so many turns are done."""
    left = iter(range(turns - 1))
    with pytest.raises(Interrupted):
        made.run(stop=lambda: next(left, None) is None)
    return made


def damage(made):
    return made.store.about["sessions"][-1]["damage"]


def image(made, i):
    return made.store.image_path(made.inputs.ids[i], i)


HARM = {
    "shard deleted": (lambda s: s.store.shard_path(0).unlink(), "tensors/00000.safetensors (2 samples)", {2, 3}),
    "shard emptied": (
        lambda s: s.store.shard_path(1).write_bytes(b""),
        "tensors/00001.safetensors (2 samples)",
        {0, 1},
    ),
    "shards swapped": (
        lambda s: swap(s.store.shard_path(0), s.store.shard_path(1)),
        "tensors/00000.safetensors (2 samples)",
        set(),
    ),
    "ledger deleted": (lambda s: (s.folder / LEDGER).unlink(), None, set()),
    "ledger emptied": (lambda s: (s.folder / LEDGER).write_bytes(b""), None, set()),
    "ledger torn": (lambda s: cut(s.folder / LEDGER, 9), f"the end of {LEDGER}, torn off", {0, 1, 2}),
    "line damaged": (lambda s: flip(s.folder / LEDGER, 30), f"1 lines of {LEDGER}", {1, 2, 3}),
    "image deleted": (lambda s: image(s, 2).unlink(), "1 images of tensors/00001.safetensors", {0, 1, 3}),
    "image emptied": (lambda s: image(s, 2).write_bytes(b""), "1 images of tensors/00001.safetensors", {0, 1, 3}),
    "image of another": (
        lambda s: shutil.copy(image(s, 0), image(s, 2)),
        "1 images of tensors/00001.safetensors",
        {0, 1, 3},
    ),
    "images gone": (lambda s: shutil.rmtree(s.folder / "images"), "2 images of tensors/00000.safetensors", set()),
}


def swap(one, other):
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)


def cut(path, n):
    path.write_bytes(path.read_bytes()[:-n])


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", HARM)
def test_damage_is_told_and_done_again_and_the_rest_is_kept(copy, whole, harm):
    do, said, kept = HARM[harm]
    do(copy)
    before = files(copy.folder)
    found = copy.store.recover()
    assert set(found.entries) == kept
    assert files(copy.folder) == before  # whoever only reads changes nothing
    copy.run()
    assert run_digest(copy.store) == whole[1]
    assert (said in damage(copy)) if said else damage(copy) == []
    copy.run()
    assert damage(copy) == []  # said once, and mended


@pytest.mark.parametrize("harm", ["line damaged", "image deleted", "ledger torn"])
def test_damage_is_told_even_if_the_world_ends_while_it_is_mended(copy, harm):
    do, said, _ = HARM[harm]
    do(copy)
    for k in range(1, 15):
        folder = copy.folder.parent / str(k)
        shutil.copytree(copy.folder, folder)
        with pytest.raises(Stopped):
            study(folder, "lse", disk=KilledDisk(k)).run()
        made = study(folder, "lse")
        made.run()
        assert said in [text for session in made.store.about["sessions"] for text in session["damage"]]


@pytest.mark.parametrize("what", ["shard", LEDGER])
def test_no_byte_flipped_changes_what_is_believed(copy, whole, what):
    path = copy.store.shard_path(0) if what == "shard" else copy.folder / LEDGER
    data, true = path.read_bytes(), {i: repr(entry) for i, entry in entries(whole[0]).items()}
    unseen = 0
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found = copy.store.recover()
        assert {i: repr(entry) for i, entry in found.entries.items()}.items() <= true.items()
        if len(found.entries) < 4:
            assert found.damage
        else:  # what is believed all the same holds what was written
            unseen += 1
            assert torch.equal(copy.result().images, whole[0].result().images)
    assert unseen < len(data) / 30


@pytest.mark.parametrize("at", [5, 90, 700, -200, -1])
@pytest.mark.parametrize("what", ["shard", "state", "image", LEDGER])
def test_what_a_flipped_byte_cost_is_done_again(tmp_path, whole, what, at):
    made = stopped(study(tmp_path / "run", "lse"), 12)  # one shard done, the other at work
    assert len(entries(made)) == 2
    path = {"shard": made.store.shard_path(0), "state": made.store.state_path(1), "image": image(made, 0)}.get(
        what, made.folder / LEDGER
    )
    flip(path, at % path.stat().st_size)
    made.run()
    assert run_digest(made.store) == whole[1]
    assert damage(made) or what in ("shard", "state")  # of their headers some bytes say nothing


def test_states_are_believed_only_in_their_place(tmp_path, whole):
    made = stopped(study(tmp_path / "run", "lse"))
    state = made.store.state_path(0)
    run = whole[0].store.about["fingerprints"]
    assert run == made.store.about["fingerprints"]
    other = stopped(study(tmp_path / "other", "lse", frames=2))
    later = stopped(study(tmp_path / "later", "lse"), 12)
    for foreign in (other.store.state_path(0), later.store.state_path(1), whole[0].store.shard_path(0)):
        shutil.copy(foreign, state)
        assert made.store.recover().damage == ("state/00000.safetensors",)
        made = study(tmp_path / "run", "lse")
        made.run()
        assert damage(made) == ["state/00000.safetensors"]
        assert run_digest(made.store) == whole[1]
        shutil.rmtree(made.folder)
        stopped(made)


def test_a_state_of_another_version_begins_its_shard_again(tmp_path, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("amiss.study.store.__version__", "0.0.0")
        made = stopped(study(tmp_path / "run", "lse"))
    made.run()
    assert damage(made) == ["state/00000.safetensors"]
    assert run_digest(made.store) == whole[1]


def test_files_in_the_state_folder_that_no_shard_has_are_taken_away(copy, whole):
    copy.store.state_path(0).parent.mkdir(exist_ok=True)
    shutil.copy(copy.store.shard_path(0), copy.store.state_path(0).with_name("mine.safetensors"))
    copy.run()
    assert damage(copy) == ["state/mine.safetensors"]
    assert run_digest(copy.store) == whole[1]


def test_ledger_shards_and_images_of_another_run_are_not_believed(tmp_path, whole):
    other = study(tmp_path / "other", "lse", probe=probe("lse"), frames=2)
    other.run()
    made = stopped(study(tmp_path / "run", "lse"))
    for name in ("tensors", "images", LEDGER):
        source = other.folder / name
        if source.is_dir():
            shutil.copytree(source, made.folder / name, dirs_exist_ok=True)
        else:
            shutil.copy(source, made.folder / name)
    assert entries(made) == {}
    made.run()
    assert len(damage(made)) == 2
    assert run_digest(made.store) == whole[1]


def test_unfinished_files_are_taken_away_by_the_next_run_alone(copy, whole):
    parts = [copy.folder / f".x{PART}", copy.store.shard_path(0).parent / f".y.z{PART}"]
    for part in parts:
        part.write_bytes(b"half")
    copy.store.recover()
    copy.result()
    assert all(part.is_file() for part in parts)  # another process may be writing them
    copy.run()
    assert not any(part.exists() for part in parts)
    assert run_digest(copy.store) == whole[1]


def test_a_state_that_outlived_its_shard_is_taken_away(copy, whole):
    later = stopped(study(copy.folder.parent / "later", "lse"))
    (copy.folder / "state").mkdir(exist_ok=True)
    shutil.copy(later.store.state_path(0), copy.store.state_path(0))
    copy.run()
    assert not copy.store.state_path(0).exists()


def test_images_remade_by_another_packer_are_remade_once(copy, monkeypatch):
    def pack(picture):
        data = encode_png(picture)
        return data[:33] + b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4) + data[33:]

    monkeypatch.setattr("amiss.study.store.encode_png", pack)
    shown = read_image(image(copy, 1))
    image(copy, 1).unlink()
    for said in (["1 images of tensors/00000.safetensors"], []):
        copy.run()
        assert damage(copy) == said
        assert torch.equal(read_image(image(copy, 1)), shown)


def test_images_are_remade_exactly(copy):
    path, before = image(copy, 3), read_image(image(copy, 3))
    write_png(path, 255 - before)
    copy.run()
    assert torch.equal(read_image(path), before)
    assert torch.equal(to_bytes(copy.result().images[3]), before)


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"{}", b'{"fingerprints": 1}', b"\xff"])
def test_a_run_that_cannot_say_what_it_is_is_refused(copy, said, refuses):
    (copy.folder / RUN).write_bytes(said)
    before = files(copy.folder)
    for do in (copy.run, copy.store.recover):
        with refuses(DataError, "run-damaged"):
            do()
    after = files(copy.folder)
    assert all(after[path] == data for path, data in before.items())


def test_a_folder_without_a_run_holds_nothing(tmp_path):
    store = Store(tmp_path)
    assert store.about is None
    assert store.recover().entries == {}


def test_tensors_without_their_run_are_refused(copy, refuses):
    (copy.folder / RUN).unlink()
    assert copy.store.recover().entries == {}
    with refuses(DataError, "out-not-empty"):
        copy.run()


def test_images_that_bytes_cannot_hold_are_kept_as_they_are(tmp_path):
    made = study(tmp_path / "run", "lse", probe=replace(probe("lse"), constraint=LatentNorm(0.03)))
    made.run()
    images = made.result().images
    assert not torch.equal(to_bytes(images).to(images.dtype) / 255, images)
    assert torch.equal(made.probe.run(made.classifier, made.inputs.rows([0, 1, 2, 3])).images, images)


def test_whoever_reads_some_samples_gets_those(copy):
    every = copy.read()
    some = copy.read([1, 2])
    assert [entry.sample for entry in some.entries] == [1, 2]
    assert torch.equal(some.result.images, every.result.images[1:3])
    assert torch.equal(some.result.p, every.result.p[1:3])
    assert some.result.outcomes == every.result.outcomes[1:3]
    assert torch.equal(some.result.task.key, every.result.task.key[1:3])
    paths = every.result.trajectories[1:3]
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(some.result.trajectories, paths, strict=True))
    assert [path.is_file() for path in some.paths] == [True, True]
