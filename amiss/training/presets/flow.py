"""Recipes of normalizing flows, on pixels or on the codes of an autoencoder."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.images import Images
from amiss.errors import ModelError
from amiss.models import ConvVAE, Flow, PixelFlow, build
from amiss.repro import digest, generator
from amiss.training.evaluate import flow_bits, reconstruction_error
from amiss.training.kind import Kind
from amiss.training.losses import FlowLoss
from amiss.training.preset import Preset, square
from amiss.training.recipe import TrainingRecipe

__all__ = ["FLOW", "flow_for"]


def flow_for(
    images: Images,
    *,
    codes: tuple[nn.Module, Mapping[str, Any]] | None = None,
    seed: int = 0,
    seconds: float = 90.0,
    epochs: float | None = None,
) -> Preset:
    """A flow on the pixels of any square images, or on the codes that an autoencoder has for them.

    Args:
        images: The training images, square, of an even side.
        codes: The autoencoder, as `load_model` gives it: a `ConvVAE`, and facts whose "recipe" built it.
        seed: Of weights, order and noise.
        seconds: The clock ends the run then at the latest.
        epochs: Passes over the images; by default what fits in about a minute.

    Raises:
        DataError: The images are not square.
        UsageError: Their side is odd, or the autoencoder has one dimension.
        ModelError: What is given is no autoencoder, or zuko is not installed.
        ContractError: The autoencoder takes other images.
    """
    channels, size = square(images)
    if codes is None:
        name = "PixelFlow"
        arguments: dict[str, Any] = {"channels": channels, "size": size, "transforms": 8 if channels == 1 else 12}
        start = _logits(images, arguments, seed)
    else:
        vae, recipe = codes[0], codes[1].get("recipe", {})
        if not isinstance(vae, ConvVAE):
            raise ModelError(
                "This flow needs an autoencoder whose codes it maps.",
                slug="model-kind",
                seen=f"a {type(vae).__name__}",
                needed="a ConvVAE that amiss train made",
                hint="Train one: amiss train vae DATA --out decoder/",
            )
        vae.posterior(images.images([0]))  # refuses images of another size
        name, arguments = "CodeFlow", {"decoder": dict(recipe["arguments"])}
        start = {f"vae.{key}": t.detach().clone() for key, t in vae.state_dict().items()}
    loss = FlowLoss(digest(*(part for key in sorted(start) for part in (key, start[key]))))
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:  # on few images a flow soon learns each by heart
        length = {"steps": min(800 if codes is None else 2000, 16 * max(1, len(images) // 64))}
    training = TrainingRecipe(**length, seconds=seconds, batch=64, rate=2e-3, clip=1e3, seed=seed)
    return Preset("flow", {"architecture": name, "arguments": arguments}, loss, training, start)


def _logits(images: Images, arguments: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """Where the logits of up to 2,000 of the images lie, and how far they spread, number by number."""
    model = build({"architecture": "PixelFlow", "arguments": arguments})
    assert isinstance(model, PixelFlow)  # noqa: S101
    x = images.images(torch.randperm(len(images), generator=generator(seed))[:2000])
    y = model.logits(x, torch.rand(x.shape, generator=generator(seed, 1)))
    # The least noise there is, that of one gray level at black, spreads logits by about 0.4.
    return {"center": y.mean(0), "spread": y.std(0, correction=0).clamp_min(0.1)}


def _bits(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    assert isinstance(model, Flow)  # noqa: S101
    return {"bits_per_dim": flow_bits(model, test.pixels), "mse": reconstruction_error(model, test.pixels)}


FLOW = Kind(
    "flow",
    "An invertible map of images, or of a vae's codes, to standard normal codes.",
    flow_for,
    _bits,
    bound="exact",
)
