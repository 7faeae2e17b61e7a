"""The ledger of a run: one line a finished sample, appended and never changed, each with a check sum of itself."""

import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from amiss.result import STATUSES, Outcome
from amiss.study.strangers import is_digest

__all__ = ["Entry", "Reading", "lines", "read_ledger"]

_NUMBERS = ("size", "loss", "l2", "linf", "seconds")
_COUNTS = ("sample", "votes", "asked", "shard", "offset", "steps", "queries")


@dataclass(frozen=True, slots=True)
class Entry:
    """How one sample ended, and where its tensors lie.

    Attributes:
        sample: Its position among the inputs.
        id: The digest of its input.
        outcome: How it ended; a success that its file does not hold is none.
        claimed: Whether the search called it a success.
        votes: How often its file was judged a success.
        asked: How often its file was judged.
        l2: Euclidean length of the change in pixels; NaN without an image to change.
        linf: Largest change of a pixel; NaN likewise.
        seconds: Its share of the wall time of its shard, summed over sessions.
        shard: Number of the shard.
        offset: Row within the shard.
        digest: Digest of the shard's contents: a line is believed only beside the shard that it was written for.
        image: Digest of the file of its image, the very bytes that were judged.
    """

    sample: int
    id: str
    outcome: Outcome
    claimed: bool
    votes: int
    asked: int
    l2: float
    linf: float
    seconds: float
    shard: int
    offset: int
    digest: str
    image: str


_FIELDS = {field.name for kind in (Entry, Outcome) for field in fields(kind)} - {"outcome"}


@dataclass(frozen=True)
class Reading:
    """What a ledger holds.

    Attributes:
        entries: The last good line of each sample.
        whole: Bytes up to the end of the last whole line.
        damaged: Whole lines that cannot be believed.
        torn: Whether more follows, which a crash tore.
    """

    entries: dict[int, Entry]
    whole: int = 0
    damaged: int = 0
    torn: bool = False


def lines(entries: Iterable[Entry]) -> bytes:
    """The entries as lines of JSON, each closed by its check sum."""
    return b"".join(_line(entry) for entry in entries)


def read_ledger(path: Path) -> Reading:
    """Read a ledger as far as it can be believed; a missing file is an empty ledger."""
    entries: dict[int, Entry] = {}
    whole = damaged = 0
    if not path.is_file():
        return Reading(entries)
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return Reading(entries, whole, damaged, torn=True)
            whole += len(line)
            entry = _entry(line)
            if entry is None:
                damaged += 1
            else:
                entries[entry.sample] = entry
    return Reading(entries, whole, damaged)


def _plausible(row: dict[str, Any]) -> bool:
    """Whether each value is of its kind: ids become parts of paths, and numbers places in tensors."""
    whole = all(type(row[name]) is int and row[name] >= 0 for name in _COUNTS) and type(row["first"]) is int
    names = all(is_digest(row[name]) for name in ("id", "digest", "image"))
    return whole and names and type(row["claimed"]) is bool and isinstance(row["reason"], str) and _ended(row)


def _ended(row: dict[str, Any]) -> bool:
    return isinstance(row["status"], str) and row["status"] in STATUSES


def _line(entry: Entry) -> bytes:
    row: dict[str, Any] = {**asdict(entry), **asdict(entry.outcome)}
    del row["outcome"]
    for name in _NUMBERS:
        row[name] = row[name] if isfinite(row[name]) else repr(row[name])  # JSON has no word for these
    body = json.dumps(row, separators=(",", ":"))
    return f'{body[:-1]},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def _entry(line: bytes) -> Entry | None:
    """The entry of a line, or None where it is not what was written."""
    body, mark, rest = line.rpartition(b',"crc":"')
    if not mark or rest != f'{zlib.crc32(body + b"}"):08x}"}}\n'.encode():
        return None
    try:
        row = json.loads(body + b"}")
        # Another version of amiss may have written it, or a stranger: a check sum is no signature.
        if set(row) != _FIELDS or not _plausible(row):
            return None
        for name in _NUMBERS:
            row[name] = float(row[name])
    except (ValueError, TypeError, RecursionError):
        return None
    outcome = Outcome(**{field.name: row.pop(field.name) for field in fields(Outcome)})
    return Entry(outcome=outcome, **row)
