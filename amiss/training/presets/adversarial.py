"""Recipes of generative adversarial networks, and of encoders for their generators."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from amiss.data.images import Images
from amiss.errors import ModelError
from amiss.models import Adversarial, Inverter
from amiss.repro import digest
from amiss.repro import generator as lots
from amiss.training.batches import as_pixels
from amiss.training.kind import Kind
from amiss.training.losses import AdversarialLoss, InversionLoss
from amiss.training.measures.game import game
from amiss.training.preset import Preset, fast, preset_of, several, square

__all__ = ["DCGAN", "GAN", "INVERTER", "dcgan_for", "gan_for", "inverter_for"]

_CODES = 9  # stream of randomness


def gan_for(
    images: Images,
    *,
    latent: int = 100,
    generator: Literal["non-saturating", "minimax"] = "non-saturating",
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """The dense networks of the lecture, for any square images, with its optimizer: Adam(2e-4, beta1 0.5).

    Args:
        images: The training images, square.
        latent: Dimensions of the code.
        generator: The generator's loss.
        seed: Of weights, order and codes.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or there is one alone.
    """
    channels, size = square(images)
    several(images)
    arguments = {"shape": [channels, size, size], "latent": latent}
    length: dict[str, Any] = {"steps": _steps(images, 4_000)} if epochs is None else {"epochs": epochs}
    return preset_of(
        "gan", "GAN", arguments, AdversarialLoss(generator), **length, batch=64, rate=2e-4, betas=(0.5, 0.999),
        schedule="constant", ema=0.999, seed=seed,
    )  # fmt: skip


def dcgan_for(
    images: Images,
    *,
    latent: int = 64,
    width: int = 32,
    generator: Literal["non-saturating", "minimax"] = "non-saturating",
    code: float = 0.0,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A DCGAN for any square images of 8 pixels or more.

    Args:
        images: The training images, square.
        latent: Dimensions of the code.
        width: Channels of the largest maps.
        generator: The generator's loss.
        code: How much it counts that codes can be read off images, so that they can be added; 0: nothing.
        seed: Of weights, order and codes.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or there is one alone.
    """
    channels, size = square(images)
    several(images)
    arguments = {"channels": channels, "size": size, "latent": latent, "width": width, "norm": "none"}
    arguments |= {"reads": True} if code else {}
    length: dict[str, Any] = {"steps": _steps(images, 6_000)} if epochs is None else {"epochs": epochs}
    loss = AdversarialLoss(generator, r1=0.02, every=16, code=code)
    return preset_of(
        "dcgan", "DCGAN", arguments, loss, **length, batch=32, rate=3e-3, betas=(0.0, 0.99), schedule="cosine",
        ema=0.998, seed=seed, **fast(size),
    )  # fmt: skip


def inverter_for(
    images: Images,
    *,
    codes: tuple[nn.Module, Mapping[str, Any]] | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """An encoder for the generator of a GAN, which stays as it is.

    Args:
        images: The training images, square, of the generator's size.
        codes: The generator, as `load_model` gives it: a `GAN` or `DCGAN`, and facts whose "recipe" built it.
        seed: Of weights, order and codes.
        epochs: Passes over the images; by default what fits in about a minute.

    Raises:
        DataError: The images are not square.
        ModelError: There is no generator, or what is given is none.
        ContractError: It draws images of another size.
    """
    _, size = square(images)
    gan, facts = codes if codes is not None else (None, {})
    if not isinstance(gan, Adversarial):
        raise ModelError(
            "An inverter needs the generator that it is to invert.",
            slug="inverter-generator",
            seen="none" if gan is None else f"a {type(gan).__name__}",
            needed="a GAN or a DCGAN that amiss train made",
            hint="Train one: amiss train dcgan DATA --out generator/",
        )
    gan.discriminate(images.images([0]))  # refuses images of another size
    recipe = dict(facts["recipe"])
    start = {f"gan.{key}": t.detach().clone() for key, t in gan.state_dict().items()}
    loss = InversionLoss(start=digest(*(part for key in sorted(start) for part in (key, start[key]))))
    length: dict[str, Any] = {"steps": _steps(images, 1_500)} if epochs is None else {"epochs": epochs}
    made = preset_of(
        "inverter", "Inverter", {"generator": recipe}, loss, **length, batch=64, rate=2e-3, seed=seed, **fast(size)
    )
    return replace(made, start=start)


def _steps(images: Images, most: int) -> int:
    """No more steps than so many, and no more than some two hundred passes over few images."""
    return min(most, 400 * max(1, len(images) // 64))


def _played(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    """The game on up to 2,000 of the images: whether the drawn ones are as diverse, and are told from the real."""
    assert isinstance(model, Adversarial)  # noqa: S101
    told = game(model, test.pixels[:2000])
    return {"diversity": told.diversity, "caught": told.caught, "believed": told.believed}


@torch.no_grad()
def _inverted(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    """Squared error of a number of the code of drawn images, and of a pixel of real ones drawn from their codes."""
    assert isinstance(model, Inverter)  # noqa: S101
    z = model.prior(min(len(test), 2000), generator=lots(0, _CODES))
    of_codes = [(model.encode(model.decode(part)) - part).square().mean(1) for part in torch.split(z, 500)]
    of_pixels = [
        (model(as_pixels(part)) - as_pixels(part)).square().mean((1, 2, 3)) for part in torch.split(test.pixels, 500)
    ]
    return {"code_mse": float(torch.cat(of_codes).mean()), "mse": float(torch.cat(of_pixels).mean())}


GAN = Kind("gan", "The dense generator and discriminator of the lecture.", gan_for, _played, bound="none")
DCGAN = Kind("dcgan", "A convolutional generator and discriminator.", dcgan_for, _played, bound="none")
INVERTER = Kind(
    "inverter", "An encoder for a trained gan or dcgan, for searches.", inverter_for, _inverted, bound="none"
)
