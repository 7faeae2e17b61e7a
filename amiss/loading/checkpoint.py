"""Checkpoints of ours: a classifier or a decoder that `amiss train` wrote."""

from pathlib import Path
from typing import Any

import torch

from amiss.classifier import Classifier
from amiss.errors import ModelError
from amiss.training import load_model

__all__ = ["open_checkpoint", "open_decoder"]


def open_checkpoint(path: Path | str) -> Classifier:
    """The classifier in a checkpoint of ours, on the CPU.

    Raises:
        ModelError: The checkpoint holds another kind of model.
        CheckpointError: The file is missing, foreign or damaged.
    """
    module, facts = load_model(path)
    _expect(path, facts, "classifier", "a classifier", "Give it as --decoder, and the classifier as MODEL.")
    return Classifier(module, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


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
