"""Losses of classifiers, of classes or of many attributes at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.training.batches import Batch

__all__ = ["AttributesLoss", "ClassifierLoss"]


@dataclass(frozen=True)
class ClassifierLoss:
    """Cross-entropy of the labels, in nats; it reads `image` in [0, 1] and `label`.

    Attributes:
        mean: Subtracted from each channel.
        std: What each channel is divided by then.
        smoothing: Share of each label that is spread over all classes, in [0, 1).

    References:
        Szegedy et al. 2016, section 7 (label smoothing).
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    smoothing: float = 0.0
    turns: tuple[tuple[str, ...], ...] = (("classifier",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"classifier": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed cross-entropy."""
        image = batch["image"]
        mean, std = (image.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        logits = model((image - mean) / std).float()
        nats = F.cross_entropy(logits, batch["label"], reduction="sum", label_smoothing=self.smoothing)
        return {"classifier": nats}


@dataclass(frozen=True)
class AttributesLoss:
    """Binary cross-entropy of many attributes at once, in nats, summed over them.

    It reads `image` in [0, 1] and `attribute` [N, m], floats 0 and 1; the model answers with m logits an image, the
    log-odds of each attribute.

    Attributes:
        heads: Names of the m attributes.
        mean: Subtracted from each channel.
        std: What each channel is divided by then.
    """

    heads: tuple[str, ...]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    turns: tuple[tuple[str, ...], ...] = (("classifier",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"classifier": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed cross-entropy."""
        image = batch["image"]
        mean, std = (image.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        logits = model((image - mean) / std).float()
        nats = F.binary_cross_entropy_with_logits(logits, batch["attribute"], reduction="sum")
        return {"classifier": nats}
