"""`amiss list`: the kinds of models that can be trained, the recipes that can be run, the layers of a model."""

import json
from math import prod
from pathlib import Path
from typing import Annotated, Any

import typer
from torch import nn

from amiss.cli.command import shown
from amiss.cli.helping import about_recipe
from amiss.cli.settings import settings_of
from amiss.cli.words import explained
from amiss.errors import UsageError
from amiss.loading import open_classifier
from amiss.recipes import RECIPES
from amiss.training import KINDS, load_model

__all__ = ["kinds_table", "layers_table", "list_", "recipes_table"]

_WHAT = ("models", "kinds", "recipes", "layers")


def kinds_table() -> list[dict[str, Any]]:
    """What can be trained: name, sentence, what its log probability is, and its options with what they mean."""
    return [
        {
            "name": kind.name,
            "about": kind.about,
            "bound": kind.bound,
            "labels": kind.labeled,
            "options": explained(kind.preset, kind.options),
        }
        for kind in KINDS.values()
    ]


def recipes_table() -> list[dict[str, Any]]:
    """What can be run: name, sentence, and its options with what they mean."""
    return [
        {"name": name, "about": about_recipe(name), "options": explained(recipe.make, settings_of(recipe))}
        for name, recipe in RECIPES.items()
    ]


def layers_table(model: str) -> list[dict[str, Any]]:
    """The layers of a model: name, type, the shapes of its own weights, and how many numbers these are.

    Args:
        model: A checkpoint of ours, of any kind, or what `amiss.loading.open_classifier` knows.

    Raises:
        ModelError: It cannot be had, or is no network of layers.
        CheckpointError: The checkpoint is refused.
    """
    ours = Path(model).suffix == ".safetensors"
    network: Any = load_model(model)[0] if ours else open_classifier(model).network
    if not isinstance(network, nn.Module):
        raise UsageError(
            "This model has no layers that could be listed.",
            slug="list-layers",
            seen=f"a {type(network).__name__}",
            needed="a torch module, or a checkpoint of amiss",
            hint="Of other models features cannot be asked for by name.",
        )
    rows = []
    for name, module in network.named_modules():
        own = {key: list(p.shape) for key, p in module.named_parameters(recurse=False)}
        if name and (own or not any(True for _ in module.children())):
            count = sum(prod(shape) for shape in own.values())
            rows.append({"name": name, "type": type(module).__name__, "shapes": own, "numbers": count})
    return rows


def list_(
    what: Annotated[str, typer.Argument(help="models (or kinds), recipes, or layers")] = "models",
    model: Annotated[str | None, typer.Argument(help="whose layers: a checkpoint, or file.py:function")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """List what there is: kinds of models for amiss train, recipes for amiss run, layers of a model."""
    if what not in _WHAT or (what == "layers") != (model is not None):
        raise UsageError(
            "There is no such list.",
            slug="list-what",
            seen=" ".join(word for word in (what, model) if word)[:100],
            needed="models, kinds or recipes alone, or layers with a model",
            hint="amiss list layers runs/digits/model.safetensors",
        )
    rows = recipes_table() if what == "recipes" else kinds_table() if model is None else layers_table(model)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    cells: list[tuple[str, ...]]
    if model is not None:
        cells = [(row["name"], row["type"], _shapes(row["shapes"])) for row in rows]
        typer.echo("\n".join([*_lines(("layer", "type", "weights"), cells), f"{_numbers(rows):,} numbers"]))
    elif what == "recipes":
        cells = [(r["name"], r["about"]) for r in rows]
        typer.echo("\n".join(_lines(("recipe", "what it does"), cells)))
    else:
        cells = [(r["name"], r["bound"] or "-", r["about"], " ".join(r["options"])) for r in rows]
        typer.echo("\n".join(_lines(("kind", "log probability", "what it is", "options"), cells)))


def _shapes(shapes: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or '1'}" for name, shape in shapes.items())


def _numbers(rows: list[dict[str, Any]]) -> int:
    return sum(int(row["numbers"]) for row in rows)


def _lines(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A table as lines; names out of files are shown, not obeyed."""
    table = [head, *(tuple(shown(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in table
    ]
