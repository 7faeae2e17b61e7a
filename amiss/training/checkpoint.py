"""Files of models and unfinished runs: safetensors with JSON in the header, written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from amiss.errors import AmissError, CheckpointError
from amiss.models import build
from amiss.repro import digest, versions

__all__ = ["load_model", "read_facts", "read_tensors", "save_model", "write_tensors"]

_FORMAT = "amiss-1"


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and plain values to one safetensors file, in one atomic step.

    Args:
        path: The file; its folder is made where it is missing.
        tensors: What to store, by name.
        about: Plain values (JSON); they travel in the header with a digest of the tensors.

    Raises:
        CheckpointError: The disk refused, or `about` holds something other than JSON.
    """
    from safetensors.torch import save

    path = Path(path)
    solid = {name: t.detach().cpu().contiguous().clone() for name, t in sorted(tensors.items())}
    try:
        header = {"format": _FORMAT, "digest": _digest(solid), "about": json.dumps(about, allow_nan=False)}
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "What should be written about the model is not plain JSON.",
            slug="checkpoint-about",
            seen=str(error),
            needed="text, finite numbers, true, false, null, lists and dictionaries",
            hint="Turn tensors into lists and paths into text first.",
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(save(solid, header))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)  # mkstemp makes files that only their owner reads
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise CheckpointError(
            f"{path.name} could not be written.",
            slug="checkpoint-write",
            seen=str(error.strerror or error),
            hint="Check the folder's rights and the free space on the disk; the file before is untouched.",
        ) from error


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: (tensors, plain values).

    Raises:
        CheckpointError: The file is missing, foreign, cut short, or its tensors are not those written.
    """
    path = Path(path)
    with _opened(path) as file:
        about = _about(path, file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if file.metadata()["digest"] != _digest(tensors):
            raise _corrupt(path, "the tensors' digest is not the one in the header")
    return tensors, about


def save_model(
    path: Path | str,
    model: nn.Module,
    recipe: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write one model to one file.

    Args:
        path: The file, by custom `*.safetensors`.
        model: The trained module; it is not changed.
        recipe: What `amiss.models.build` needs: {"architecture": ..., "arguments": {...}}.
        facts: What its user must know: "kind" ("classifier" or "decoder"), "classes",
            "mean", "std", "figures", "data" (fingerprint). Plain JSON.
        dtype: How floating weights are stored; "float16" halves the file and rounds at 1 part in 2,000.

    Raises:
        CheckpointError: The weights are not finite in that type, the facts are not JSON, or the disk refused.
    """
    kind = torch.float16 if dtype == "float16" else torch.float32
    weights = {name: t.to(kind) if t.is_floating_point() else t for name, t in model.state_dict().items()}
    bad = [name for name, t in weights.items() if t.is_floating_point() and not t.isfinite().all()]
    if bad:
        raise CheckpointError(
            "A model with weights that are not finite is not saved.",
            slug="checkpoint-not-finite",
            seen=f"{bad[0]} and {len(bad) - 1} more as {dtype}" if len(bad) > 1 else f"{bad[0]} as {dtype}",
            needed="finite weights",
            hint="Save as float32, or go back to the last good checkpoint.",
        )
    about = {"recipe": dict(recipe), "facts": dict(facts), "versions": versions()}
    write_tensors(path, weights, about)


def load_model(path: Path | str) -> tuple[nn.Module, dict[str, Any]]:
    """Read a model that `save_model` wrote.

    The file is data alone: nothing in it is executed, and nothing larger than its own tensors is built.

    Returns:
        The module in eval mode, float32, on the CPU, and the facts; facts["recipe"] names the architecture.

    Raises:
        CheckpointError: The file is missing, foreign, corrupt, or does not fit the architecture it names.
    """
    path = Path(path)
    weights, about = read_tensors(path)
    weights = {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}
    facts = _facts(path, about)
    try:
        # Built without memory first, so that a header cannot ask for more than the file brings.
        with torch.device("meta"):
            model = build(facts["recipe"])
        model.load_state_dict(weights, strict=True, assign=True)
    except (AmissError, RuntimeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(
            f"{path.name} does not fit the architecture it names.",
            slug="checkpoint-fit",
            seen=str(error).splitlines()[0],
            needed="the weights of that architecture, all of them and no other",
            why="the file was changed, or written by another version of amiss",
            hint="Train the model again, or install the version that wrote it.",
        ) from error
    model.requires_grad_(True)
    return model.eval(), facts


def read_facts(path: Path | str) -> dict[str, Any]:
    """The facts of a saved model, as `load_model` returns them, without reading its weights.

    Raises:
        CheckpointError: The file is missing or foreign.
    """
    path = Path(path)
    with _opened(path) as file:
        return _facts(path, _about(path, file.metadata()))


def _facts(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """The facts with the recipe beside them; refused where the file holds no model."""
    recipe, facts = about.get("recipe"), about.get("facts")
    if not isinstance(recipe, dict) or not isinstance(facts, dict):
        raise CheckpointError(
            f"{path.name} holds no model.",
            slug="checkpoint-no-model",
            seen=f"a file with {', '.join(sorted(about)) or 'nothing'}",
            needed="a recipe and facts, as save_model writes them",
            why="it is the state of an unfinished run",
            hint="Name model.safetensors, or finish the run with the same amiss train command.",
        )
    return {**facts, "recipe": recipe}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    return digest(*(part for name in sorted(tensors) for part in (name, tensors[name])))


def _opened(path: Path) -> Any:
    """A context that reads the file lazily; whatever goes wrong inside becomes a CheckpointError."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(
            "There is no such checkpoint.",
            slug="checkpoint-missing",
            seen=path.name,
            needed="a .safetensors file",
            hint="Check the path, or make one with amiss train.",
        )
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise _corrupt(path, str(error)) from error


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
    try:
        about = json.loads(metadata.get("about", ""))
    except ValueError as error:
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
        hint="Copy the file again, or train the model again.",
    )
