"""Studies stopped in every way there is: killed, out of power, out of room, damaged, interrupted from a terminal."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amiss.bench.bench import Run
from amiss.bench.trust_disks import CountingDisk, FullDisk, KilledDisk, PowerDisk, Stopped
from amiss.bench.trust_shadow import shadow
from amiss.bench.trust_soak import soak
from amiss.bench.trust_studies import KINDS, Kind, lost, same
from amiss.errors import AmissError, Interrupted
from amiss.study import Store
from amiss.study.sameness import run_digest

__all__ = ["crash", "shadow", "soak"]

_NETWORK = """
from pathlib import Path
from time import sleep

import torch
import amiss


class Slow(torch.nn.Sequential):
    def forward(self, x):
        if Path("slow").exists():
            sleep(0.05)
        return super().forward(x)


def build():
    torch.manual_seed(0)
    return amiss.Classifier(Slow(torch.nn.Flatten(), torch.nn.Linear(64, 10)), labels=list("0123456789"))
"""


@dataclass
class _Tally:
    """What came of the studies that were stopped, by the way in which they were."""

    same: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    lost: int = 0

    def add(self, way: str, same: int, runs: int = 1, lost: int = 0) -> None:
        self.same[way] = self.same.get(way, 0) + same
        self.runs[way] = self.runs.get(way, 0) + runs
        self.lost += lost


def crash(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Stop small studies in every way, go on until they are done, and compare with one that was left in peace.

    SIGKILL at 50 random moments (quick: 5) of each of three kinds, by a process that forks them; the world ending
    at every call to the disk, by a kill, by a power cut and for lack of room (quick: every 24th call); the ledger
    cut at every byte of its last line (quick: every 40th); 200 flipped bytes (quick: 20) in shards, states, images
    and ledger; two processes at once, and the lock of a dead owner; Ctrl-C in a terminal, once and twice (quick:
    not at all).

    `resume_identical` is the share of these runs whose digest is that of the run left in peace, `lost_samples` the
    samples missing from any of them.
    """
    tally, points = _Tally(), 5 if run.quick else 50
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        command = [sys.executable, "-m", "amiss.bench.trust_killing", str(run.seed), str(points)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        told = json.loads(done.stdout)
        two = told.pop("two")
        for kind, account in told.items():
            tally.add(f"killed, {kind}", account["same"], account["runs"], account["lost"])
        tally.add("two at once", two["refused"] & two["named"] & two["same"], 1, two["lost"])
        for name, kind in KINDS.items():
            whole = kind(place / f"{name}-whole", run.seed, disk := CountingDisk())
            whole.run()
            stage = _Stage(name, kind, run.seed, place, run_digest(whole.store), tally)
            for k in range(1, disk.calls + 1, 24 if run.quick else 1):
                stage.ended("kill at a call", KilledDisk(k))
                stage.ended("power cut at a call", PowerDisk(k))
                stage.ended("disk full at a call", FullDisk(k))
            if name == "pgd":  # the lines of the others are no different
                stage.cut(whole.store, 40 if run.quick else 1)
            stage.flipped((20 if run.quick else 200) // len(KINDS) + 1)
        if not run.quick:
            _terminal(place, tally)
    share = sum(tally.same.values()) / sum(tally.runs.values())
    figures = {"resume_identical": share, "lost_samples": float(tally.lost)}
    return figures, {"runs": tally.runs, "same": tally.same, "kills": {k: a["kills"] for k, a in told.items()}}


@dataclass(frozen=True)
class _Stage:
    """One kind of study, and what it comes to when it is left in peace."""

    name: str
    kind: Kind
    seed: int
    place: Path
    digest: str
    tally: _Tally

    def ended(self, way: str, disk: CountingDisk) -> None:
        """Let the world end on a disk, and go on."""
        folder = self.place / "ended"
        study = self.kind(folder, self.seed, disk)
        with suppress(Stopped, AmissError):
            study.run()
        if isinstance(disk, PowerDisk):
            disk.blackout(folder)
        self.settle(way, folder)

    def cut(self, whole: Store, every: int) -> None:
        """Cut the ledger of a finished study within its last line."""
        ledger = (whole.folder / "ledger.jsonl").read_bytes()
        last = len(ledger.splitlines(keepends=True)[-1])
        for size in range(len(ledger) - last, len(ledger), every):
            shutil.copytree(whole.folder, self.place / "ended")
            (self.place / "ended" / "ledger.jsonl").write_bytes(ledger[:size])
            self.settle("ledger cut at a byte", self.place / "ended")

    def flipped(self, times: int) -> None:
        """Flip bytes of a study that was stopped on its way, one at a time."""
        half = self.kind(self.place / f"{self.name}-half", self.seed, CountingDisk())
        root, left = half.store.folder, iter(range(2))
        with suppress(Interrupted):  # one shard done, and another at work
            half.run(stop=lambda: (root / "ledger.jsonl").is_file() and next(left, None) is None)
        luck = random.Random(self.seed)  # noqa: S311
        files = [path for name in ("tensors", "state", "images") for path in sorted((root / name).rglob("*.*"))]
        files.append(root / "ledger.jsonl")
        for _ in range(times):
            path = luck.choice(files).relative_to(root)
            shutil.copytree(root, self.place / "ended")
            data = bytearray((self.place / "ended" / path).read_bytes())
            data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
            (self.place / "ended" / path).write_bytes(data)
            self.settle("byte flipped", self.place / "ended")

    def settle(self, way: str, folder: Path) -> None:
        """Go on until it is done, compare, and leave no trace."""
        study = self.kind(folder, self.seed, CountingDisk())
        study.run()
        self.tally.add(way, same(study, self.digest), 1, lost(study))
        shutil.rmtree(folder)


def _terminal(place: Path, tally: _Tally) -> None:
    """`amiss run` stopped by Ctrl-C in its terminal, once and twice, and gone on with by the same command."""
    (place / "net.py").write_text(_NETWORK)
    command = [sys.executable, "-m", "amiss", "run", "pgd", "net.py:build", "digits", "--limit", "24", "--batch", "8"]
    command += ["--eps", "1/255", "--steps", "60", "--quiet", "--out"]

    def whole(name: str) -> None:
        subprocess.run([*command, name], cwd=place, check=True, capture_output=True)  # noqa: S603

    whole("peace")
    (place / "slow").touch()
    codes = [_pressed([*command, "run"], place, presses) for presses in (1, 2)]
    (place / "slow").unlink()
    whole("run")
    store = Store(place / "run")
    good = codes == [130, 130] and run_digest(store) == run_digest(Store(place / "peace"))
    tally.add("Ctrl-C once, then twice", good, 1, 24 - len(store.recover().entries))


def _pressed(command: list[str], place: Path, presses: int) -> int:
    """Run a command in a terminal and press Ctrl-C so often once it has finished a shard: its exit code."""
    import fcntl
    import termios

    def finished() -> int:
        ledger = place / command[-1] / "ledger.jsonl"
        return ledger.stat().st_size if ledger.is_file() else 0

    before = finished()

    ours, theirs = os.openpty()
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=place,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C there is a signal here
    )
    os.close(theirs)
    while process.poll() is None and finished() == before:
        time.sleep(0.01)
    for _ in range(presses):
        os.write(ours, b"\x03")
        time.sleep(0.02)
    code = process.wait()
    os.close(ours)
    return code
