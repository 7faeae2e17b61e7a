"""Recipes of classifiers of movies and signals."""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.sequences import Sequences
from amiss.errors import DataError
from amiss.models import PickedClassifier
from amiss.models.recurrent import CellName
from amiss.training.batches import as_pixels
from amiss.training.kind import Kind
from amiss.training.losses import SequenceLoss
from amiss.training.losses.sequences import logits_of
from amiss.training.preset import Preset, preset_of

__all__ = ["SEQUENCE_CLASSIFIER", "refuse_beside", "sequence_classifier_for", "sequence_logits"]

_STEPS = 1500


def sequence_classifier_for(
    sequences: Sequences,
    *,
    hidden: int = 32,
    cell: CellName = "gru",
    bidirectional: bool = True,
    width: int = 8,
    keep: int = 0,
    beside: bool = True,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """One label for a movie, or for a signal.

    Frames of a movie become codes by convolutions, and every frame is to tell the label; a movie's logits are the
    mean of its frames'. A signal is read as it is.

    Args:
        sequences: What it learns from, labeled.
        hidden: Numbers in the state of a cell; 0, for movies: no recurrent network, each frame by itself.
        cell: Which cells: rnn, lstm, lstm-sigmoid or gru.
        bidirectional: Whether a frame is judged by the frames behind it as well.
        width: Channels of a movie's first maps.
        keep: Frames that are recorded; which ones is learned. 0: all.
        beside: Whether it reads the numbers beside a movie's frames; strips of film have none. Those of a signal
            belong into its frames.
        seed: Of weights and order.
        epochs: Passes over the sequences; by default what fits in a few minutes.

    Raises:
        DataError: The sequences have no labels, frames that are not square, or, signals, numbers beside their frames.
        UsageError: More frames are to be recorded than there are.
    """
    classes = max(len(sequences.classes), int(sequences.truth.max()) + 1)
    shape = sequences.frames.shape[2:]
    movies = len(shape) == 3
    common: dict[str, Any] = {"classes": classes, "hidden": hidden, "cell": cell, "bidirectional": bidirectional}
    own: dict[str, Any] = {"inputs": shape[0], "pooling": "mean"}
    if movies and shape[1] != shape[2]:
        raise DataError(
            "The classifiers of movies take square frames.",
            slug="data-not-square",
            seen=f"{shape[1]} x {shape[2]}",
            needed="height equal to width",
            hint="Cut the frames out, or pad them.",
        )
    if beside and not movies:
        refuse_beside(sequences, "; or leave them out: --no-beside, beside=False")
    if movies:
        own = {
            "channels": shape[0],
            "size": shape[1],
            "width": width,
            "extra": sequences.beside.shape[2] if beside else 0,
        }
    name = "MovieClassifier" if movies else "SequenceClassifier"
    arguments = common | own
    if keep:
        inner = {"architecture": name, "arguments": arguments}
        name, arguments = "PickedClassifier", {"frames": sequences.frames.shape[1], "keep": keep, "model": inner}
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:
        length = {"steps": min(_STEPS, 40 * max(1, len(sequences) // 32))}
    return preset_of(
        "sequence-classifier", name, arguments, SequenceLoss(frames=movies), **length, batch=32, rate=2e-3,
        clip=1.0, seed=seed,
    )  # fmt: skip


def refuse_beside(sequences: Sequences, other: str = "") -> None:
    """Numbers beside the frames of a signal must not be dropped without a word.

    Args:
        sequences: What a model of frames alone is to learn from.
        other: What else can be done about them.

    Raises:
        DataError: There are such numbers.
    """
    if sequences.beside.shape[2]:
        raise DataError(
            "A model of signals reads frames alone.",
            slug="sequences-beside",
            seen=f"{sequences.beside.shape[2]} numbers beside each frame",
            needed="signals [n, T, F] with nothing beside their frames",
            hint=f"Put them into the frames: torch.cat([frames, beside], 2){other}.",
        )


def _data(_: Preset, sequences: Sequences) -> dict[str, Tensor]:
    """Frames, how many of them count, what stands beside them, and the labels; zeros behind an end."""
    counts = sequences.counts
    shape = (*counts.shape, *(1,) * (sequences.frames.ndim - 2))
    return {
        "frames": torch.where(counts.reshape(shape), sequences.frames, torch.zeros((), dtype=sequences.frames.dtype)),
        "lengths": sequences.lengths,
        "beside": torch.where(counts[:, :, None], sequences.beside, 0.0),
        "label": sequences.truth,
    }


@torch.no_grad()
def sequence_logits(model: nn.Module, sequences: Sequences, batch: int = 100) -> Tensor:
    """Logits [n, classes] of sequences, so many at a time."""
    parts = []
    for start in range(0, len(sequences), batch):
        part = sequences.pick(slice(start, start + batch))
        rows = {"frames": as_pixels(part.frames), "lengths": part.lengths, "beside": part.beside}
        parts.append(logits_of(model, rows))
    return torch.cat(parts)


def _figures(model: nn.Module, _: Preset, test: Sequences) -> dict[str, float]:
    """Accuracy, and with two classes the area under the curve of true against false positives.

    Where frames are picked, how many, and `kept:t` is 1 for each of them, counted from 0.
    """
    from sklearn.metrics import roc_auc_score

    logits = sequence_logits(model, test)
    told = {"accuracy": float((logits.argmax(1) == test.truth).double().mean())}
    if logits.shape[1] == 2 and 0 < int(test.truth.sum()) < len(test):
        told["auc"] = float(roc_auc_score(test.truth.numpy(), (logits[:, 1] - logits[:, 0]).numpy()))
    if isinstance(model, PickedClassifier):
        kept = model.picker.hard().nonzero().flatten().tolist()
        told |= {"frames_kept": float(len(kept)), **{f"kept:{t}": 1.0 for t in kept}}
    return told


SEQUENCE_CLASSIFIER = Kind(
    "sequence-classifier", "One label for a movie or a signal.", sequence_classifier_for, _figures, data=_data,
    labeled=True, source="sequences", counts="sequences",
)  # fmt: skip
