"""Files of models: weights, the recipe of their architecture, and what their user must know."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from amiss.errors import AmissError, CheckpointError
from amiss.models import build
from amiss.repro import versions
from amiss.tensorfile import read_about, read_tensors, write_tensors

__all__ = ["load_model", "read_facts", "save_model"]


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
        facts: What its user must know: "kind" (a name in `KINDS`), "classes",
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
        trained = {name: p.requires_grad for name, p in model.named_parameters()}
        model.load_state_dict(weights, strict=True, assign=True)
    except (AmissError, RuntimeError, ValueError, ArithmeticError) as error:
        if isinstance(error, AmissError) and error.slug == "model-package":
            raise  # the file is sound: it wants a package that is not there
        raise CheckpointError(
            f"{path.name} does not fit the architecture it names.",
            slug="checkpoint-fit",
            seen=str(error).splitlines()[0],
            needed="the weights of that architecture, all of them and no other",
            why="the file was changed, or written by another version of amiss",
            hint="Train the model again, or install the version that wrote it.",
        ) from error
    for name, p in model.named_parameters():
        p.requires_grad_(trained[name])  # light that stays as it was drawn does so
    return model.eval(), facts


def read_facts(path: Path | str) -> dict[str, Any]:
    """The facts of a saved model, as `load_model` returns them, without reading its weights.

    Raises:
        CheckpointError: The file is missing or foreign.
    """
    path = Path(path)
    return _facts(path, read_about(path))


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
