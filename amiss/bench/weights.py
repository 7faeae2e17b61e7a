"""Networks of the benches, trained once a seed: a file of another recipe is not taken for one's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from amiss.repro import digest
from amiss.training import Preset, Trained, load_model

__all__ = ["learned_once"]


def learned_once(
    path: Path, recipe: Preset, learn: Callable[[Preset, str], Trained]
) -> tuple[nn.Module, dict[str, Any]]:
    """A model of a recipe, read from its file; trained, where there is none or the file's is of another recipe.

    Args:
        path: The file.
        recipe: What the model is and how it learns. What it learns from is the caller's to keep the same.
        learn: Trains by the recipe; its second argument is a digest of it, for the name of a folder.

    Returns:
        The model in eval mode, and the facts of its file.
    """
    said = digest(repr(recipe))
    if not path.is_file() or load_model(path)[1]["training"].get("recipe") != said:
        done = learn(recipe, said[:12])
        done.facts["training"]["recipe"] = said
        done.save(path)
    return load_model(path)
