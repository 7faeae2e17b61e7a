"""Studies killed at random moments; run as a process of its own, for what it forks must have one thread."""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from amiss.bench.trust_studies import KINDS, lost, same
from amiss.errors import DataError
from amiss.study import Store, Study
from amiss.study.lock import OWNER
from amiss.study.sameness import run_digest

__all__ = ["kill_at_random", "two_at_once"]


def kill_at_random(kind: str, seed: int, points: int, place: Path) -> dict[str, int]:
    """Kill studies at random moments and run them again, until so many kills were survived.

    Returns:
        "kills"; "runs" (each killed until it was done), "same" (those whose digest is that of a run that was left
        in peace) and "lost" (samples missing at the end, or finished once and not after a later kill).
    """
    make, luck = KINDS[kind], random.Random(f"{kind} {seed}")  # noqa: S311
    for name in ("first", "whole"):  # the second finds warm caches, as those to be killed do
        whole, began = make(place / f"{kind}-{name}", seed), time.monotonic()
        _ended(_forked(whole.run))
    length, reference = time.monotonic() - began, run_digest(whole.store)
    told = {"kills": 0, "runs": 0, "same": 0, "lost": 0}
    while told["kills"] < points:
        study = make(place / f"{kind}-{told['runs']}", seed)
        finished: set[int] = set()
        killed = True
        while killed:
            pid = _forked(study.run)
            if told["kills"] < points:
                time.sleep(luck.uniform(0, length))
                os.kill(pid, signal.SIGKILL)
            killed = _ended(pid)
            told["kills"] += killed
            there = set(_finished(study))
            told["lost"] += len(finished - there)
            finished = there
        told["runs"] += 1
        told["same"] += same(study, reference)
        told["lost"] += lost(study)
    return told


def two_at_once(seed: int, place: Path) -> dict[str, int]:
    """Begin a study that another process is at work on; kill the owner, leave nonsense in its place, and go on.

    Returns:
        "refused" and "named": whether the second was refused, and told the first's number; "same": whether the
        study was finished as if nothing had been; "lost": samples.
    """
    make = KINDS["pgd"]
    whole, study = make(place / "peace", seed), make(place / "two", seed)
    _ended(_forked(whole.run))
    first = _forked(lambda: study.run(progress=lambda *_: time.sleep(600)))
    owner = study.store.folder / OWNER
    while not owner.is_file() or not owner.read_text().endswith("\n"):
        time.sleep(0.01)
    told = {"refused": 0, "named": 0}
    try:
        study.run()
    except DataError as error:
        told = {"refused": int(error.slug == "run-locked"), "named": int(f"process {first} " in error.seen)}
    os.kill(first, signal.SIGKILL)
    _ended(first)
    owner.write_bytes(b"\xff{nonsense")
    _ended(_forked(study.run))
    return {**told, "same": int(same(study, run_digest(whole.store))), "lost": lost(study)}


def _finished(study: Study) -> list[int]:
    """Which samples can be believed; a run that was killed before it began has none."""
    return list(study.store.recover().entries) if Store(study.store.folder).about else []


def _forked(do: Callable[[], Any]) -> int:
    """A child that does it and ends."""
    pid = os.fork()
    if pid:
        return pid
    try:
        do()
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _ended(pid: int) -> bool:
    """Wait for a child: whether it was killed; one that failed is an error."""
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("a study failed after it was killed")
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    seed, points = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        account = {kind: kill_at_random(kind, seed, points, Path(folder)) for kind in KINDS}
        print(json.dumps({**account, "two": two_at_once(seed, Path(folder))}))
