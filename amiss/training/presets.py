"""Recipes that reach known figures, and recipes for images that nobody has seen before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.attributes import attributes
from amiss.data.images import Images
from amiss.errors import DataError, ModelError, UsageError
from amiss.models import ConvVAE, PixelFlow, build
from amiss.repro import digest, generator
from amiss.training.losses import AttributesLoss, ClassifierLoss, ELBOLoss, FlowLoss
from amiss.training.recipe import TrainingRecipe

__all__ = [
    "Preset",
    "attributes_for",
    "cifar_classifier",
    "classifier_for",
    "decoder_for",
    "faces_classifier",
    "faces_vae",
    "flow_for",
    "mnist_classifier",
    "mnist_vae",
    "weak_classifier",
]


@dataclass(frozen=True)
class Preset:
    """All that decides a trained model but its data.

    Attributes:
        model: What `amiss.models.build` needs; plain JSON.
        loss: What is minimized.
        training: How long, how fast, how exactly. Its seed also draws the initial weights.
        start: Weights by name that are put in place of the drawn ones before the first step.
    """

    model: dict[str, Any]
    loss: ClassifierLoss | AttributesLoss | ELBOLoss | FlowLoss
    training: TrainingRecipe
    start: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """What the model is for: "classifier", "attributes" (a classifier of many labels) or "decoder"."""
        if isinstance(self.loss, AttributesLoss):
            return "attributes"
        return "classifier" if isinstance(self.loss, ClassifierLoss) else "decoder"


def _preset(
    name: str, arguments: dict[str, Any], loss: ClassifierLoss | AttributesLoss | ELBOLoss, **training: Any
) -> Preset:
    return Preset({"architecture": name, "arguments": arguments}, loss, TrainingRecipe(**training))


_CLASSIFIERS = ("LeNet", "SmallCNN", "ResNet")
_MNIST = ClassifierLoss(mean=(0.1307,), std=(0.3081,))


def _fast(size: int = 28) -> dict[str, Any]:
    """The quick form of arithmetic: bf16 where the processor has it and images are large enough to gain."""
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    bf16 = size >= 16 and (able.get("avx512_bf16", False) or able.get("amx_bf16", False))
    return {"precision": "bf16" if bf16 else "float32", "channels_last": True}


def mnist_classifier(seed: int = 0) -> Preset:
    """LeNet on MNIST: at least 98.9 % of the test images right after a minute or so on two cores."""
    arguments = {"channels": 1, "classes": 10, "size": 28}
    return _preset("LeNet", arguments, _MNIST, epochs=8, rate=4e-3, shift=1, seed=seed, **_fast())


def weak_classifier(seed: int = 0) -> Preset:
    """LeNet for the first 1,000 images of MNIST: right on some 93 %, so that there are mistakes to study."""
    arguments = {"channels": 1, "classes": 10, "size": 28}
    return _preset("LeNet", arguments, _MNIST, epochs=10, batch=100, rate=1e-3, schedule="constant", seed=seed)


def mnist_vae(seed: int = 0, latent: int = 16) -> Preset:
    """Autoencoder on dynamically binarized MNIST: at most 92 nats an image after two minutes on two cores."""
    arguments = {"channels": 1, "size": 28, "latent": latent, "width": 16, "hidden": 256}
    loss = ELBOLoss(binarize=True)
    return _preset("ConvVAE", arguments, loss, epochs=10, batch=128, rate=8e-3, seed=seed, **_fast())


def cifar_classifier(seed: int = 0) -> Preset:
    """Residual network on the first 10,000 images of CIFAR-10: right on some 70 % of others after a minute or two."""
    arguments = {"channels": 3, "classes": 10, "size": 32}
    loss = ClassifierLoss(mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616))
    return _preset(
        "ResNet", arguments, loss, epochs=12, rate=1e-2, weight_decay=0.05, shift=3, seed=seed, **_fast(32)
    )


def faces_classifier(seed: int = 0) -> Preset:
    """Small network on the drawn faces (6,000 of 48x48)."""
    arguments = {"channels": 3, "classes": 2, "size": 48}
    loss = ClassifierLoss(mean=(0.5,) * 3, std=(0.25,) * 3)
    return _preset("SmallCNN", arguments, loss, epochs=6, batch=64, rate=2e-3, seed=seed, **_fast())


def faces_vae(seed: int = 0, latent: int = 32, sigma: float = 0.03) -> Preset:
    """Autoencoder on the drawn faces, sharp enough to keep brow and jaw."""
    arguments = {"channels": 3, "size": 48, "latent": latent, "likelihood": "normal", "sigma": sigma}
    return _preset("ConvVAE", arguments, ELBOLoss(), epochs=16, batch=64, rate=5e-3, clip=1e4, seed=seed, **_fast())


def classifier_for(images: Images, seed: int = 0, epochs: float | None = None, network: str | None = None) -> Preset:
    """A classifier for labeled images: LeNet for small gray ones, SmallCNN for the rest.

    Args:
        images: The training images, square, with labels.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 8 to 40, fewer where there are more images.
        network: "LeNet", "SmallCNN" or "ResNet", instead of the one that fits as a rule.

    Raises:
        DataError: The images have no labels, or are not square.
    """
    _ = images.truth  # refuses images without labels
    return _classifying(images, len(images.classes), ClassifierLoss, seed, epochs, network)


def attributes_for(
    images: Images,
    heads: Sequence[str] | None = None,
    seed: int = 0,
    epochs: float | None = None,
    network: str | None = None,
) -> Preset:
    """A classifier with one output for each attribute of the images, of the same networks as `classifier_for`.

    Args:
        images: The training images, square, with attributes.
        heads: Which attributes, in the order of the outputs; by default all of `amiss.data.attributes`.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 8 to 40, fewer where there are more images.
        network: "LeNet", "SmallCNN" or "ResNet", instead of the one that fits as a rule.

    Raises:
        DataError: The images have no such attributes, or are not square.
    """
    names = tuple(attributes(images, heads))
    return _classifying(images, len(names), partial(AttributesLoss, names), seed, epochs, network)


def _classifying(
    images: Images,
    outputs: int,
    loss: Callable[[tuple[float, ...], tuple[float, ...]], ClassifierLoss | AttributesLoss],
    seed: int,
    epochs: float | None,
    network: str | None,
) -> Preset:
    """A network of so many outputs for the images, with a loss of their mean and deviation."""
    channels, size = _square(images)
    floats = images.pixels.to(torch.float64) / 255
    mean = tuple(round(float(m), 4) for m in floats.mean((0, 2, 3)))
    std = tuple(max(round(float(s), 4), 0.01) for s in floats.std((0, 2, 3)))
    fits = "LeNet" if size < 16 or (channels == 1 and size <= 32) else "SmallCNN"
    name = fits if network is None else _named(network)
    arguments = {"channels": channels, "classes": outputs, "size": size}
    batch = 128 if len(images) >= 10_000 else 64
    if epochs is None:
        epochs = float(min(40, max(8, round(1500 * batch / len(images)))))
    shift = 1 if size >= 16 else 0
    # Batch norms bear longer steps, and need some decay so that the steps go on to matter.
    steps = {"rate": 1e-2, "weight_decay": 0.05} if name == "ResNet" else {"rate": 2e-3}
    return _preset(
        name, arguments, loss(mean, std), epochs=epochs, batch=batch, shift=shift,
        seed=seed, **steps, **_fast(size),
    )  # fmt: skip


def _named(network: str) -> str:
    """The classifier of that name, large and small letters being the same."""
    for name in _CLASSIFIERS:
        if name.lower() == network.lower():
            return name
    raise UsageError(
        f"There is no network {network!r} to train.",
        slug="train-network",
        seen=network[:40],
        needed=", ".join(_CLASSIFIERS),
        hint="Name one of those, or leave it out: LeNet is for small gray images, SmallCNN for the others.",
    )


def decoder_for(
    images: Images, *, latent: int | None = None, seed: int = 0, seconds: float = 90.0, epochs: float | None = None
) -> Preset:
    """An autoencoder for any square images, ready in about a minute on two cores.

    Images that are nearly black and white get a Bernoulli likelihood and binary noise; all others a narrow
    normal one, for gray values under a Bernoulli likelihood carry so few nats that the code collapses.

    Args:
        images: The training images, square, 8 to 64 pixels a side.
        latent: Dimensions of the code; by default 16 for small gray images and 32 for the rest.
        seed: Of weights, order and noise.
        seconds: The clock ends the run then at the latest.
        epochs: Passes over the images; by default what fits in about a minute.

    Raises:
        DataError: The images are not square.
    """
    channels, size = _square(images)
    gray = channels == 1
    latent = latent or (16 if gray and size <= 32 else 32)
    arguments: dict[str, Any] = {"channels": channels, "size": size, "latent": latent}
    extreme = ((images.pixels < 32) | (images.pixels > 223)).float().mean().item()
    binary = gray and extreme > 0.8
    sigma = 0.05 if gray else 0.03
    arguments |= {"likelihood": "bernoulli"} if binary else {"likelihood": "normal", "sigma": sigma}
    loss = ELBOLoss(binarize=binary)
    batch = 128 if len(images) >= 10_000 else 64
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:
        steps = 3500 if size <= 32 else 2000
        length = {"steps": min(steps, 200 * max(1, len(images) // batch))}
    return _preset(
        "ConvVAE", arguments, loss, **length, seconds=seconds, batch=batch, rate=4e-3, seed=seed, **_fast(size),
        # A narrow deviation makes steep first steps, on saturated colors so steep that codes collapse.
        clip=0.0 if binary else 1e4,
    )  # fmt: skip


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
    channels, size = _square(images)
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
    return Preset({"architecture": name, "arguments": arguments}, loss, training, start)


def _logits(images: Images, arguments: dict[str, Any], seed: int) -> dict[str, Tensor]:
    """Where the logits of up to 2,000 of the images lie, and how far they spread, number by number."""
    model = build({"architecture": "PixelFlow", "arguments": arguments})
    assert isinstance(model, PixelFlow)  # noqa: S101
    x = images.images(torch.randperm(len(images), generator=generator(seed))[:2000])
    y = model.logits(x, torch.rand(x.shape, generator=generator(seed, 1)))
    # The least noise there is, that of one gray level at black, spreads logits by about 0.4.
    return {"center": y.mean(0), "spread": y.std(0, correction=0).clamp_min(0.1)}


def _square(images: Images) -> tuple[int, int]:
    """Channels and side of square images."""
    _, channels, height, width = images.pixels.shape
    if height != width:
        raise DataError(
            "The models of amiss take square images.",
            slug="data-not-square",
            seen=f"{height} x {width}",
            needed="height equal to width",
            hint=f"Open the data with size={min(height, width)}, which cuts the center out.",
        )
    return channels, height
