"""A study that was stopped, however that happened, comes to what one that was left in peace comes to."""

import json
import subprocess
import sys
from contextlib import suppress

import pytest

from amiss.bench.trust_disks import CountingDisk, FullDisk, KilledDisk, PowerDisk, Stopped
from amiss.bench.trust_studies import lost, same
from amiss.errors import DataError, Interrupted
from amiss.study import Saving
from amiss.study.lock import OWNER
from amiss.study.sameness import run_digest
from tests.study.studies import entries, study

KINDS = ("pgd", "lse", "square", "elites")


@pytest.fixture(scope="module")
def peace(tmp_path_factory):
    """Of each kind: the digest of a run that was left in peace, its turns, and its calls to the disk."""
    told = {}
    for kind in KINDS:
        made = study(tmp_path_factory.mktemp("peace") / kind, kind)
        turns = []
        made.run(stop=lambda turns=turns: turns.append(1))
        told[kind] = run_digest(made.store), len(turns), made.disk.calls
    return told


def sound(made, digest):
    """Equal to a run left in peace, with nothing missing, nothing twice, and nothing left over."""
    n = len(made.inputs)
    assert run_digest(made.store) == digest
    assert sorted(entries(made)) == list(range(n))
    assert not list(made.folder.glob("state/*"))
    assert not [path for path in made.folder.rglob("*") if path.name.endswith(".part")]
    assert lost(made) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_any_turn_and_resumed_it_is_the_same(tmp_path, kind, peace):
    digest, turns, _ = peace[kind]
    for turn in range(turns):
        made = study(tmp_path / str(turn), kind)
        left = iter(range(turn))
        with pytest.raises(Interrupted):
            made.run(stop=lambda left=left: next(left, None) is None)
        study(tmp_path / str(turn), kind).run()
        sound(made, digest)


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_at_every_turn_it_gets_to_its_end_all_the_same(tmp_path, kind, peace):
    digest, turns, _ = peace[kind]
    for _ in range(turns):
        with pytest.raises(Interrupted) as caught:
            study(tmp_path, kind).run(stop=lambda: True)
    assert caught.value.exit_code == 130
    made = study(tmp_path, kind)
    made.run(stop=lambda: True)  # all turns are done: nothing is left to stop
    sound(made, digest)
    assert len(made.store.about["sessions"]) == turns + 1


def test_how_often_it_saves_changes_nothing(tmp_path, peace):
    for i, saving in enumerate((Saving(), Saving(seconds=0), Saving(turns=1), Saving(turns=100))):
        made = study(tmp_path / str(i), "lse", saving=saving)
        with pytest.raises(Interrupted):
            made.run(stop=lambda left=iter(range(3)): next(left, None) is None)
        made.run()
        sound(made, peace["lse"][0])


def test_a_search_whose_rows_compete_has_a_line_a_task_and_one_shard(tmp_path):
    made = study(tmp_path, "elites")
    made.run()
    assert {entry.shard for entry in entries(made).values()} == {0}
    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == len(made.inputs) == 2


@pytest.mark.parametrize("kind", ["pgd", "lse"])
def test_interrupted_outright_it_is_not_locked_and_goes_on(tmp_path, kind, peace):
    digest, turns, _ = peace[kind]
    for k in range(1, turns + 3, 3):
        left = iter(range(k))

        def press(*_, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            study(tmp_path / str(k), kind).run(progress=press)
        assert not (tmp_path / str(k) / OWNER).exists()
        made = study(tmp_path / str(k), kind)
        made.run()
        sound(made, digest)


def test_a_reader_sees_whole_shards_and_disturbs_nobody(tmp_path, peace):
    made, seen = study(tmp_path, "lse"), []

    def look(*_):
        other = study(tmp_path, "lse")
        found = other.store.recover()
        assert not found.damage
        seen.append(len(found.entries))
        if found.entries:
            assert len(other.result()) == len(found.entries)

    made.run(progress=look)
    assert seen == sorted(seen)
    assert set(seen) == {0, 2, 4}
    sound(made, peace["lse"][0])


@pytest.mark.parametrize(("kind", "every"), [("pgd", 1), ("lse", 4), ("elites", 2)])
@pytest.mark.parametrize("end", [KilledDisk, PowerDisk])
def test_wherever_the_world_ends_nothing_is_lost(tmp_path, kind, every, end, peace):
    digest, _, calls = peace[kind]
    assert calls > 40
    for k in range(1, calls + 1, every):
        folder, disk = tmp_path / str(k), end(k)
        with pytest.raises(Stopped):
            study(folder, kind, disk=disk).run()
        if end is PowerDisk:
            disk.blackout(folder)
        made = study(folder, kind)
        made.run()
        sound(made, digest)


@pytest.mark.parametrize("end", [KilledDisk, PowerDisk])
def test_the_world_may_end_again_while_a_run_picks_up_the_pieces(tmp_path, end, peace):
    digest, _, calls = peace["pgd"]
    twice = 0
    for k in range(calls // 2, calls, 13):
        for again in range(1, 40, 5):
            folder, disk = tmp_path / f"{k}-{again}", end(k)
            for at in (again, 0):
                with suppress(Stopped):
                    study(folder, disk=disk).run()
                twice += disk.over and not at
                if disk.over and end is PowerDisk:
                    disk.blackout(folder)
                disk.revive(at)
            made = study(folder, disk=disk)
            made.run()
            sound(made, digest)
    assert twice > 8


def test_a_disk_without_room_is_told_and_costs_nothing(tmp_path, peace):
    digest, _, calls = peace["pgd"]
    told = set()
    for k in range(1, calls - 4, 2):  # what takes files away needs no room
        folder = tmp_path / str(k)
        with pytest.raises(DataError, match="No space left") as caught:
            study(folder, disk=FullDisk(k)).run()
        told.add(caught.value.slug)
        made = study(folder)
        made.run()
        sound(made, digest)
    assert told == {"data-write", "out-not-writable"}  # the second where not even the folder could be made


def test_the_ledger_cut_at_every_byte_of_its_last_line(tmp_path, peace):
    made = study(tmp_path)
    made.run()
    ledger = tmp_path / "ledger.jsonl"
    whole = ledger.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, last + 1):
        ledger.write_bytes(whole[:-cut])
        made = study(tmp_path)
        assert sorted(entries(made)) == [0, 1, 2]
        if cut in (1, 2, last - 1, last) or cut % 60 == 0:
            made.run()
            sound(made, peace["pgd"][0])


def test_killed_at_random_and_with_two_at_once():
    done = subprocess.run(
        [sys.executable, "-m", "amiss.bench.trust_killing", "0", "5"], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told.pop("two") == {"refused": 1, "named": 1, "same": 1, "lost": 0}
    for account in told.values():
        assert account["kills"] == 5
        assert account["same"] == account["runs"] >= 1
        assert account["lost"] == 0


def test_the_judge_of_sameness_can_say_no(tmp_path, peace):
    made = study(tmp_path)
    made.run()
    for path in sorted(tmp_path.rglob("*")):
        if path.is_dir() or path.name in ("run.json", "run.lock"):
            continue
        data = path.read_bytes()
        path.write_bytes(data[:-40])
        assert not same(made, peace["pgd"][0]), path
        path.write_bytes(data)
    assert run_digest(made.store) == peace["pgd"][0]
    (tmp_path / "images" / "zz").mkdir()
    (tmp_path / "images" / "zz" / ".x.part").write_bytes(b"")
    assert run_digest(made.store) != peace["pgd"][0]


def test_the_counting_disk_counts_what_a_disk_does(tmp_path):
    made = study(tmp_path, disk=CountingDisk())
    made.run()
    assert made.disk.calls > 5 * len(made.inputs)
