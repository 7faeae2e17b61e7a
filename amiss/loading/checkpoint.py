"""Checkpoints of ours: a classifier or a decoder that `amiss train` wrote."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data.guards import readable
from amiss.errors import CheckpointError, ModelError, UsageError
from amiss.loading.asked import OTHERS, how_asked
from amiss.models import FilmDecoder, FilmStrip, LatentVariable, MovieClassifier
from amiss.training import load_model

__all__ = ["open_checkpoint", "open_decoder", "other_kind"]

_FACTS = {"mean": int | float, "std": int | float, "classes": str}
_STRIPS = "strips:"
_SHOWN, _LONGEST = 12, 60
_MOVIES = {"classes": str}
_MANY = {"mean": int | float, "std": int | float, "heads": str}


def open_checkpoint(path: Path | str, head: int | str | None = None) -> Classifier:
    """The classifier in a checkpoint of ours, on the CPU; one of movies reads strips of film.

    Args:
        path: The file.
        head: Of one of many labels, the number or name of the one that is read.

    Raises:
        ModelError: The checkpoint holds another kind of model, or there is no such head.
        UsageError: It has many labels and none is chosen, or one label and a head is; or it is one of movies with
            numbers beside their frames.
        CheckpointError: The file is missing, foreign or damaged, or says what no classifier has.
    """
    module, facts = load_model(path)
    many = facts.get("kind") == "attributes"
    movies = facts.get("kind") == "sequence-classifier" and isinstance(module, MovieClassifier)
    if not many and not movies and facts.get("kind") != "classifier":
        raise other_kind(path, facts, "classifier", "a classifier", _instead(module, facts))
    for name, kind in (_MANY if many else _MOVIES if movies else _FACTS).items():
        value = facts.get(name, "(nothing)")
        if value is not None and not (isinstance(value, list) and value and all(isinstance(v, kind) for v in value)):
            raise CheckpointError(
                f"{Path(path).name} says what no classifier has.",
                slug="checkpoint-facts",
                seen=f"{name}: {value!r}"[:200],
                needed="a list of numbers for mean and std and one of text for the classes or heads, or null",
                why="the file was changed, or written by something else",
                hint="Train the model again, or write it with amiss.training.save_model.",
            )
    named = facts["heads" if many else "classes"]
    names = named and [readable(name) for name in named]
    if many != (head is not None):
        raise _head(path, names or (), head)
    if isinstance(module, MovieClassifier):
        return Classifier(FilmStrip(module), labels=names, channels=module.frame[0])
    said = facts["recipe"].get("arguments", {})  # the network was built of them
    shape = {name: said[name] for name in ("size", "channels") if isinstance(said.get(name), int)}
    return Classifier(module, mean=facts["mean"], std=facts["std"], labels=names, head=head, **shape)


def open_decoder(path: Path | str, device: torch.device | str = "cpu") -> Any:
    """The decoder in a checkpoint of ours.

    Args:
        path: The file; "strips:FILE" makes one of strips of film out of a decoder of frames.
        device: Where it is put.

    Raises:
        ModelError: The checkpoint holds another kind of model.
        CheckpointError: The file is missing, foreign or damaged.
    """
    strips = str(path).startswith(_STRIPS)
    module, facts = load_model(str(path).removeprefix(_STRIPS))
    if not isinstance(module, LatentVariable):
        needed = "a model with codes that amiss train made, such as a vae or a flow"
        raise other_kind(path, facts, "decoder", needed, "Train one: amiss train vae DATA --out decoder/")
    return (FilmDecoder(module) if strips else module).to(device)


def _head(path: Path | str, names: Sequence[str], head: int | str | None) -> UsageError:
    """The error of a head that was not chosen, or that there is not."""
    shown = ", ".join(name[:_LONGEST] for name in names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
    if head is not None:
        return UsageError(
            "--head means nothing for this MODEL.",
            slug="usage-preprocessing",
            seen=f"--head {head}, and a classifier of {len(names)} classes: {shown}",
            needed="a network with an output for each of many attributes",
            why=f"{Path(path).name} tells one class of several",
            hint="Leave --head out.",
        )
    return UsageError(
        f"{Path(path).name} tells many attributes, and one must be chosen.",
        slug="usage-head",
        seen=f"{len(names)} heads: {shown}",
        needed="--head with one of them",
        hint=f"--head {names[0][:_LONGEST] if names else 0}",
    )


def _instead(module: nn.Module, facts: dict[str, Any]) -> str:
    """What a model that is no classifier of images can be asked."""
    if isinstance(module, LatentVariable):
        return "Give it as --decoder, and the classifier as MODEL."
    if facts["recipe"].get("architecture") in OTHERS and not isinstance(module, MovieClassifier):
        return how_asked("CHECKPOINT", facts.get("kind"), facts["recipe"])
    return "Train one: amiss train classifier DATA --out runs/classifier"


def other_kind(path: Path | str, facts: dict[str, Any], kind: str, needed: str, hint: str) -> ModelError:
    """The error of a checkpoint that holds something else."""
    found = facts.get("kind", "model that does not say what it is")
    what = f"{Path(path).name} is no {kind}."
    return ModelError(what, slug="model-kind", seen=f"a {found}", needed=needed, hint=hint)
