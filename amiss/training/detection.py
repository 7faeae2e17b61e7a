"""What a detector minimizes: is something here, what is it, and how far is its box from the true one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError
from amiss.models.detector import Detector, overlaps
from amiss.training.batches import Batch

__all__ = ["DetectionLoss"]


@dataclass(frozen=True)
class DetectionLoss:
    """Binary cross-entropy of the cells, cross-entropy of the class, and 1 - IoU of the box, for one thing an image.

    It reads `image` in [0, 1], `label` [N] and `box` [N, 4], left, top, right, bottom in pixels. The cell that holds
    the box's middle is to find it; the cells beside it are not held to anything.

    Attributes:
        box: Factor of 1 - IoU.

    References:
        Redmon et al. (2016), you only look once, equation 3; Yu et al. (2016), UnitBox, section 3 (the overlap as a
        loss).
    """

    box: float = 2.0
    turns: tuple[tuple[str, ...], ...] = (("detector",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"detector": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed loss."""
        if not isinstance(model, Detector):
            raise ContractError(
                "The loss of boxes needs a detector.",
                slug="detector-model",
                seen=type(model).__name__,
                needed="a Detector",
                hint="Train classifiers with ClassifierLoss.",
            )
        there, kinds, boxes = (part.float() for part in model.grid(batch["image"]))
        true = batch["box"]
        cell = model.size / model.cells
        column, row = ((true[:, :2] + true[:, 2:]) / (2 * cell)).long().clamp(0, model.cells - 1).unbind(1)
        rows = torch.arange(len(true), device=true.device)
        own = row * model.cells + column
        place = torch.arange(model.cells * model.cells, device=true.device)
        near = torch.maximum(
            (place % model.cells - column[:, None]).abs(), (place // model.cells - row[:, None]).abs()
        )
        nats = F.binary_cross_entropy_with_logits(there, (near == 0).float(), reduction="none")
        loss = (nats * (near != 1)).sum()
        loss = loss + F.cross_entropy(kinds[rows, own], batch["label"], reduction="sum")
        return {"detector": loss + self.box * (1 - overlaps(boxes[rows, own], true)).sum()}
