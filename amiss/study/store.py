"""What a run leaves on disk: shards of tensors, a ledger beside them, and the state of the shard at work.

Truth is the ledger and the shards. A sample is finished when a whole line of the ledger names it and the shard that
the line was written for is whole; everything else is derived, or done again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.data.files import encode_png
from amiss.disk import PART, Disk
from amiss.errors import CheckpointError, DataError
from amiss.result import Result, Trajectory
from amiss.study.ledger import Entry, lines, read_ledger
from amiss.study.pack import pack, unpack
from amiss.task import P, Task
from amiss.tensorfile import contents_digest, read_tensors, write_tensors

__all__ = ["LEDGER", "RUN", "Recovered", "Store"]

RUN, LEDGER = "run.json", "ledger.jsonl"


@dataclass(frozen=True)
class Recovered:
    """What of a run can be believed.

    Attributes:
        entries: One a finished sample, by its position.
        damage: What could not be believed and will be done again, in words.
    """

    entries: dict[int, Entry]
    damage: tuple[str, ...] = ()


@dataclass(frozen=True)
class Store:
    """The files of one run.

    Attributes:
        folder: The run folder.
        disk: What writes.
    """

    folder: Path
    disk: Disk = field(default_factory=Disk)

    @property
    def about(self) -> dict[str, Any] | None:
        """What `run.json` says; None where there is no run.

        Raises:
            DataError: The file is not what was written.
        """
        path = self.folder / RUN
        if not path.is_file():
            return None
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(said, dict) and isinstance(said.get("fingerprints"), dict):
                return said
        except ValueError:
            pass
        raise DataError(
            f"{RUN} in {str(self.folder)!r} is damaged.",
            slug="run-damaged",
            seen="no JSON with fingerprints",
            needed="what amiss wrote there",
            why="it was edited, or the disk is damaged",
            hint="Restore it from a copy, or begin anew in another folder; the images and tensors are untouched.",
        )

    def write_about(self, about: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        text = json.dumps(about, indent=1, allow_nan=False) + "\n"
        self.disk.write(self.folder / RUN, text.encode())

    def recover(self) -> Recovered:
        """Cut off what a crash tore, remove what was never finished, and believe only whole shards."""
        for part in self.folder.rglob(f".*{PART}"):
            self.disk.remove(part)
        path = self.folder / LEDGER
        reading = read_ledger(path)
        if path.is_file() and path.stat().st_size > reading.whole:
            self.disk.cut(path, reading.whole)
        entries, damage = dict(reading.entries), []
        if reading.damaged:
            damage.append(f"{reading.damaged} lines of {LEDGER}")
        for shard in sorted({entry.shard for entry in entries.values()}):
            whole = self._whole(shard)
            lost = [i for i, entry in entries.items() if entry.shard == shard and entry.digest != whole]
            if lost:
                damage.append(f"{self.shard_path(shard).relative_to(self.folder).as_posix()} ({len(lost)} samples)")
            for i in lost:
                del entries[i]
        return Recovered(entries, tuple(damage))

    def seal(self, shard: int, result: Result, p: P | None, entries: Sequence[Entry]) -> list[Entry]:
        """Write a finished shard: its tensors first, then its lines of the ledger; then the state is let go."""
        paths = [dict(vars(t)) for t in result.trajectories]
        tensors, plain = pack({"images": _exact(result.images), "p": p, "trajectories": paths})
        digest = write_tensors(self.shard_path(shard), tensors, {"shard": shard, "held": plain}, self.disk)
        sealed = [Entry(**{**vars(entry), "digest": digest}) for entry in entries]
        self.disk.append(self.folder / LEDGER, lines(sealed))
        self.drop_state(shard)
        return sealed

    def result(self, shard: int, task: Task, entries: Sequence[Entry], probe: str = "") -> Result:
        """A sealed shard as the result of its samples.

        Args:
            shard: Number of the shard.
            task: Its samples.
            entries: Their entries, in order.
            probe: The probe, in words that construct it.
        """
        tensors, about = read_tensors(self.shard_path(shard))
        held = unpack(tensors, about["held"])
        images = _restored(held["images"])
        p = images if held["p"] is None else held["p"]
        paths = tuple(Trajectory(**path) for path in held["trajectories"])
        outcomes = tuple(entry.outcome for entry in entries)
        return Result(task, images, p, outcomes, paths, probe, sum(entry.seconds for entry in entries))

    def write_image(self, path: Path, image: Tensor) -> None:
        """Write one image, uint8 [C, H, W], as a PNG."""
        self.disk.write(path, encode_png(image))

    def keep_state(self, shard: int, state: Any, run: str) -> None:
        """Save the state of the shard at work, for the run of these fingerprints."""
        tensors, plain = pack(state)
        write_tensors(self.state_path(shard), tensors, {"run": run, "state": plain}, self.disk)

    def state(self, shard: int, run: str) -> Any | None:
        """The state of a shard at work; None where there is none, or none that can be believed."""
        try:
            tensors, about = read_tensors(self.state_path(shard))
        except CheckpointError:
            return None
        return unpack(tensors, about["state"]) if about.get("run") == run else None

    def drop_state(self, shard: int) -> None:
        """Remove the state of a shard."""
        self.disk.remove(self.state_path(shard))

    def shard_path(self, shard: int) -> Path:
        """Where the tensors of a shard lie."""
        return self.folder / "tensors" / f"{shard:05d}.safetensors"

    def state_path(self, shard: int) -> Path:
        """Where the state of a shard at work lies."""
        return self.folder / "state" / f"{shard:05d}.safetensors"

    def image_path(self, id: str, sample: int) -> Path:
        """Where the PNG of a sample lies: named by digest and position, for names of files are hostile text."""
        return self.folder / "images" / id[:2] / f"{id[:16]}-{sample}.png"

    def _whole(self, shard: int) -> str:
        """The digest of a shard's contents; empty where they are damaged or gone."""
        try:
            return contents_digest(self.shard_path(shard))
        except CheckpointError:
            return ""


def _exact(images: Tensor) -> dict[str, Any]:
    """Images as bytes where bytes hold them without loss, else as they are."""
    images = images.detach().cpu()
    small = (images * 255).round().clamp(0, 255).to(torch.uint8)
    kind = str(images.dtype).removeprefix("torch.")
    if torch.equal(small.to(images.dtype) / 255, images):
        return {"bytes": small, "dtype": kind}
    return {"values": images}


def _restored(held: Mapping[str, Any]) -> Tensor:
    if "values" in held:
        return held["values"]
    return held["bytes"].to(getattr(torch, held["dtype"])) / 255
