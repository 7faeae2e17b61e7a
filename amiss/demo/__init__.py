"""A small face classifier with a planted shortcut, its decoder and its test faces, shipped ready to be audited."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.data.worlds.faces import ATTRIBUTES, CAUSES, redraw, sample_faces
from amiss.errors import CheckpointError
from amiss.models import ConvVAE
from amiss.training import load_model

__all__ = ["demo_classifier", "demo_decoder", "demo_faces", "demo_figures", "demo_redraw"]

_ROOM = Path(__file__).parent
_STREAM = 2  # of the lots that the test faces are drawn by


def demo_classifier() -> Classifier:
    """A classifier of drawn faces [N, 3, 48, 48] that learned "short hair" along with "male".

    In its training faces hair agreed with the label nine times in ten; the truth follows from jaw and brow
    alone. `demo_figures()["classifier"]` says how often it is wrong, and on whom.

    Raises:
        CheckpointError: The shipped file is missing or damaged.
    """
    network, facts = load_model(_ROOM / "classifier.safetensors")
    return Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def demo_decoder() -> ConvVAE:
    """The autoencoder of the same training faces, shortcut and all, as a user would train it.

    `encode` gives codes [N, 32] of faces [N, 3, 48, 48] in [0, 1], `decode` gives faces of codes.

    Raises:
        CheckpointError: The shipped file is missing or damaged, or holds no autoencoder.
    """
    model, _ = load_model(_ROOM / "decoder.safetensors")
    if not isinstance(model, ConvVAE):
        raise CheckpointError(
            "The demo's decoder is no autoencoder.",
            slug="demo-decoder",
            seen=type(model).__name__,
            needed="a ConvVAE",
            why="the shipped file was replaced",
            hint="Install amiss again, or run python -m amiss.bench.demo_weights.",
        )
    return model.requires_grad_(False)


def demo_faces(n: int = 1000) -> Images:
    """Labeled test faces without the shortcut: hair says nothing about the label, and the table tells all.

    Args:
        n: Number of faces, at least 1; more faces begin with the same ones. A thousand take half a second.

    Returns:
        RGB images of 48 pixels, the first n of the test split of "faces".

    Raises:
        UsageError: n is below 1.
    """
    return open_data(f"faces:n={n}", split="test")


def demo_redraw(n: int = 1000) -> Callable[[str, bool, Tensor], Tensor | None]:
    """The true counterfactual of the test faces: the same ones with an attribute in its other half.

    Args:
        n: Number of faces, as in `demo_faces`.

    Returns:
        A function of an attribute's name, whether it goes to its upper half, and positions [k]. It gives pixels
        [k, 3, 48, 48], uint8; faces that are in that half already stay as they are. None for what is no attribute
        of a face, and for jaw and brow, from which the label itself follows.
    """
    faces = sample_faces(n, _STREAM)

    def drawn(attribute: str, upward: bool, rows: Tensor) -> Tensor | None:
        if attribute not in ATTRIBUTES or attribute in CAUSES:
            return None
        chosen = faces.pick(rows)
        value = chosen[attribute]
        return redraw(
            chosen, attribute, torch.maximum(value, 1 - value) if upward else torch.minimum(value, 1 - value)
        )

    return drawn


def demo_figures() -> dict[str, Any]:
    """What was measured when the demo was trained: seeds, fingerprints, error rates, fidelity of the decoder."""
    figures: dict[str, Any] = json.loads((_ROOM / "figures.json").read_text(encoding="utf-8"))
    return figures
