"""One process a folder: the second is told who the first is, and an owner that died holds nothing."""

import os
import signal
import subprocess
import sys

import pytest

from amiss.disk import Disk
from amiss.errors import DataError
from amiss.study.lock import LOCK, OWNER, locked

CHILD = """
import sys, time
from pathlib import Path
from amiss.disk import Disk
from amiss.study.lock import locked
with locked(Path(sys.argv[1]), Disk()):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that holds the folder."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def hold(folder):
    with locked(folder, Disk()):
        return sorted(path.name for path in folder.iterdir())


def test_the_second_process_is_told_who_the_first_is_until_that_dies(tmp_path, owner, refuses):
    with refuses(DataError, "run-locked") as caught:
        hold(tmp_path / "run")
    assert f"process {owner.pid} on " in caught.value.seen
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    assert (tmp_path / "run" / OWNER).is_file()  # it could not tidy up
    assert hold(tmp_path / "run") == [LOCK, OWNER]


def test_two_in_one_process_are_two(tmp_path, refuses):
    with locked(tmp_path / "run", Disk()):
        with refuses(DataError, "run-locked") as caught:
            hold(tmp_path / "run")
        assert f"process {os.getpid()} on " in caught.value.seen
    hold(tmp_path / "run")


def test_a_folder_is_free_after_its_block_even_if_that_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "run", Disk()):
        raise KeyboardInterrupt
    assert hold(tmp_path / "run") == [LOCK, OWNER]
    assert not (tmp_path / "run" / OWNER).exists()


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"[]", b'{"pid": "x"}', b'{"pid": 1}', b"null"])
def test_an_owner_that_talks_nonsense_is_still_one(tmp_path, said, refuses):
    with locked(tmp_path, Disk()):
        (tmp_path / OWNER).write_bytes(said)
        with refuses(DataError, "run-locked") as caught:
            hold(tmp_path)
        assert caught.value.seen == "a process that did not say who it is"


def test_an_owner_that_cannot_be_named_holds_all_the_same(tmp_path):
    (tmp_path / OWNER).mkdir()
    assert hold(tmp_path) == [LOCK, OWNER]
    assert hold(tmp_path) == [LOCK, OWNER]


@pytest.mark.parametrize("blocked", ["the folder", "the lock"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, blocked, refuses):
    folder = tmp_path / "run"
    if blocked == "the folder":
        (tmp_path / "run").write_text("a file")
        folder = folder / "inner"
    else:
        (folder / LOCK).mkdir(parents=True)
    with refuses(DataError, "out-not-writable"):
        hold(folder)
