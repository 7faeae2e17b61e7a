"""What is minimized, by whom: a loss for each player and the parameters that each player owns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError
from amiss.models import ConvVAE, Flow
from amiss.training.batches import Batch

__all__ = ["AttributesLoss", "ClassifierLoss", "ELBOLoss", "FlowLoss", "TrainingLoss"]


class TrainingLoss(Protocol):
    """A game of one or more players; a likelihood has one, a GAN two.

    A loss is the sum over the batch's rows; the trainer alone divides it by their number. Make it a frozen
    dataclass: its `repr` is part of what a resumed run must agree on.
    """

    @property
    def turns(self) -> tuple[tuple[str, ...], ...]:
        """Who moves when, in one step: players in one tuple move at once, later tuples see the move."""
        ...

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """The parameters that each player owns; a player's loss moves no others."""
        ...

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """A scalar for each player of the turn, summed over rows, in float32."""
        ...


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


@dataclass(frozen=True)
class ELBOLoss:
    """The negative bound of an autoencoder, in nats; it reads `image` in [0, 1].

    Attributes:
        binarize: Draw each pixel as 0 or 1 with its gray value as probability, anew at each step.
        beta: Factor on the KL term; 1 is the bound.
        warm: Share of the run in which the factor grows from 0 to `beta`.

    References:
        Kingma and Welling 2014, equation 10; Higgins et al. 2017, equation 4 (beta); Burda et al. 2016,
        section 5 (dynamic binarization).
    """

    binarize: bool = False
    beta: float = 1.0
    warm: float = 0.0
    turns: tuple[tuple[str, ...], ...] = (("autoencoder",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"autoencoder": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative bound."""
        if not isinstance(model, ConvVAE):
            raise ContractError(
                "The bound needs an autoencoder.",
                slug="elbo-model",
                seen=type(model).__name__,
                needed="a ConvVAE",
                hint="Train classifiers with ClassifierLoss.",
            )
        image = batch["image"]
        if self.binarize:
            image = (torch.rand(image.shape, generator=batch.generator(1)).to(image.device) < image).float()
        parts = model.elbo_parts(image, batch.generator())
        beta = self.beta * min(1.0, batch.fraction / self.warm) if self.warm else self.beta
        return {"autoencoder": (beta * parts.kl - parts.reconstruction).sum()}


@dataclass(frozen=True)
class FlowLoss:
    """The exact negative log likelihood of a flow, in nats; it reads `image` in [0, 1].

    A flow on pixels is trained on pixels spread over their gray levels, one on codes on codes drawn from the
    autoencoder's posterior. Autoencoders stay as they are.

    Attributes:
        start: Fingerprint of the weights that the run begins with: another autoencoder makes another run.

    References:
        Rezende and Mohamed 2015, equation 7; Theis, van den Oord and Bethge 2016, section 3.1 (dequantization).
    """

    start: str = ""
    turns: tuple[tuple[str, ...], ...] = (("flow",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns the couplings."""
        return {"flow": self._flow(model).couplings.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative log likelihood."""
        return {"flow": -self._flow(model).log_density(batch["image"], batch.generator()).sum()}

    def _flow(self, model: nn.Module) -> Flow:
        if not isinstance(model, Flow):
            raise ContractError(
                "The likelihood needs a flow.",
                slug="flow-model",
                seen=type(model).__name__,
                needed="a PixelFlow or a CodeFlow",
                hint="Train autoencoders with ELBOLoss and classifiers with ClassifierLoss.",
            )
        return model
