"""What a pickle would call if it were opened, read off its opcodes; nothing of it is run."""

import contextlib
import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# The very list that torch.load(weights_only=True) goes by; torch has no public name for it.
from torch._weights_only_unpickler import _get_allowed_globals

__all__ = ["SUFFIXES", "forbidden_globals", "is_program", "is_zip"]

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
"""How the names of such files end."""

_LARGEST = 1 << 26  # bytes: in a zip the pickle names the tensors and holds none, so it is small
_IN_A_ROW = 5  # the format before the zip: four short pickles before the last, then the tensors' bytes


def forbidden_globals(path: Path | str) -> tuple[str, ...]:
    """The functions and classes that a file names and that a weights-only load refuses.

    Args:
        path: A file as torch.save writes it, in the zip format or the one before it, or any pickle.

    Returns:
        "module.name" each, sorted, cut at 80 characters, unprintable ones replaced. Empty where there are none, or
        where the file stops making sense before the first.
    """
    found: set[str] = set()
    with contextlib.suppress(Exception), Path(path).open("rb") as file:  # a hostile file ends in any error at all
        for stream in _streams(file):
            for name in _named(stream):
                found.add(name.replace("__builtin__.", "builtins.", 1))
    forbidden = found - set(_get_allowed_globals())
    return tuple(sorted("".join(c if c.isprintable() else "?" for c in name[:80]) for name in forbidden))


def is_zip(path: Path) -> bool:
    """Whether the file begins as a zip does, which is how torch tells."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def is_program(path: Path) -> bool:
    """Whether it is an archive of TorchScript, which holds code beside the weights."""
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())
    return False


def _streams(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The pickles in a file, each as a stream that stands at its beginning."""
    if file.read(4) == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.filename.rpartition("/")[2] == "data.pkl" and info.file_size <= _LARGEST:
                    yield io.BytesIO(archive.read(info))
        return
    file.seek(0)
    for _ in range(_IN_A_ROW):
        yield file


def _named(stream: IO[bytes]) -> Iterator[str]:
    """All that one pickle takes from modules, "module.name" each; the words on its stack are followed, not run."""
    words: list[str] = []
    memo: dict[int, str | None] = {}
    last: str | None = None
    for op, arg, _ in pickletools.genops(stream):
        if op.name in ("GLOBAL", "INST"):
            yield str(arg).replace(" ", ".", 1)
        elif op.name == "STACK_GLOBAL" and len(words) == 2:
            yield ".".join(words)
        if op.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(str(arg))] = last
            continue
        if op.name == "MEMOIZE":
            memo[len(memo)] = last
            continue
        last = memo.get(int(str(arg))) if op.name in ("GET", "BINGET", "LONG_BINGET") else None
        if "UNICODE" in op.name or "STRING" in op.name:
            last = str(arg)
        words = [*words, last][-2:] if last is not None else words
