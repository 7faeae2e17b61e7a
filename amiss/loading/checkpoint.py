"""Checkpoints of ours: a classifier or a decoder that `amiss train` wrote."""

from pathlib import Path
from typing import Any

import torch

from amiss.classifier import Classifier
from amiss.data.guards import readable
from amiss.errors import CheckpointError, ModelError
from amiss.training import load_model

__all__ = ["open_checkpoint", "open_decoder"]

_FACTS = {"mean": int | float, "std": int | float, "classes": str}


def open_checkpoint(path: Path | str) -> Classifier:
    """The classifier in a checkpoint of ours, on the CPU.

    Raises:
        ModelError: The checkpoint holds another kind of model.
        CheckpointError: The file is missing, foreign or damaged, or says what no classifier has.
    """
    module, facts = load_model(path)
    _expect(path, facts, "classifier", "a classifier", "Give it as --decoder, and the classifier as MODEL.")
    for name, kind in _FACTS.items():
        value = facts.get(name, "(nothing)")
        if value is not None and not (isinstance(value, list) and value and all(isinstance(v, kind) for v in value)):
            raise CheckpointError(
                f"{Path(path).name} says what no classifier has.",
                slug="checkpoint-facts",
                seen=f"{name}: {value!r}"[:200],
                needed="a list of numbers for mean and std and one of text for the classes, or null",
                why="the file was changed, or written by something else",
                hint="Train the model again, or write it with amiss.training.save_model.",
            )
    names = facts["classes"] and [readable(name) for name in facts["classes"]]
    return Classifier(module, mean=facts["mean"], std=facts["std"], labels=names)


def open_decoder(path: Path | str, device: torch.device | str = "cpu") -> Any:
    """The decoder in a checkpoint of ours.

    Raises:
        ModelError: The checkpoint holds another kind of model.
        CheckpointError: The file is missing, foreign or damaged.
    """
    module, facts = load_model(path)
    needed = "an autoencoder that amiss train made"
    _expect(path, facts, "decoder", needed, "Train one: amiss train vae DATA --out decoder/")
    return module.to(device)


def _expect(path: Path | str, facts: dict[str, Any], kind: str, needed: str, hint: str) -> None:
    found = facts.get("kind", "model that does not say what it is")
    if found != kind:
        raise ModelError(
            f"{Path(path).name} is no {kind}.", slug="model-kind", seen=f"a {found}", needed=needed, hint=hint
        )
