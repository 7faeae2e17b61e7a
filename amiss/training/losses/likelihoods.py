"""Losses of densities, in nats: an exact likelihood, a bound on it, and the likelihood of a flow."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models import ConvVAE, Flow, PixelDensity
from amiss.training.batches import Batch, binarized
from amiss.training.losses.loss import expect

__all__ = ["DensityLoss", "ELBOLoss", "FlowLoss", "condition"]


@dataclass(frozen=True)
class DensityLoss:
    """The exact negative log likelihood of an autoregressive model, in nats; it reads `image` in [0, 1].

    Attributes:
        binarize: Draw each pixel as 0 or 1 with its gray value as probability, anew at each step.
        given: What the images depend on: "nothing", their "label", or themselves at "low" resolution.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu 2016, equation 1; Burda et al. 2016, section 5 (binarization);
        Dahl, Norouzi and Shlens 2017 (low resolution).
    """

    binarize: bool = False
    given: Literal["nothing", "label", "low"] = "nothing"
    turns: tuple[tuple[str, ...], ...] = (("density",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"density": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative log likelihood."""
        density = expect(model, PixelDensity, "DensityLoss")  # type: ignore[type-abstract]
        image = batch["image"]
        if self.binarize:
            image = binarized(image, batch.generator(1))
        c = condition(density, self.given, image, batch.rows.get("label"))
        return {"density": -density.log_prob(image, c).sum()}


def condition(model: nn.Module, given: str, image: Tensor, label: Tensor | None) -> Tensor | None:
    """What images depend on.

    Args:
        model: Whose `low` is the side of a condition of low resolution.
        given: "nothing", "label" or "low".
        image: The images [N, C, H, W], as they are scored.
        label: Their labels [N], where there are any.

    Returns:
        None, the labels, or the images averaged over blocks [N, C, low, low].
    """
    if given == "low":
        return F.adaptive_avg_pool2d(image, int(model.low))  # type: ignore[arg-type]
    return label if given == "label" else None


@dataclass(frozen=True)
class ELBOLoss:
    """The negative bound of an autoencoder, in nats; it reads `image` in [0, 1], and `label` for a conditional one.

    Attributes:
        binarize: Draw each pixel as 0 or 1 with its gray value as probability, anew at each step.
        beta: Factor on the KL term; 1 is the bound.
        warm: Share of the run in which the factor grows from 0 to `beta`.

    References:
        Kingma and Welling 2014, equation 10; Higgins et al. 2017, equation 4 (beta); Burda et al. 2016,
        section 5 (dynamic binarization).

    Raises:
        UsageError: A factor below 0 or without end, or a share outside [0, 1].
    """

    binarize: bool = False
    beta: float = 1.0
    warm: float = 0.0
    turns: tuple[tuple[str, ...], ...] = (("autoencoder",),)

    def __post_init__(self) -> None:
        if not 0 <= self.beta < math.inf or not 0 <= self.warm <= 1:
            raise UsageError(
                "The bound cannot be weighed like this.",
                slug="elbo-beta",
                seen=f"beta={self.beta:g}, warm={self.warm:g}",
                needed="a finite beta of 0 or more, and warm in [0, 1]",
                hint="Leave beta out: 1 is the bound itself.",
            )

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"autoencoder": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative bound."""
        vae, image = expect(model, ConvVAE, "ELBOLoss"), batch["image"]
        if self.binarize:
            image = binarized(image, batch.generator(1))
        parts = vae.elbo_parts(image, batch.generator(), batch["label"] if vae.classes else None)
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
        flow = expect(model, Flow, "FlowLoss")  # type: ignore[type-abstract]
        return {"flow": flow.couplings.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative log likelihood."""
        flow = expect(model, Flow, "FlowLoss")  # type: ignore[type-abstract]
        return {"flow": -flow.log_density(batch["image"], batch.generator()).sum()}
