"""What a run leaves on disk: shards of tensors, a ledger beside them, and the state of the shard at work.

Truth is the ledger and the shards. A sample is finished when a whole line of the ledger names it and the shard that
the line was written for is whole; everything else is derived, or done again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss._version import __version__
from amiss.data.files import encode_png, to_bytes
from amiss.data.guards import open_plain
from amiss.disk import PART, Disk
from amiss.errors import CheckpointError, DataError
from amiss.repro import digest
from amiss.result import Result, Trajectory
from amiss.study.identity import experiment
from amiss.study.ledger import Entry, Reading, lines, read_ledger
from amiss.study.pack import pack, unpack
from amiss.study.strangers import is_account
from amiss.task import P, State, Task
from amiss.tensorfile import contents_digest, encode_tensors, read_tensors

__all__ = ["CONFIG", "LEDGER", "RUN", "Recovered", "Store"]

RUN, CONFIG, LEDGER = "run.json", "config.toml", "ledger.jsonl"


@dataclass(frozen=True)
class Recovered:
    """What of a run can be believed.

    Attributes:
        entries: One a finished sample, by its position.
        damage: What could not be believed and will be done again, in words.
        spoiled: Samples that would be finished, were the file of their image what was judged; it can be remade.
        unusable: States that no search can go on from.
    """

    entries: dict[int, Entry]
    damage: tuple[str, ...] = ()
    spoiled: tuple[Entry, ...] = ()
    unusable: tuple[Path, ...] = ()


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
            if is_account(said):
                return dict(said)
        except (ValueError, RecursionError):
            pass
        raise DataError(
            f"{RUN} in {str(self.folder)!r} is damaged.",
            slug="run-damaged",
            seen="no JSON with what a run says of itself",
            needed="what amiss wrote there",
            why="it was edited, or the disk is damaged",
            hint="Restore it from a copy, or begin anew in another folder; the images and tensors are untouched.",
        )

    def write_about(self, about: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        text = json.dumps(about, indent=1, allow_nan=False) + "\n"
        self.disk.write(self.folder / RUN, text.encode())

    def write_once(self, name: str, text: str) -> None:
        """Write a file of the run where it is not there yet."""
        path = self.folder / name
        if not path.is_file():
            self.disk.write(path, text.encode())

    def ledger(self) -> Reading:
        """The ledger as it reads, whether or not the shards bear it out."""
        return read_ledger(self.folder / LEDGER)

    def recover(self, run: str | None = None) -> Recovered:
        """What can be believed of the files as they are; nothing is changed, for another process may be at work.

        Args:
            run: The `experiment` that shards and states must be marked with; by default that of `run.json`.
        """
        run = experiment((self.about or {"fingerprints": {}})["fingerprints"]) if run is None else run
        reading = self.ledger()
        damage = [f"{reading.damaged} lines of {LEDGER}"] if reading.damaged else []
        damage += [f"the end of {LEDGER}, torn off"] if reading.torn else []
        shards: dict[int, list[Entry]] = {}
        for entry in reading.entries.values():
            shards.setdefault(entry.shard, []).append(entry)
        entries: dict[int, Entry] = {}
        spoiled: list[Entry] = []
        for shard, own in sorted(shards.items()):
            whole, rows = self._whole(shard, run)
            good = [entry for entry in own if entry.digest == whole and entry.offset < rows]
            if len(good) < len(own):
                damage.append(f"{self._name(self.shard_path(shard))} ({len(own) - len(good)} samples)")
            bad = self._spoiled(shard, good)
            if bad:
                damage.append(f"{len(bad)} images of {self._name(self.shard_path(shard))}")
            spoiled += bad
            entries |= {entry.sample: entry for entry in good}
        for entry in spoiled:
            del entries[entry.sample]
        states = sorted(self.folder.glob("state/*.safetensors"))
        unusable = tuple(path for path in states if not self._usable(path, run))
        damage += [self._name(path) for path in unusable]
        return Recovered(entries, tuple(damage), tuple(spoiled), unusable)

    def mend(self, found: Recovered) -> Recovered:
        """Take out what cannot be believed and what a crash left behind, and remake images from their shards.

        Only who holds the folder may do so.

        Returns:
            What can be believed now.
        """
        for part in self.folder.rglob(f".*{PART}"):
            self.disk.remove(part)
        for path in found.unusable:
            self.disk.remove(path)
        path = self.folder / LEDGER
        reading = read_ledger(path)
        if reading.damaged:
            self.disk.write(path, lines(reading.entries.values()))
        elif reading.torn:
            self.disk.cut(path, reading.whole)
        for entry in found.spoiled:
            images = to_bytes(_restored(self._held(entry.shard)["images"]))
            self.write_image(self.image_path(entry.id, entry.sample), images[entry.offset])
        return Recovered({**found.entries, **{entry.sample: entry for entry in found.spoiled}}, found.damage)

    def seal(
        self,
        shard: int,
        run: str,
        result: Result,
        p: P | None,
        entries: Sequence[Entry],
        notes: State | None = None,
    ) -> list[Entry]:
        """Write a finished shard: its tensors first, then its lines of the ledger; then the state is let go.

        The images must have been written before.

        Args:
            shard: Its number.
            run: The `experiment` that it belongs to.
            result: What was found.
            p: The parameters, where they are not the images.
            entries: One a sample, without the digests of shard and image.
            notes: What a witness kept of the searches.
        """
        paths = [dict(vars(t)) for t in result.trajectories]
        noted = {} if notes is None else {"notes": notes}
        tensors, plain = pack({"images": _exact(result.images), "p": p, "trajectories": paths, **noted})
        data, name = encode_tensors(tensors, {"run": run, "shard": shard, "held": plain})
        self.disk.write(self.shard_path(shard), data)
        sealed = [replace(e, digest=name, image=_name_of(self.image_path(e.id, e.sample))) for e in entries]
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
        held = self._held(shard)
        rows = [entry.offset for entry in entries]
        images = _restored(held["images"])[rows]
        paths = tuple(Trajectory(**held["trajectories"][row]) for row in rows if held["trajectories"])
        p = images if held["p"] is None else held["p"]
        if held["p"] is not None:
            p = p[rows] if isinstance(p, Tensor) else [p[row] for row in rows]
        outcomes = tuple(entry.outcome for entry in entries)
        return Result(task, images, p, outcomes, paths, probe, sum(entry.seconds for entry in entries))

    def notes(self, shard: int) -> State:
        """What a witness kept of a sealed shard."""
        return dict(self._held(shard)["notes"])

    def write_image(self, path: Path, image: Tensor) -> None:
        """Write one image, uint8 [C, H, W], as a PNG."""
        self.disk.write(path, encode_png(image))

    def keep_state(self, shard: int, run: str, state: Any) -> None:
        """Save the state of the shard at work, for the `experiment` it belongs to."""
        tensors, plain = pack(state)
        data, _ = encode_tensors(tensors, {**_mark(shard, run), "state": plain})
        self.disk.write(self.state_path(shard), data)

    def state(self, shard: int, run: str) -> Any | None:
        """The state of a shard at work; None where there is none, or none that can be believed."""
        path = self.state_path(shard)
        if not self._usable(path, run):
            return None
        tensors, about = read_tensors(path)
        return unpack(tensors, about["state"])

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

    def _whole(self, shard: int, run: str) -> tuple[str, int]:
        """The digest of a shard's contents and its rows; empty where they are damaged, gone, or another run's."""
        try:
            tensors, about = read_tensors(self.shard_path(shard))
            if about.get("run") == run:
                held = unpack(tensors, about["held"])
                paths, p = held["trajectories"], held["p"]
                rows = min(len(part) for part in (_restored(held["images"]), paths or None, p) if part is not None)
                return contents_digest(tensors, about), rows
        except (CheckpointError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass  # damaged, or not what we would have written
        return "", 0

    def _spoiled(self, shard: int, entries: Sequence[Entry]) -> list[Entry]:
        """Whose file is neither what was judged nor what would be written of the same image now.

        Another version of the library that packs PNGs may pack the same pixels in other bytes.
        """
        names = {e.sample: _name_of(self.image_path(e.id, e.sample)) for e in entries}
        odd = [e for e in entries if names[e.sample] != e.image]
        images = to_bytes(_restored(self._held(shard)["images"])) if odd else torch.empty(0)
        return [e for e in odd if names[e.sample] != digest(encode_png(images[e.offset]))]

    def _usable(self, path: Path, run: str) -> bool:
        """Whether a state is whole, and that of this shard, run and version."""
        try:
            about = read_tensors(path)[1]
        except CheckpointError:
            return False
        shard = path.name.partition(".")[0]
        return "state" in about and {**about, **_mark(int(shard) if shard.isdecimal() else -1, run)} == about

    def _held(self, shard: int) -> Any:
        """What a shard holds."""
        tensors, about = read_tensors(self.shard_path(shard))
        return unpack(tensors, about["held"])

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _mark(shard: int, run: str) -> dict[str, Any]:
    """What a state belongs to: states of another version may hold other things."""
    return {"run": run, "shard": shard, "amiss": __version__}


def _name_of(path: Path) -> str:
    """The digest of a file; empty where there is none."""
    try:
        with open_plain(path) as file:
            return digest(file.read())
    except OSError:
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
