"""A file is whole or not there, whatever call the world ends at; and what a call returned from stays."""

import errno
import os
from contextlib import nullcontext

import pytest

from amiss.bench.trust_disks import CountingDisk, FullDisk, KilledDisk, PowerDisk, Stopped
from amiss.disk import PART, Disk
from amiss.errors import DataError

OLD, NEW = b"old" * 100, b"newer" * 100


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def two_writes(disk, root):
    disk.folder(root)
    disk.write(root / "deep" / "inner" / "x", OLD)
    disk.write(root / "deep" / "inner" / "x", NEW)


def appends(disk, root):
    disk.folder(root)
    for line in (b"one\n", b"two\n", b"three\n"):
        disk.append(root / "log", line)


def calls(work, tmp_path):
    disk = CountingDisk()
    work(disk, tmp_path / "count")
    return disk.calls


def test_files_are_written_appended_cut_and_removed(tmp_path):
    disk = Disk()
    two_writes(disk, tmp_path / "run")
    appends(disk, tmp_path / "run")
    assert files(tmp_path / "run") == {"deep/inner/x": NEW, "log": b"one\ntwo\nthree\n"}
    disk.cut(tmp_path / "run" / "log", 4)
    assert (tmp_path / "run" / "log").read_bytes() == b"one\n"
    for _ in range(2):
        disk.remove(tmp_path / "run" / "log")
    assert files(tmp_path / "run") == {"deep/inner/x": NEW}


def test_a_write_that_comes_in_pieces_is_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:7])))
    Disk().write(tmp_path / "x", NEW)
    assert (tmp_path / "x").read_bytes() == NEW


@pytest.mark.parametrize("kind", [KilledDisk, PowerDisk])
def test_wherever_the_world_ends_a_file_is_the_old_or_the_new_one(tmp_path, kind):
    seen = []
    for k in range(1, calls(two_writes, tmp_path) + 1):
        root, disk = tmp_path / str(k), kind(k)
        with pytest.raises(Stopped):
            two_writes(disk, root)
        if kind is PowerDisk:
            disk.blackout(root)
        there = files(root)
        assert all(name.endswith(PART) for name in there if name != "deep/inner/x")
        seen.append(there.get("deep/inner/x"))
    order = [None, OLD, NEW]
    stages = [order.index(content) for content in seen]
    assert stages == sorted(stages)
    assert set(stages) == ({0, 1, 2} if kind is KilledDisk else {0, 1})  # its last call is what makes the name stay


@pytest.mark.parametrize("kind", [KilledDisk, PowerDisk])
def test_wherever_the_world_ends_a_log_is_a_beginning_of_what_was_appended(tmp_path, kind):
    whole, sizes = b"one\ntwo\nthree\n", []
    for k in range(1, calls(appends, tmp_path) + 1):
        root, disk = tmp_path / str(k), kind(k)
        with pytest.raises(Stopped):
            appends(disk, root)
        if kind is PowerDisk:
            disk.blackout(root)
        log = files(root).get("log", b"")
        assert whole.startswith(log)
        sizes.append(len(log))
    assert sizes == sorted(sizes)
    assert len(set(sizes)) >= 3


def test_what_was_returned_from_outlives_a_power_cut(tmp_path):
    disk = PowerDisk()
    two_writes(disk, tmp_path / "run")
    appends(disk, tmp_path / "run")
    disk.cut(tmp_path / "run" / "log", 4)
    disk.blackout(tmp_path / "run")
    assert files(tmp_path / "run") == {"deep/inner/x": NEW, "log": b"one\n"}


class Forgetful(PowerDisk):
    """Flushes files and forgets folders, or the other way round."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def _sync(self, descriptor):
        if self.what != "files":
            super()._sync(descriptor)

    def _sync_folder(self, folder):
        if self.what != "folders":
            super()._sync_folder(folder)


@pytest.mark.parametrize("what", ["files", "folders"])
def test_the_power_cut_takes_what_was_not_flushed(tmp_path, what):
    disk = Forgetful(what)
    two_writes(disk, tmp_path / "run")
    disk.blackout(tmp_path / "run")
    assert files(tmp_path / "run") != {"deep/inner/x": NEW}


@pytest.mark.parametrize("work", [two_writes, appends])
def test_a_full_disk_is_an_error_of_ours_and_leaves_what_was_there(tmp_path, work, refuses):
    last = calls(work, tmp_path)
    for k in range(1, last + 2):
        root, disk = tmp_path / str(k), FullDisk(k)
        with refuses(DataError, "data-write") if k <= last else nullcontext():
            work(disk, root)
        there = files(root)
        assert set(there) <= {"deep/inner/x", "log"}  # nothing half written beside it
        assert there.get("deep/inner/x", OLD) in (OLD, NEW)


def test_errors_of_the_system_become_errors_of_ours(tmp_path, refuses):
    disk = Disk()
    (tmp_path / "file").write_text("a file")
    for refused in (
        lambda: disk.write(tmp_path / "file" / "x", b""),
        lambda: disk.append(tmp_path / "file" / "x", b""),
        lambda: disk.append(tmp_path, b""),
        lambda: disk.cut(tmp_path / "none", 0),
        lambda: disk.remove(tmp_path),
        lambda: disk.folder(tmp_path / "file" / "inner"),
    ):
        with refuses(DataError, "data-write"):
            refused()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="a system whose files are not told from links")
def test_nothing_is_written_through_a_link(tmp_path, refuses):
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_bytes(OLD)
    link.symlink_to(mine)
    (tmp_path / "nowhere").symlink_to(tmp_path / "new")
    for refused in (
        lambda: Disk().append(link, NEW),
        lambda: Disk().cut(link, 0),
        lambda: Disk().append(tmp_path / "nowhere", NEW),
    ):
        with refuses(DataError, "data-write"):
            refused()
    Disk().write(link, NEW)  # takes the place of the link
    assert (mine.read_bytes(), link.read_bytes()) == (OLD, NEW)
    assert not link.is_symlink()
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
def test_file_systems_that_cannot_flush_folders_are_borne_with_and_failures_are_not(tmp_path, monkeypatch, refuses):
    sync = os.fsync

    def failing(number):
        def fail(descriptor):
            if os.path.isdir(f"/dev/fd/{descriptor}"):
                raise OSError(number, os.strerror(number))
            sync(descriptor)

        return fail

    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    Disk().write(tmp_path / "x", NEW)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with refuses(DataError, "data-write"):
        Disk().write(tmp_path / "x", NEW)
