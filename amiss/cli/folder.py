"""The folder of a run: replaced only at the user's word, and a free one beside it for a fork."""

import itertools
import shutil
from pathlib import Path

from amiss.disk import PART
from amiss.errors import DataError
from amiss.study import RUN, refuse_foreign
from amiss.study.hold import MODELS
from amiss.study.lock import LOCK, OWNER

__all__ = [
    "ATTACKED",
    "ATTACKS",
    "CAMERA",
    "CARD",
    "EVOLUTION",
    "FINDINGS",
    "IMPOSTERS",
    "NONSENSE",
    "PHOTOGRAPHED",
    "RECORD",
    "REJECTION",
    "ROUNDS",
    "SAID",
    "SHEET",
    "SWEEP",
    "TRANSFER",
    "beside",
    "cleared",
]

RECORD, FINDINGS, CARD = "audit.json", "findings.json", "card.md"
SWEEP, IMPOSTERS, TRANSFER = "imposters.json", "imposters.csv", "transfer.json"
EVOLUTION, NONSENSE, REJECTION = "fooling.json", "fooling.csv", "rejection.json"
CAMERA, PHOTOGRAPHED, SAID, SHEET = "camera.json", "camera.csv", "answers.json", "sheet.svg"
ATTACKS, ATTACKED = "attacks.json", "attacks.csv"
ROUNDS = "rounds.json"
_OURS = (
    *(RUN, RECORD, "config.toml", "inputs.csv", "ledger.jsonl", "results.csv", "flags.json", FINDINGS, CARD),
    *("report.html", "studies", "tensors", "images", "findings", "atlas", "state", "report", "decoder"),
    *("decoder.safetensors", "judge-0", "judge-1", "judge-0.safetensors", "judge-1.safetensors", MODELS),
    *(EVOLUTION, NONSENSE, REJECTION, "frames"),
    *(SWEEP, IMPOSTERS, TRANSFER),
    *(CAMERA, PHOTOGRAPHED, SAID, SHEET),
    *(ATTACKS, ATTACKED),
)
"""All that a run writes, and all that is ever removed; the lock stays."""


def cleared(out: Path) -> None:
    """Remove the run in a folder, so that another can begin there; what is no file of a run keeps it as it is.

    Raises:
        DataError: The folder holds something beside the run, or something that is no run, or cannot be written.
    """
    refuse_foreign(out)
    if not (out / RUN).is_file():
        return
    strange = sorted(path.name for path in out.iterdir() if path.name not in (*_OURS, LOCK, OWNER))
    if strange := [name for name in strange if not name.endswith(PART)]:
        raise DataError(
            f"The folder {str(out)!r} holds something beside the run.",
            slug="out-not-empty",
            seen=f"{', '.join(strange[:4])}; nothing was removed",
            needed="a folder with the run alone",
            why="a file of yours that was put there",
            hint="Move it away, or choose another folder: --out runs/new",
        )
    try:
        for name in _OURS:
            path = out / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"The run in {str(out)!r} cannot be removed.",
            slug="out-not-writable",
            seen=error.strerror or str(error),
            needed="a folder that may be written",
            hint="Choose another: --out runs/new",
        ) from error


def beside(folder: Path) -> Path:
    """The first free folder NAME-2, NAME-3, ... beside a folder."""
    stem, _, number = folder.name.rpartition("-")
    stem, first = (stem, int(number) + 1) if stem and number.isdigit() else (folder.name, 2)
    names = (folder.with_name(f"{stem}-{k}") for k in itertools.count(first))
    return next(name for name in names if not name.exists())
