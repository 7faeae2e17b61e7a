"""The game of a generator and a discriminator, and the fit of an encoder to a generator that stays as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError
from amiss.models import Adversarial, Inverter
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["AdversarialLoss", "InversionLoss"]

_DISCRIMINATOR, _GENERATOR = 0, 1  # streams of codes


@dataclass(frozen=True)
class AdversarialLoss:
    """Two players in turns, the discriminator first; it reads `image` in [0, 1].

    With logits d of the discriminator D = sigmoid(d), and an image drawn for each image of the batch:

    - the discriminator minimizes -log D(x) - log(1 - D(G(z)));
    - a "minimax" generator minimizes log(1 - D(G(z))), whose slope vanishes where the discriminator is sure;
    - a "non-saturating" one minimizes -log D(G(z)), whose slope does not.

    Logarithms of sigmoids are computed from the logits, so a sure discriminator is no infinite loss. A discriminator
    whose loss stays near 0 has won, and its generator learns nothing more: `amiss.training.measures.game.won`
    tells. Two coins give 2 log 2 = 1.39.

    Attributes:
        generator: The generator's loss.
        r1: Weight of half the squared norm of the gradient of d at real images in [0, 1]; 0 is none. It is what
            makes the game settle.
        every: Steps from one such penalty to the next, with a weight so many times as large.
        code: Weight of the mean squared error of a drawn image's code, as the model's reader sees it in the
            discriminator's features; generator and reader minimize it together. What can be read linearly off an
            image is what codes then stand for, so that they can be added and subtracted; 0 reads no codes.

    References:
        Goodfellow et al. 2014, equation 1, algorithm 1 and section 3 (both losses of the generator); Mescheder,
        Geiger and Nowozin 2018, equation 9 (the penalty R1); Karras et al. 2020, section 3.1 (lazy penalties);
        Chen et al. 2016, InfoGAN, equations 3 and 5 (`code`, with a normal density around what is read).
    """

    generator: Literal["non-saturating", "minimax"] = "non-saturating"
    r1: float = 0.0
    every: int = 1
    code: float = 0.0
    turns: tuple[tuple[str, ...], ...] = (("discriminator",), ("generator",))

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """Two players, each of whom owns one network."""
        game = expect(model, Adversarial, "AdversarialLoss")
        reader = () if game.reader is None else game.reader.parameters()
        return {
            "discriminator": game.discriminator.parameters(),
            "generator": [*game.generator.parameters(), *reader],
        }

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed loss of the player whose turn it is."""
        game, x = expect(model, Adversarial, "AdversarialLoss"), batch["image"]
        if turn == ("generator",):
            z = game.prior(len(batch), generator=batch.generator(_GENERATOR))
            d, read = game.judge(game.decode(z))
            loss = F.softplus(-d).sum() if self.generator == "non-saturating" else -F.softplus(d).sum()
            if self.code:
                loss = loss + self.code * (_read(read) - z).square().mean(1).sum()
            return {"generator": loss}
        with torch.no_grad():
            drawn = game.decode(game.prior(len(batch), generator=batch.generator(_DISCRIMINATOR)))
        fooled = F.softplus(game.discriminate(drawn)).sum()
        if self.r1 and batch.step % self.every == 0:
            # Slopes of slopes are not computed in reduced precision.
            with torch.autocast(x.device.type, enabled=False):
                x = x.detach().requires_grad_(True)
                d = game.discriminate(x)
                (slope,) = torch.autograd.grad(d.sum(), x, create_graph=True)
            steep = self.every * self.r1 / 2 * slope.square().sum()
            return {"discriminator": fooled + F.softplus(-d).sum() + steep}
        return {"discriminator": fooled + F.softplus(-game.discriminate(x)).sum()}


def _read(codes: Tensor | None) -> Tensor:
    """The codes that a reader saw.

    Raises:
        ContractError: There is no reader.
    """
    if codes is None:
        raise ContractError(
            "This model does not read codes.",
            slug="gan-reader",
            seen="a discriminator alone",
            needed="a model with a reader",
            hint="Build it with reads=True, or leave `code` at 0.",
        )
    return codes


@dataclass(frozen=True)
class InversionLoss:
    """The errors of an encoder E for a frozen generator G; it reads `image` in [0, 1].

    A row's loss is the squared error of the code E(G(z)) of a drawn z, and that of the pixels of G(E(x)) for the
    image x beside it, times `pixels`. The first knows the right code and sees drawn images alone; the second sees
    the images that the encoder is for.

    Attributes:
        pixels: Weight of the squared error of pixels, summed over an image.
        start: Fingerprint of the generator: another one makes another run.

    References:
        Zhu et al. 2016, generative visual manipulation on the natural image manifold, section 3.1 (an encoder that
        projects images); Donahue, Krahenbuhl and Darrell 2017, section 4 (latent regressor).
    """

    pixels: float = 1.0
    start: str = ""
    turns: tuple[tuple[str, ...], ...] = (("encoder",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns the encoder alone."""
        return {"encoder": expect(model, Inverter, "InversionLoss").encoder.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed errors."""
        inverter, x = expect(model, Inverter, "InversionLoss"), batch["image"]
        z = inverter.prior(len(batch), generator=batch.generator())
        with torch.no_grad():
            drawn = inverter.decode(z)
        of_codes = (inverter.encode(drawn) - z).square().sum()
        of_pixels = (inverter(x) - x).square().sum()
        return {"encoder": of_codes + self.pixels * of_pixels}
