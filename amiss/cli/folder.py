"""The folder of an audit: free, an audit's own, or somebody else's and left alone."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from amiss.errors import DataError

__all__ = ["RECORD", "claim", "release"]

RECORD = "audit.json"
_BEGUN = "audit.begun"
_OURS = (RECORD, _BEGUN, "report.html", "images", "decoder", "decoder.safetensors")
"""All that an audit writes, and all that is ever removed."""


def claim(out: Path, overwrite: bool) -> None:
    """Refuse a folder that cannot be written, that holds something else, or an audit that shall stay.

    An audit that was begun and never finished is nobody's result, so it does not stand in the way.

    Raises:
        DataError: The folder is not to be used.
    """
    if out.exists() and not out.is_dir():
        raise DataError(
            f"The run folder {str(out)!r} is a file.",
            slug="out-not-folder",
            seen="a file of that name",
            needed="a folder, or a name that is free",
            hint="Choose another: --out runs/new",
        )
    there = [path.name for path in out.iterdir()] if out.is_dir() else []
    if there and not {RECORD, _BEGUN} & set(there):
        raise DataError(
            f"The folder {str(out)!r} holds something else.",
            slug="out-not-empty",
            seen=f"{', '.join(sorted(there)[:4])}, but no {RECORD}",
            needed="an empty folder, one that is not there yet, or one with an audit",
            why="a folder of yours that was named by mistake",
            hint="Choose an empty folder: --out runs/new",
        )
    if RECORD in there and not overwrite:
        raise DataError(
            f"An audit lies in {str(out)!r} already.",
            slug="out-exists",
            seen=RECORD,
            needed="an empty folder, or leave to replace it",
            hint="Choose another folder by --out, or replace it by --overwrite.",
        )


@contextlib.contextmanager
def release(out: Path, command: str) -> Iterator[None]:
    """Clear the folder of an older audit, and mark it as begun until the work within is done.

    Work that ends before it has written anything leaves no folder behind.

    Raises:
        DataError: The folder cannot be written.
    """
    fresh = not out.is_dir()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in _OURS:
            path = out / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (out / _BEGUN).write_text(command + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"The run folder {str(out)!r} cannot be written.",
            slug="out-not-writable",
            seen=error.strerror or str(error),
            needed="a folder that may be written, on a disk with room",
            hint="Choose another: --out runs/new",
        ) from error
    try:
        yield
    except BaseException:
        if [path.name for path in out.iterdir()] == [_BEGUN]:
            (out / _BEGUN).unlink()
            if fresh:
                out.rmdir()
        raise
    (out / _BEGUN).unlink()
