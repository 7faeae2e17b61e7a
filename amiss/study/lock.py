"""One process a run folder: the second is told who the first is; a lock whose owner died is no lock."""

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from amiss.data.guards import open_plain
from amiss.disk import Disk
from amiss.errors import DataError

__all__ = ["LOCK", "OWNER", "locked"]

LOCK, OWNER = "run.lock", "run.owner"


@contextlib.contextmanager
def locked(folder: Path, disk: Disk) -> Iterator[None]:
    """Hold a run folder for the length of a block; it is made where it is missing.

    The operating system lets go of the lock when its owner ends, however that happens; no clock is asked.

    Raises:
        DataError: Another process holds it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    owner = folder / OWNER
    try:
        disk.folder(folder)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(
            f"Another process is at work in {str(folder)!r}.",
            slug="run-locked",
            seen=_said(owner),
            needed="one process a folder",
            why="the same command in another window, or a job that was not ended",
            hint="Wait for it, end it, or give another folder by --out.",
        ) from error
    except (OSError, DataError) as error:
        raise DataError(
            f"The run folder {str(folder)!r} cannot be written.",
            slug="out-not-writable",
            seen=error.seen if isinstance(error, DataError) else error.strerror or str(error),
            needed="a folder that may be written, on a disk with room",
            hint="Choose another: --out runs/new",
        ) from error
    try:
        with contextlib.suppress(OSError):  # a courtesy: the lock itself is the system's
            owner.unlink(missing_ok=True)
            began = datetime.now(UTC).isoformat(timespec="seconds")
            with owner.open("x", encoding="utf-8") as file:  # never through a link
                file.write(json.dumps({"pid": os.getpid(), "host": platform.node(), "began": began}) + "\n")
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


def _said(owner: Path) -> str:
    """Who holds the folder, as far as it said so."""
    try:
        with open_plain(owner, 1000) as file:
            said = json.loads(file.read())
        return f"process {int(said['pid'])} on {str(said['host'])[:60]!r}, since {str(said['began'])[:30]}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "a process that did not say who it is"
