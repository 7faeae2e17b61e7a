"""What a run folder says of itself, without its model: computed from ledger and shards, never from a stored word."""

import csv
import json
import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.desk import STUDIES
from amiss.citations import BIBTEX
from amiss.cli.flags import FLAGS
from amiss.cli.folder import ATTACKS, CAMERA, EVOLUTION, RECORD, ROUNDS, SWEEP
from amiss.cli.training import CURVE_FILE, MODEL_FILE, REPORT_FILE
from amiss.errors import DataError
from amiss.loading.asked import how_asked
from amiss.recipes import RECIPES
from amiss.study import RUN, Inputs, Store
from amiss.study.figures import figures
from amiss.study.ledger import Entry
from amiss.study.store import Recovered
from amiss.study.strangers import refuse_leads
from amiss.study.study import counts
from amiss.study.tables import INPUTS, result_rows
from amiss.task import Task
from amiss.training import KINDS
from amiss.trust import Flag

__all__ = ["Look", "look"]

_RECORDS = {
    "audit": RECORD,
    "imposters": SWEEP,
    "fooling": EVOLUTION,
    "camera": CAMERA,
    "attacks": ATTACKS,
    "defense": ROUNDS,
}
"""Where a run without a ledger of its own keeps what it found, by its kind."""


@dataclass(frozen=True)
class Look:
    """A run folder as it lies there.

    Attributes:
        store: Its files.
        about: What `run.json` says.
        found: What is finished, and what is damaged.
        studies: Of an audit, its searches by name.
    """

    store: Store
    about: dict[str, Any]
    found: Recovered
    studies: "dict[str, Look]"

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.store.folder

    @property
    def audit(self) -> bool:
        """Whether it is an audit or an experiment, which have studies, and no ledger of their own."""
        return self.about.get("kind") in _RECORDS

    @property
    def entries(self) -> list[Entry]:
        """The finished samples, in order."""
        return [entry for i, entry in sorted(self.found.entries.items()) if i < self.n]

    @property
    def n(self) -> int:
        """Samples in all; those of an audit are its images."""
        return int(self.about["n"]) if "n" in self.about else len(self.found.entries)

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """(name, reason) of each file that could not be read."""
        return tuple((str(name), str(reason)) for name, reason in self.about.get("unreadable", ()))

    @property
    def counts(self) -> dict[str, int]:
        """How many samples ended how; adds up to the samples and the unreadable."""
        return counts(self.entries, self.n, len(self.unreadable))

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        if self.audit:
            return self.record is not None and all(part.finished for part in self.studies.values())
        return len(self.entries) == self.n

    @cached_property
    def record(self) -> dict[str, Any] | None:
        """What an audit wrote when it was finished; None where there is none that can be read."""
        said = _json(self.folder / _RECORDS.get(str(self.about.get("kind")), RECORD))
        if not isinstance(said, dict) or not isinstance(said.get("figures"), dict):
            return None
        counted = all(isinstance(value, int | float) for value in said["figures"].values())
        gates = said.get("gates", [])
        return said if counted and isinstance(gates, list) and all(isinstance(gate, dict) for gate in gates) else None

    @property
    def figures(self) -> dict[str, float]:
        """Of a run from its ledger; of an audit those of its record."""
        return dict((self.record or {}).get("figures", {})) if self.audit else figures(self.entries, self.n)

    @property
    def flags(self) -> list[dict[str, Any]] | None:
        """The trust flags; None where they were not measured yet."""
        said = _json(self.folder / FLAGS)
        names = {field.name for field in fields(Flag)} - {"value"}
        whole = isinstance(said, list) and all(
            isinstance(flag, dict) and all(isinstance(flag.get(name), str) for name in names) for flag in said
        )
        return said if whole else None

    @property
    def damage(self) -> list[str]:
        """What cannot be believed now, in words, with the study it lies in."""
        inner = [f"{name}: {text}" for name, part in self.studies.items() for text in part.damage]
        return [*self.found.damage, *inner]

    @property
    def references(self) -> list[str]:
        """Keys of the papers of the recipes that were used."""
        if self.audit:
            keys = [key for part in self.studies.values() for key in part.references]
            return list(dict.fromkeys(keys))
        recipe = RECIPES.get(str(self.about.get("recipe")))
        said = self.about.get("references", ()) if recipe is None else recipe.cite
        return [key for key in said if key in BIBTEX]

    @cached_property
    def table(self) -> list[dict[str, str]]:
        """The rows of inputs.csv: one a sample, with what was known of it and what the classifier answered.

        Raises:
            DataError: The file is gone or damaged.
        """
        path, numbers = self.folder / INPUTS, {"label", "target", "prediction"}
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            if len(rows) != self.n:
                raise ValueError(f"{len(rows)} rows for {self.n} samples")
            for row in rows:
                _ = row["id"], row["name"], [int(row[name]) for name in numbers & set(row)]
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise DataError(
                f"{INPUTS} in {str(self.folder)!r} is missing or damaged.",
                slug="run-inputs",
                seen=str(getattr(error, "strerror", None) or error)[:200],
                needed="what amiss wrote there",
                why="it was edited or removed",
                hint=f"amiss show {self.folder} --rebuild",
            ) from error
        return rows

    def inputs(self) -> Inputs:
        """The samples as inputs.csv names them; their images are not read.

        Raises:
            DataError: The file is gone or damaged.
        """
        rows = self.table
        known = {
            name: torch.tensor([int(row[name]) for row in rows])
            for name in ("label", "target")
            if rows and name in rows[0]
        }
        ids, names = (tuple(row[name] for row in rows) for name in ("id", "name"))
        return Inputs(ids, names, _unread, known.get("label"), known.get("target"), self.unreadable)

    def rows(self) -> tuple[list[str], list[list[object]]]:
        """Head and rows of results.csv as ledger and shards give them now."""
        return result_rows(self.store, self.inputs(), self.found.entries)

    def to_json(self) -> dict[str, Any]:
        """All of it as one object of plain values."""
        said = {name: self.about.get(name) for name in ("recipe", "model", "data", "command", "seed", "created")}
        kind = {
            "kind": self.about["kind"] if self.audit else "run",
            "folder": str(self.folder),
            "finished": self.finished,
        }
        told = {**kind, **said, "parent": self.about.get("parent"), "samples": self.n, "figures": self.figures}
        told |= {"flags": self.flags, "damage": self.damage, "sessions": self.about.get("sessions", [])}
        if not self.audit:
            return {**told, "counts": self.counts, "seconds": sum(entry.seconds for entry in self.entries)}
        record = self.record or {}
        told |= {"sentence": record.get("sentence"), "gates": record.get("gates", [])}
        parts = {name: {"samples": p.n, "counts": p.counts, "figures": p.figures} for name, p in self.studies.items()}
        return {**told, "studies": parts}


def look(folder: Path) -> Look:
    """Look at a run folder; nothing is changed, and no model is loaded.

    Raises:
        DataError: There is none, or `run.json` is damaged.
    """
    store = Store(folder)
    if not (folder / RUN).is_file() and (folder / REPORT_FILE).is_file():
        raise _trained(folder)
    if not (folder / RUN).is_file():
        raise DataError(
            f"No run lies in {str(folder)!r}.",
            slug="run-missing",
            seen=f"no {RUN}" if folder.is_dir() else "no such folder",
            needed="a folder that amiss run, amiss audit or a Study made",
            why="a typing mistake" if not folder.is_dir() else "the folder above it, or one that holds other things",
            hint=_near(folder),
        )
    refuse_leads(folder)
    about = store.about
    assert about is not None  # noqa: S101 - the file is there
    places = folder.glob(f"{STUDIES}/*/{RUN}") if about.get("kind") in _RECORDS else ()
    studies = {place.name: look(place) for place in sorted((path.parent for path in places), key=_numbered)}
    return Look(store, about, store.recover(), studies)


def _unread(_rows: Tensor) -> Task:
    """A table of names has no images: whoever wants to look at them must open the data."""
    raise TypeError("inputs.csv names the samples; their images lie in DATA")


def _numbered(place: Path) -> list[int | str]:
    """The parts of a name, numbers as such: attack-2 comes before attack-16."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", place.name)]


def _trained(folder: Path) -> DataError:
    """The error of a folder that `amiss train` made: what it holds, and who can be asked about that."""
    found, model = _json(folder / REPORT_FILE), folder / MODEL_FILE
    kind = found.get("kind") if isinstance(found, dict) else None
    kind = kind if isinstance(kind, str) and kind in KINDS else "of an unknown kind"
    preset = found.get("preset") if isinstance(found, dict) else None
    recipe = preset.get("model") if isinstance(preset, dict) else None
    return DataError(
        f"{str(folder)!r} holds a trained model, {kind}, and no run.",
        slug="run-missing",
        seen=f"{REPORT_FILE}, which has its figures; its losses are in {CURVE_FILE}",
        needed="a folder that amiss run, amiss audit or a Study made",
        hint=how_asked(str(model), kind, recipe),
    )


def _near(folder: Path) -> str:
    """Runs that lie near by, for who mistook the folder."""
    above = folder if folder.is_dir() else folder.parent
    found = sorted(str(path.parent) for path in above.glob(f"*/{RUN}"))[:3]
    return f"Runs near by: {', '.join(found)}" if found else "Name the folder that the command called, runs/NAME."


def _json(path: Path) -> Any:
    """The values in a file; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
