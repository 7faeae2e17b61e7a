"""The error of a classifier of movies or signals."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.models import MovieClassifier, PickedClassifier, SequenceClassifier
from amiss.models.sequence_classifier import mean_of
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["SequenceLoss", "logits_of"]


@dataclass(frozen=True)
class SequenceLoss:
    """Cross-entropy of whole sequences; it reads `frames`, `lengths`, `beside` and `label`.

    Where frames are picked, the temperature of the choice follows the run.

    Attributes:
        frames: Every frame is to tell the label, each at equal weight in its sequence; otherwise only the logits of
            the whole are.
    """

    frames: bool = False
    turns: tuple[tuple[str, ...], ...] = (("classifier",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"classifier": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed cross-entropy."""
        if isinstance(model, PickedClassifier):
            if model.training:
                model.picker.cool(batch.fraction)
        elif not isinstance(model, MovieClassifier):
            expect(model, SequenceClassifier, "SequenceLoss")
        label, lengths = batch["label"], batch["lengths"]
        if not self.frames:
            return {"classifier": F.cross_entropy(logits_of(model, batch.rows), label, reduction="sum")}
        each = logits_of(model, batch.rows, each=True)
        wrong = F.cross_entropy(
            each.flatten(0, 1).float(), label.repeat_interleave(each.shape[1]), reduction="none"
        ).unflatten(0, each.shape[:2])
        return {"classifier": mean_of(wrong, lengths).sum()}


def logits_of(model: nn.Module, rows: Mapping[str, Tensor], *, each: bool = False) -> Tensor:
    """Logits [N, classes] of rows of `frames`, `lengths` and `beside`; of each frame [N, T, classes] where asked."""
    asked: Callable[..., Tensor] = cast(Any, model).each if each else model
    if isinstance(model, MovieClassifier | PickedClassifier):
        logits: Tensor = asked(rows["frames"], rows["beside"] if model.extra else None, rows["lengths"])
    else:
        logits = asked(rows["frames"], rows["lengths"])
    return logits
