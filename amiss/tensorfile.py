"""Tensors and plain values in one file: safetensors with JSON in the header, written whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from amiss.disk import Disk
from amiss.errors import CheckpointError, DataError
from amiss.repro import digest

__all__ = ["contents_digest", "encode_tensors", "read_about", "read_tensors", "write_tensors"]

_UNFINISHED = "state.safetensors"  # what a training leaves until it ends
_FORMAT = "amiss-1"


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write tensors and plain values to one safetensors file, in one atomic step.

    Args:
        path: The file; its folder is made where it is missing.
        tensors: What to store, by name.
        about: Plain values (JSON); they travel in the header with a digest of the tensors.

    Returns:
        The digest of tensors and plain values.

    Raises:
        CheckpointError: The disk refused, or `about` holds something other than JSON.
    """
    path = Path(path)
    data, name = encode_tensors(tensors, about)
    try:
        Disk().write(path, data)
    except DataError as error:
        raise CheckpointError(
            f"{path.name} could not be written.",
            slug="checkpoint-write",
            seen=error.seen,
            hint="Check the folder's rights and the free space on the disk; the file before is untouched.",
        ) from error
    return name


def encode_tensors(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> tuple[bytes, str]:
    """The bytes of such a file, and the digest of tensors and plain values.

    Args:
        tensors: What to store, by name.
        about: Plain values (JSON).

    Raises:
        CheckpointError: `about` holds something other than JSON.
    """
    from safetensors.torch import save

    solid = {name: t.detach().cpu().contiguous().clone() for name, t in sorted(tensors.items())}
    try:
        header = {"format": _FORMAT, "about": json.dumps(about, allow_nan=False)}
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "What should be written beside the tensors is not plain JSON.",
            slug="checkpoint-about",
            seen=str(error),
            needed="text, finite numbers, true, false, null, lists and dictionaries",
            hint="Turn tensors into lists and paths into text first.",
        ) from error
    header |= {"digest": _digest(solid), "about_digest": digest(header["about"])}
    return save(solid, header), digest(header["digest"], header["about_digest"])


def contents_digest(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """The digest that `encode_tensors` returned for these contents."""
    return digest(_digest(tensors), digest(json.dumps(about, allow_nan=False)))


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: (tensors, plain values).

    Raises:
        CheckpointError: The file is missing, foreign, cut short, or does not hold what was written.
    """
    path = Path(path)
    with _opened(path) as file:
        header = file.metadata()
        about = _about(path, header)
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except Exception as error:  # of a type that a damaged header names, and torch or safetensors does not know
            raise _corrupt(path, str(error)) from error
    if header["digest"] != _digest(tensors):
        raise _corrupt(path, "the contents are not those that the header's digest names")
    return tensors, about


def read_about(path: Path | str) -> dict[str, Any]:
    """The plain values alone, with the tensors neither read nor checked.

    Raises:
        CheckpointError: The file is missing or foreign.
    """
    path = Path(path)
    with _opened(path) as file:
        return _about(path, file.metadata())


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return digest(*(part for name in sorted(tensors) for part in (name, tensors[name])))


def _opened(path: Path) -> Any:
    """A context that reads the file lazily; whatever goes wrong inside becomes a CheckpointError."""
    from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        raise CheckpointError(
            "There is no such checkpoint.",
            slug="checkpoint-missing",
            seen=path.name,
            needed="a .safetensors file",
            why=_beside(path),
            hint="Check the path, or make one with amiss train.",
        )
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, str(error)) from error


def _beside(path: Path) -> str:
    """What a folder holds in the place of a checkpoint."""
    place = path if os.path.isdir(path) else path.parent  # Path.is_dir stumbles over names that are too long
    if not os.path.isdir(place):
        return ""
    there = sorted(other.name for other in place.glob("*.safetensors"))
    if there == [_UNFINISHED]:
        return "its training has not ended: the same amiss train command goes on with it"
    others = [name for name in there if name != _UNFINISHED]
    return f"the folder holds {', '.join(others[:4])}" if others else ""


def _about(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The plain values of a header that is ours."""
    if not metadata or metadata.get("format") != _FORMAT or "digest" not in metadata:
        raise CheckpointError(
            f"{path.name} was not written by amiss.",
            slug="checkpoint-foreign",
            seen=f"format {(metadata or {}).get('format', 'unknown')!r}",
            needed=f"format {_FORMAT!r}",
            why="weights alone do not say which network they belong to, nor how images were scaled",
            hint="Name your own model as file.py:function, or write it with amiss.training.save_model.",
        )
    text = metadata.get("about", "")
    if metadata.get("about_digest", digest(text)) != digest(text):  # files of the first version have none
        raise _corrupt(path, "the plain values are not those that the header's digest names")
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"the header is not JSON: {error}") from error
    if not isinstance(about, dict):
        raise _corrupt(path, "the header is not a dictionary")
    return cast(dict[str, Any], about)


def _corrupt(path: Path, seen: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} cannot be trusted.",
        slug="checkpoint-corrupt",
        seen=seen,
        needed="a whole safetensors file",
        why="a copy that was cut short, or a damaged disk",
        hint="Copy the file again, or make it again by the command that wrote it.",
    )
