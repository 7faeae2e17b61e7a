"""The models of `--transfer`: opened and tried before anything is searched, and what they said kept in one file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amiss.classifier import Classifier
from amiss.cli.command import model_name
from amiss.cli.config import RunConfig
from amiss.cli.folder import TRANSFER
from amiss.data.guards import open_plain
from amiss.disk import Disk
from amiss.errors import ModelError, UsageError
from amiss.loading import open_classifier

__all__ = ["keep_matrix", "kept_matrix", "open_others"]

_MOST = 2**24  # bytes of transfer.json


def open_others(
    config: RunConfig, own: Classifier, attempt: Callable[[Classifier], object], device: str | None
) -> dict[str, Classifier]:
    """The models of `--transfer`, by name; each was shown one image.

    Args:
        config: The run, whose own model is no other.
        own: That model, which is shown the image first.
        attempt: Shows one image to a model: what is wrong with it is said before hours of search.
        device: Where they compute.

    Raises:
        UsageError: One is named twice, or none is.
        ModelError: One cannot be opened, does not take such images, or knows other classes.
    """
    models = config.network.get("transfer")
    if models is None:
        return {}
    named, recipe = [part.strip() for part in models.split(",")], config.recipe.replace("_", "-")
    if config.model in named:
        raise _refused(
            f"The experiment {recipe} shows its images to MODEL itself anyway.",
            models,
            f"Leave {config.model} out of --transfer.",
        )
    if not all(named) or len({*named}) < len(named):
        hint = "Name each model once, with commas and nothing else between."
        raise _refused(f"The experiment {recipe} cannot take --transfer like this.", models, hint)
    opened = {model: open_classifier(model, device=device) for model in named}
    attempt(own)
    for model, classifier in opened.items():
        try:
            attempt(classifier)
            _refuse_order(own, classifier)
        except ModelError as error:
            said = {name: getattr(error, name) for name in ("slug", "seen", "needed", "why")}
            hint = f"Leave {model} out of --transfer, or give one that takes such images and tells the same classes."
            raise ModelError(f"{model!r} of --transfer: {error.what}", hint=hint, **said) from error
    short = [model_name(model) for model in (config.model, *named)]
    return opened if len(set(short)) < len(short) else {model_name(k): v for k, v in opened.items()}


def keep_matrix(folder: Path, matrix: Mapping[str, Any]) -> None:
    """Write what the models said into the run folder."""
    Disk().write(folder / TRANSFER, (json.dumps(matrix, indent=1, allow_nan=False) + "\n").encode())


def kept_matrix(folder: Path) -> Any:
    """What the file of the run folder holds, which somebody else may have written; None where it holds nothing."""
    try:
        with open_plain(folder / TRANSFER, _MOST) as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError):
        return None


def _refuse_order(own: Classifier, other: Classifier) -> None:
    """Refuse a model of the same names in another order: all that it says would be of other classes."""
    mine, theirs = ([name.casefold() for name in labels or ()] for labels in (own.labels, other.labels))
    if mine == theirs or sorted(mine) != sorted(theirs):  # names that one does not know tell nothing
        return
    at = next(i for i, (one, two) in enumerate(zip(mine, theirs, strict=True)) if one != two)
    raise ModelError(
        "It numbers the classes in another order.",
        slug="transfer-order",
        seen=f"class {at} is {(other.labels or ())[at]!r} there, and {(own.labels or ())[at]!r} here",
        needed="the same classes in the same order",
        hint="Leave it out of --transfer.",
    )


def _refused(what: str, models: str, hint: str) -> UsageError:
    needed = "other MODELs, each once, with commas"
    return UsageError(what, slug="recipe-option", seen=f"--transfer {models}", needed=needed, hint=hint)
