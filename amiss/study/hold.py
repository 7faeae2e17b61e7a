"""Holding a run folder: free or a run's own, one process, one experiment, and a note of every session."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amiss.disk import PART
from amiss.errors import DataError
from amiss.repro import versions
from amiss.study.identity import experiment, refuse_other
from amiss.study.lock import LOCK, OWNER, locked
from amiss.study.store import RUN, Recovered, Store
from amiss.study.strangers import refuse_leads

__all__ = ["MODELS", "held", "refuse_foreign"]

SCHEMA = 1
MODELS = "run.models"
"""Folder of what a command trained on the spot, before the run itself began."""


@contextmanager
def held(
    store: Store, fingerprints: Mapping[str, str], about: Mapping[str, Any], device: object = "cpu"
) -> Iterator[Recovered]:
    """Hold a run folder for the length of a block; a run that is there must be of the same fingerprints.

    Args:
        store: The folder.
        fingerprints: What makes two runs the same, by name.
        about: What `run.json` shall say beside that, when the run is begun; plain values.
        device: Where the session computes.

    Yields:
        What is finished, and what was damaged.

    Raises:
        DataError: Something else lies there, a run of something else, or another process is at work.
    """
    refuse_foreign(store.folder)
    with locked(store.folder, store.disk):
        there = store.about
        if there is not None:
            refuse_other(there["fingerprints"], fingerprints, str(store.folder))
        found = store.recover(experiment(fingerprints))
        session = {
            "began": _now(),
            "device": str(device),
            "versions": versions(),
            "finished": len(found.entries),
            "damage": list(found.damage),
        }
        begun = there or {"schema": SCHEMA, "created": _now(), **about, "fingerprints": dict(fingerprints)}
        store.write_about({**begun, "sessions": [*begun.get("sessions", []), session]})
        yield store.mend(found)


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that is a file, holds something that is no run of ours, or leads out of itself.

    Raises:
        DataError: It is, or does.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(
            f"The run folder {str(folder)!r} is a file.",
            slug="out-not-folder",
            seen="a file of that name",
            needed="a folder, or a name that is free",
            hint="Choose another: --out runs/new",
        )
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    strange = [name for name in there if name not in (LOCK, OWNER, MODELS) and not name.endswith(PART)]
    if strange and RUN not in there:
        raise DataError(
            f"The folder {str(folder)!r} holds something else.",
            slug="out-not-empty",
            seen=f"{', '.join(sorted(strange)[:4])}, but no {RUN}",
            needed="an empty folder, one that is not there yet, or one with a run",
            why="a folder of yours that was named by mistake",
            hint="Choose an empty folder: --out runs/new",
        )
    refuse_leads(folder)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
