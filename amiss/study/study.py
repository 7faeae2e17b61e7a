"""A `Study` is a probe over a data set, in a folder: nothing that is done is lost, nothing false is kept."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.data import to_bytes
from amiss.disk import Disk
from amiss.errors import DataError, Interrupted
from amiss.probe import Probe
from amiss.reading import Pace
from amiss.result import Outcome, Recorder, Result
from amiss.study.hold import held
from amiss.study.identity import experiment, likeness, wording
from amiss.study.inputs import Inputs
from amiss.study.ledger import Entry
from amiss.study.store import CONFIG, Store
from amiss.study.tables import write_inputs, write_results
from amiss.study.witness import Witness
from amiss.task import State
from amiss.trust import verify

__all__ = ["Held", "Saving", "Study"]


@dataclass(frozen=True)
class Saving:
    """How often the state of the shard at work is saved; never so often that it takes a twentieth of the time.

    Attributes:
        seconds: Wall time between two saves.
        turns: Turns (generations) between two saves, instead of a time; each save is then made.
    """

    seconds: float = 5.0
    turns: int | None = None


@dataclass(frozen=True)
class Held:
    """What a run folder holds of its finished samples.

    Attributes:
        result: Their result; a success that its file does not hold is none.
        entries: Their lines of the ledger.
        paths: The PNG of each best attempt.
    """

    result: Result
    entries: tuple[Entry, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Study:
    """One probe, one classifier, many samples, one folder.

    Attributes:
        folder: The run folder; made where it is missing.
        probe: What searches; a batch of it is a shard.
        classifier: Who is asked: a `Classifier`, or anything that the probe's objective can read.
        inputs: The samples.
        frames: Images to keep of each sample's path; 0 keeps no trajectory.
        votes: How often a success is judged: 1, or 4 and more for a classifier that answers at random.
        saving: How often the state of the shard at work is saved.
        about: What `run.json` shall say beside fingerprints and versions: recipe, command, names. Plain values.
        settings: The text of `config.toml`, where a command made the run.
        disk: What writes.
        witness: Who takes notes of the searches; `notes` reads them.
    """

    folder: Path
    probe: Probe
    classifier: Any
    inputs: Inputs
    frames: int = 0
    votes: int = 1
    saving: Saving = field(default_factory=Saving)
    about: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""
    disk: Disk = field(default_factory=Disk)
    witness: Witness | None = None

    @cached_property
    def store(self) -> Store:
        """The files."""
        return Store(Path(self.folder), self.disk)

    @property
    def fingerprints(self) -> dict[str, str]:
        """What makes two runs the same, by name: taken anew each time, for networks and decoders can be changed."""
        model = likeness(self.classifier)
        settings = f"{wording(self.probe)}, frames={self.frames}, votes={self.votes}"
        settings += "" if self.witness is None else f", witness={wording(self.witness)}"
        return {"model": model, "data": self.inputs.fingerprint, "probe": settings, "parts": likeness(self.probe)}

    def run(
        self,
        *,
        stop: Callable[[], bool] | None = None,
        progress: Callable[[float, int, int], None] | None = None,
    ) -> dict[str, int]:
        """Search for every sample that is not finished yet; the same call goes on where it was stopped.

        Args:
            stop: Asked after each turn; once it says True the state is saved and the run ends.
            progress: Called with (samples done, with the shard at work as a fraction; samples; successes so far).

        Returns:
            How many samples ended how.

        Raises:
            DataError: The folder holds a run of something else or another process is at work in it, or the disk
                refused.
            Interrupted: `stop` said so.
        """
        lost = [list(pair) for pair in self.inputs.unreadable]
        about = {**self.about, "n": len(self.inputs), "unreadable": lost}
        device = getattr(self.classifier, "device", "cpu")
        fingerprints, n = self.fingerprints, len(self.inputs)
        run = experiment(fingerprints)
        with held(self.store, fingerprints, about, device) as found:
            if self.settings:
                self.store.write_once(CONFIG, self.settings)
            write_inputs(self.store, self.inputs, self.classifier, self.probe.batch)
            # Of a long run only this is remembered: which samples are finished, and whether they are met.
            finished = {i: entry.outcome.met for i, entry in self._own(found.entries).items()}
            del found
            pace, met = Pace(self.probe.batch), sum(finished.values())
            for shard, rows in enumerate(self.probe.batches(n)):
                samples = rows.tolist()
                if all(i in finished for i in samples):
                    self.store.drop_state(shard)  # a crash may have come between the ledger's lines and this
                    continue
                for i in samples:  # of a shard that was damaged some lines may have been believed
                    met -= finished.pop(i, False)
                done, wide = len(finished), len(samples)

                def told(share: float, done: float = done, wide: int = wide, met: int = met) -> None:
                    if progress is not None:
                        progress(done + wide * share, n, met)

                told(0.0)
                sealed = self._shard(shard, rows, run, pace, stop, told)
                if sealed is None:
                    raise _interrupted(done, n)
                finished |= {entry.sample: entry.outcome.met for entry in sealed}
                met += sum(entry.outcome.met for entry in sealed)
                told(1.0, met=met)
            entries = self._own(self.store.ledger().entries)
            write_results(self.store, self.inputs, entries)
        return counts(entries.values(), n, len(self.inputs.unreadable))

    def read(self, samples: Iterable[int] | None = None) -> Held:
        """What the finished samples came to, read from the shards.

        Args:
            samples: Positions, ascending; all finished ones where left out.

        Raises:
            DataError: They are not finished, or a shard was damaged; `run` does it again.
        """
        if not len(self.inputs):
            return Held(self.probe.run(self.classifier, self.inputs.rows([])), (), ())
        entries = self._own(self.store.recover(experiment(self.fingerprints)).entries)
        wanted = sorted(entries) if samples is None else list(samples)
        if not wanted or any(i not in entries for i in wanted):
            raise DataError(
                "These samples are not finished.",
                slug="run-unfinished",
                seen=f"{len(entries)} of {len(self.inputs)} are",
                needed="a run that got so far",
                hint="Go on with it first: study.run(), or the command that began it.",
            )
        found = tuple(entries[i] for i in wanted)
        parts = []
        for shard, group in groupby(found, key=lambda entry: entry.shard):
            own = list(group)
            task = self.inputs.rows([entry.sample for entry in own])
            parts.append(self.store.result(shard, task, own, repr(self.probe)))
        return Held(Result.join(parts), found, tuple(self.store.image_path(e.id, e.sample) for e in found))

    def result(self) -> Result:
        """The result of all finished samples; `read` says more."""
        return self.read().result

    def notes(self) -> list[tuple[list[int], State]]:
        """What the witness kept of each finished shard: positions of its samples, in order, and its notes.

        Raises:
            DataError: Nobody took notes.
        """
        if self.witness is None:
            raise DataError(
                "Nobody took notes of these searches.",
                slug="run-no-notes",
                seen="a study without a witness",
                needed="Study(..., witness=...), from the first search on",
                hint="Begin the study anew in another folder, with a witness.",
            )
        entries = self._own(self.store.recover(experiment(self.fingerprints)).entries)
        shards: dict[int, list[Entry]] = {}
        for entry in entries.values():
            shards.setdefault(entry.shard, []).append(entry)
        ordered = {shard: sorted(own, key=lambda entry: entry.offset) for shard, own in sorted(shards.items())}
        return [([e.sample for e in own], self.store.notes(shard)) for shard, own in ordered.items()]

    def _own(self, entries: Mapping[int, Entry]) -> dict[int, Entry]:
        """Those that speak of our samples: a ledger may have been written by anybody."""
        ids = dict(enumerate(self.inputs.ids))
        return {i: entry for i, entry in entries.items() if ids.get(i) == entry.id}

    def _shard(
        self,
        shard: int,
        rows: Tensor,
        run: str,
        pace: Pace,
        stop: Callable[[], bool] | None,
        told: Callable[[float], None],
    ) -> list[Entry] | None:
        """Search for the samples of one shard, from the state that was saved, and seal it; None where stopped."""
        began = time.monotonic()
        search = self.probe.search(self.classifier, self.inputs.read(rows), pace)
        recorder, witness = Recorder(self.frames) if self.frames else None, self.witness
        saved, spent = self.store.state(shard, run), 0.0
        state: State = search.start() if saved is None else saved["walk"]
        if saved is not None:
            spent = saved["seconds"]
            recorder = Recorder(**saved["recorder"]) if saved["recorder"] else None
        state = _moved(state, search.domain.task.key.device)
        seen: State = {}
        if witness is not None:
            seen = witness.begin(search) if saved is None else saved["seen"]

        def keep() -> None:
            notes = vars(recorder) if recorder is not None else None
            seconds = spent + time.monotonic() - began
            self.store.keep_state(shard, run, {"walk": state, "recorder": notes, "seen": seen, "seconds": seconds})

        due = _due(self.saving)
        for step in search.walk(state, images=recorder is not None):
            state = step.state
            if recorder is not None:
                search.record(recorder, step)
            if witness is not None:
                seen = witness.see(search, step, seen)
            if stop is not None and stop():
                keep()
                return None
            due(step.turn, keep)
            finished = float((~state["alive"]).double().mean())
            told(max(finished, min(1.0, (step.turn + 1) / (self.probe.budget.steps + 1))))
        result = search.conclude(state, recorder)
        notes = None if witness is None else witness.close(search, state, seen)
        return self._sealed(shard, rows, run, result, notes, spent + time.monotonic() - began)

    def _sealed(
        self, shard: int, rows: Tensor, run: str, result: Result, notes: State | None, seconds: float
    ) -> list[Entry]:
        """Write the files of a shard's images, believe what they hold, and seal the shard."""
        samples = rows.tolist()
        paths = [self.store.image_path(self.inputs.ids[i], i) for i in samples]
        claimed = result.met.nonzero().flatten().tolist()
        for k in sorted(set(range(len(samples))) - set(claimed)):
            self.store.write_image(paths[k], to_bytes(result.images[k]))
        some = result.pick(claimed)
        files = [paths[k] for k in claimed]
        judged = verify(
            self.probe, self.classifier, some.task, some.images, files, some.p, self.votes, self.store.write_image
        )
        held = dict(zip(claimed, zip(judged.held.tolist(), judged.votes.tolist(), strict=True), strict=True))
        l2, linf, share = result.l2.tolist(), result.linf.tolist(), seconds / len(samples)
        entries = []
        for k, (i, outcome) in enumerate(zip(samples, result.outcomes, strict=True)):
            kept, votes = held.get(k, (False, 0))
            outcome = outcome if kept or k not in held else disowned(outcome)
            tally = (k in held, votes, judged.n_votes if k in held else 0)
            entries.append(Entry(i, self.inputs.ids[i], outcome, *tally, l2[k], linf[k], share, shard, k, "", ""))
        # Where images are the parameters, they are stored once.
        p = None if self.probe.space.images else result.p
        return self.store.seal(shard, run, result, p, entries, notes)


def counts(entries: Iterable[Entry], n: int, unreadable: int = 0) -> dict[str, int]:
    """How many of n samples ended how; those not finished are interrupted; adds up to n and the unreadable."""
    found: dict[str, int] = {}
    done = 0
    for entry in entries:
        found[entry.outcome.status] = found.get(entry.outcome.status, 0) + 1
        done += 1
    rest = {"interrupted": n - done, "unreadable": unreadable}
    return found | {status: k for status, k in rest.items() if k}


def disowned(outcome: Outcome) -> Outcome:
    """A success that its file does not hold is none."""
    reason = "A success that did not survive: what its file holds, judged alone and in a batch, is none."
    return replace(outcome, status="exhausted", reason=reason)


def _interrupted(done: int, n: int) -> Interrupted:
    return Interrupted(
        "Stopped, with all that was done in its place.",
        slug="interrupted",
        seen=f"{done} of {n} samples finished, and the state of those at work",
        hint="The same command goes on from here.",
    )


def _due(saving: Saving) -> Callable[[int, Callable[[], None]], None]:
    """What saves when it is time to: (turn, save)."""
    last, cost = time.monotonic(), 0.0

    def maybe(turn: int, save: Callable[[], None]) -> None:
        nonlocal last, cost
        now = time.monotonic()
        if saving.turns is None:
            if now - last < max(saving.seconds, 20 * cost):
                return
        elif (turn + 1) % saving.turns:
            return
        save()
        last = time.monotonic()
        cost = last - now

    return maybe


def _moved(value: Any, device: torch.device) -> Any:
    """A state on another device: where it was saved may not be where it goes on."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(part, device) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(part, device) for part in value)
    return value
