"""The folder of a run: replaced only at the user's word, and a free one beside it for a fork."""

import itertools
import shutil
from pathlib import Path

from amiss.errors import DataError
from amiss.study import RUN, refuse_foreign
from amiss.study.hold import MODELS

__all__ = ["RECORD", "beside", "cleared"]

RECORD = "audit.json"
_OURS = (
    *(RUN, RECORD, "config.toml", "inputs.csv", "ledger.jsonl", "results.csv", "flags.json", "report.html"),
    *("studies", "tensors", "images", "state", "report", "decoder", "decoder.safetensors", MODELS),
)
"""All that a run writes, and all that is ever removed; the lock stays."""


def cleared(out: Path) -> None:
    """Remove the run in a folder, and nothing else.

    Raises:
        DataError: The folder holds something that is no run of ours, or cannot be written.
    """
    refuse_foreign(out)
    if not (out / RUN).is_file():
        return
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
