"""Recipes of models that label every frame of a sequence."""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.sequences import Sequences
from amiss.errors import DataError
from amiss.models import LabelSequence
from amiss.models.recurrent import CellName
from amiss.training.kind import Kind
from amiss.training.losses import LabelLoss
from amiss.training.preset import Preset, preset_of
from amiss.training.presets.sequences import refuse_beside

__all__ = ["LABEL_SEQUENCE", "label_sequence_for"]

_STEPS = 2500
_AT_ONCE = 500  # sequences in one pass


def label_sequence_for(
    sequences: Sequences,
    *,
    hidden: int = 32,
    cell: CellName = "lstm",
    layers: int = 1,
    feedback: bool = False,
    bidirectional: bool = False,
    sampled: float = 0.0,
    memory: int = 0,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A label for every frame of a sequence of numbers.

    Args:
        sequences: What it learns from: frames [n, T, F] of numbers, and a label for each.
        hidden: Numbers in the state of a cell.
        cell: Which cells: rnn, lstm, lstm-sigmoid or gru.
        layers: Layers of cells, one above the other.
        feedback: Whether a label depends on the labels before it (output-generative).
        bidirectional: Whether a label depends on the frames behind it.
        sampled: With feedback, share of its own labels that the model is fed at the end of the run, in [0, 1].
        memory: Steps that a gate should be able to keep something at first; 0: no such wish. Of
            lstm and lstm-sigmoid alone.
        seed: Of weights and order.
        epochs: Passes over the sequences; by default what fits in two minutes.

    Raises:
        DataError: There is no label for each frame, frames are pictures, or numbers stand beside them.
        UsageError: `sampled` is no share, or there is no feedback that it could be of.
    """
    classes = max(len(sequences.classes), int(sequences.frame_truth.max()) + 1)
    if sequences.frames.ndim != 3:
        raise DataError(
            "The frames of labeled sequences are numbers.",
            slug="label-frames-kind",
            seen=f"pictures, {tuple(sequences.frames.shape)}",
            needed="floats [n, T, F]",
            hint="Turn each frame into numbers first: the features of a network, for instance.",
        )
    refuse_beside(sequences)
    arguments = {
        "inputs": sequences.frames.shape[2],
        "classes": classes,
        "hidden": hidden,
        "cell": cell,
        "layers": layers,
        "feedback": feedback,
        "bidirectional": bidirectional,
        "memory": memory,
    }
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:
        length = {"steps": min(_STEPS, 40 * max(1, len(sequences) // 64))}
    loss = LabelLoss(sampled).fitting(feedback)
    return preset_of(
        "label-sequence", "LabelSequence", arguments, loss, **length, batch=64, rate=5e-3, clip=1.0, seed=seed
    )


def _data(_: Preset, sequences: Sequences) -> dict[str, Tensor]:
    """Frames, how many of them count, and their labels; zeros behind an end."""
    frames = torch.where(sequences.counts[:, :, None], sequences.frames, 0.0)
    return {"frames": frames, "labels": sequences.frame_truth, "lengths": sequences.lengths}


@torch.no_grad()
def _figures(model: nn.Module, _: Preset, test: Sequences) -> dict[str, float]:
    """Share of frames that are labeled right after the model's own labels, and nats a label after true ones."""
    assert isinstance(model, LabelSequence)  # noqa: S101
    right, nats, frames = 0, 0.0, int(test.lengths.sum())
    for start in range(0, len(test), _AT_ONCE):
        part = test.pick(slice(start, start + _AT_ONCE))
        said = model.label(part.frames, part.lengths)
        right += int(((said == part.frame_truth) & part.counts).sum())
        nats -= float(model.log_prob(part.frame_truth, part.frames, part.lengths).double().sum())
    return {"accuracy": right / frames, "nats": nats / frames}


LABEL_SEQUENCE = Kind(
    "label-sequence", "A label for every frame of a sequence, with or without its own labels fed back.",
    label_sequence_for, _figures, bound="exact", data=_data, labeled=True, source="sequences", counts="sequences",
)  # fmt: skip
