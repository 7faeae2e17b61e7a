"""A run folder of a stranger's: nothing outside it is read, written or removed, and nonsense in it ends in words."""

import json
import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from amiss.cli.looking import look
from amiss.errors import DataError
from amiss.recipes import pgd
from amiss.study import Inputs, Store, Study
from amiss.study.ledger import lines, read_ledger
from amiss.study.strangers import is_account, is_digest, refuse_leads
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=6, crowd=0.15)


def study(folder):
    return Study(folder, pgd(0.05, 5, target="task", batch=3), WORLD.classifier(), Inputs.of_task(WORLD.task))


@pytest.fixture
def done(tmp_path):
    whole = study(tmp_path / "run")
    whole.run()
    return whole


def leads(done, name, outside):
    place = done.store.folder / name
    if place.is_dir():
        place.rename(place.with_name("moved"))
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside)


@pytest.mark.parametrize("name", ["state", "images", "tensors", "ledger.jsonl", "run.owner", "images/ab", "run.json"])
def test_a_link_is_refused_and_what_it_leads_to_is_left_alone(done, tmp_path, name):
    outside = tmp_path / "outside"
    if "." in name:
        outside.write_text("{}")
    else:
        outside.mkdir()
        (outside / "00000.safetensors").write_text("mine")
    leads(done, name, outside)
    before = sorted(
        (path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file() and "run" not in str(path)
    )
    for use in (done.run, lambda: look(done.store.folder)):
        with pytest.raises(DataError, match=r"run-leads|run-damaged"):
            use()
    after = sorted(
        (path, path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file() and "run" not in str(path)
    )
    assert after == before


def test_a_pipe_is_not_waited_for(done):
    os.mkfifo(done.store.folder / "flags.json")
    with pytest.raises(DataError, match="run-leads"):
        look(done.store.folder)


def test_the_run_folder_itself_may_be_a_link(done, tmp_path):
    (tmp_path / "link").symlink_to(done.store.folder)
    assert look(tmp_path / "link").finished


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", "../../../../pwn/" + "0" * 48),
        ("id", 7),
        ("digest", None),
        ("sample", -1),
        ("sample", True),
        ("offset", "0"),
        ("steps", 1.5),
        ("claimed", 1),
        ("reason", ["no"]),
        ("status", "won"),
        ("status", []),
        ("size", []),
        ("loss", "many"),
    ],
)
def test_a_line_of_another_kind_is_not_believed(done, tmp_path, name, value):
    path = done.store.folder / "ledger.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    row = json.loads(first)
    del row["crc"]
    row[name] = value
    body = json.dumps(row, separators=(",", ":"))
    forged = f'{body[:-1]},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'
    path.write_text(forged + "".join(rest))
    assert read_ledger(path).damaged == 1
    done.run()
    assert {p.name for p in tmp_path.iterdir()} == {"run"}
    assert len(done.result()) == 6


def test_rows_beyond_a_shard_and_samples_of_others_are_not_believed(done):
    path = done.store.folder / "ledger.jsonl"
    entries = list(read_ledger(path).entries.values())
    far, other = replace(entries[0], offset=99), replace(entries[1], sample=77)
    path.write_bytes(lines([far, other, *entries[2:]]))
    assert set(Store(done.store.folder).recover().entries) <= {2, 3, 4, 5, 77}
    done.run()
    assert torch.equal(done.result().images, study(done.store.folder).result().images)
    assert sorted(done.read().entries[k].sample for k in range(6)) == list(range(6))


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"fingerprints": {"model": 5}},
        {"fingerprints": []},
        {"fingerprints": {}, "sessions": 5},
        {"fingerprints": {}, "sessions": [{"began": "now"}]},
        {"fingerprints": {}, "sessions": [{"began": "now", "versions": {}, "damage": [3]}]},
        {"fingerprints": {}, "n": -1},
        {"fingerprints": {}, "n": True},
        {"fingerprints": {}, "unreadable": ["x"]},
        {"fingerprints": {}, "references": 5},
        {"fingerprints": {}, "recipe": 5},
    ],
)
def test_an_account_of_another_kind_is_damaged(done, said):
    assert not is_account(said)
    (done.store.folder / "run.json").write_text(json.dumps(said))
    for use in (done.run, lambda: look(done.store.folder)):
        with pytest.raises(DataError, match="run-damaged"):
            use()


def test_nesting_without_end_is_damage(done):
    for name in ("run.json", "flags.json"):
        (done.store.folder / name).write_text("[" * 100_000)
    with pytest.raises(DataError, match="run-damaged"):
        done.run()


@pytest.mark.parametrize("flags", ["[1, 2]", '[{"slug": 1}]', "{}", "[" * 100_000])
def test_flags_of_another_kind_are_none(done, flags):
    (done.store.folder / "flags.json").write_text(flags)
    assert look(done.store.folder).flags is None


def test_digests():
    assert is_digest("0a" * 32)
    assert not any(map(is_digest, ("0A" * 32, "0a" * 31, "0a" * 32 + "\n", None, 7)))


def test_what_is_gone_before_it_is_looked_at_is_no_matter(done, monkeypatch):
    seen = Path.lstat

    def gone(path):
        if path.name == "report.html":
            raise FileNotFoundError(2, "gone", str(path))
        return seen(path)

    (done.store.folder / "report.html").write_text("soon gone")
    monkeypatch.setattr(Path, "lstat", gone)
    refuse_leads(done.store.folder)
