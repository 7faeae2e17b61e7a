"""Recipes of exact densities: belief networks, masked autoencoders, PixelCNNs plain and gated."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from amiss.data.images import Images
from amiss.errors import UsageError
from amiss.training.kind import Kind
from amiss.training.losses import DensityLoss
from amiss.training.measures.likelihood import density_figures
from amiss.training.preset import Preset, fast, preset_of, square

__all__ = [
    "FVBN",
    "GATED_PIXELCNN",
    "MADE",
    "PIXELCNN",
    "Given",
    "cifar_pixelcnn",
    "density_data",
    "depending",
    "fvbn_for",
    "gated_pixelcnn_for",
    "gray_arguments",
    "made_for",
    "mnist_fvbn",
    "mnist_made",
    "mnist_pixelcnn",
    "pixelcnn_for",
]

Given = Literal["nothing", "label", "low"]
"""What images depend on: nothing, their label, or themselves at low resolution."""


def gray_arguments(images: Images, levels: int | None = None) -> dict[str, Any]:
    """What a density is built with for images: their shape, and how their values are scored.

    Args:
        images: Square images.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.

    Returns:
        `channels`, `size`, `levels`, and `components` of a mixture for bytes.

    Raises:
        DataError: The images are not square.
        UsageError: Other levels.
    """
    channels, size = square(images)
    if levels not in (None, 2, 256):
        raise UsageError(
            "Images are binarized, or scored by their bytes.",
            slug="density-bytes",
            seen=f"levels={levels}",
            needed="2 or 256",
            hint="Leave it out: nearly black and white images are binarized.",
        )
    if levels is None:
        extreme = ((images.pixels < 32) | (images.pixels > 223)).float().mean().item()
        levels = 2 if channels == 1 and extreme > 0.8 else 256
    mixture = {} if levels == 2 else {"components": 5}
    return {"channels": channels, "size": size, "levels": levels, **mixture}


def depending(images: Images, given: Given, low: int | None = None) -> dict[str, int]:
    """What a density is built with beside, where images depend on something.

    Args:
        images: Square images.
        given: What they depend on.
        low: Side of the image of low resolution; by default the largest divisor up to a quarter of theirs.

    Returns:
        `classes`, `low`, or nothing.

    Raises:
        DataError: The images have no labels where they are to depend on them.
        UsageError: `low` is no divisor of their side, or nothing asks for it.
    """
    side = int(images.pixels.shape[-1])
    divisors = [k for k in range(1, side + 1) if side % k == 0]
    if low is not None and (given != "low" or low not in divisors):
        raise UsageError(
            "Images cannot depend on this.",
            slug="density-depends",
            seen=f"low={low}, given={given!r}, images of {side} x {side}",
            needed=f"given='low', and one of {', '.join(map(str, divisors[:-1]))}",
            hint="Pass given='low' alone for about a quarter of the side, or leave low out.",
        )
    if given == "label":
        _ = images.truth  # refuses images without labels
        return {"classes": len(images.classes)}
    if given == "low":
        return {"low": max(k for k in divisors if k <= max(1, side // 4)) if low is None else low}
    return {}


def density_data(preset: Preset, images: Images) -> dict[str, Tensor]:
    """What `DensityLoss` reads: pixels, and labels where images depend on them."""
    assert isinstance(preset.loss, DensityLoss)  # noqa: S101
    labels = {"label": images.truth} if preset.loss.given == "label" else {}
    return {"image": images.pixels, **labels}


def _steps(images: Images, batch: int, epochs: float | None, most: int) -> dict[str, Any]:
    """The length of a run: the passes asked for, or so many steps, fewer where there are few images."""
    return {"steps": min(most, 100 * max(1, len(images) // batch))} if epochs is None else {"epochs": epochs}


def _dense(
    kind: str, name: str, images: Images, levels: int | None, sizes: Mapping[str, int], **training: Any
) -> Preset:
    """A preset of a dense density."""
    arguments = gray_arguments(images, levels)
    return preset_of(kind, name, {**arguments, **sizes}, DensityLoss(binarize=arguments["levels"] == 2), **training)


def fvbn_for(images: Images, *, levels: int | None = None, seed: int = 0, epochs: float | None = None) -> Preset:
    """A fully visible belief network: for binary images, a logistic regression for each pixel.

    Args:
        images: The training images, square.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        seed: Of order and noise; the weights begin at 0.
        epochs: Passes over the images; by default what fits in a minute or so.

    Raises:
        DataError: The images are not square.
        UsageError: Other levels.
    """
    length = _steps(images, 256, epochs, 4000)
    return _dense("fvbn", "FVBN", images, levels, {}, **length, batch=256, rate=2e-2, seed=seed)


def made_for(
    images: Images,
    *,
    hidden: int = 1024,
    layers: int = 1,
    levels: int | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A masked autoencoder for distribution estimation.

    Args:
        images: The training images, square.
        hidden: Units of a hidden layer.
        layers: Hidden layers.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square.
        UsageError: Other levels.
    """
    sizes, length = {"hidden": hidden, "layers": layers}, _steps(images, 128, epochs, 10_000)
    return _dense("made", "MADE", images, levels, sizes, **length, batch=128, rate=4e-3, seed=seed)


def pixelcnn_for(
    images: Images,
    *,
    width: int = 16,
    blocks: int = 5,
    levels: int | None = None,
    given: Given = "nothing",
    low: int | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A PixelCNN of masked convolutions in residual blocks.

    Args:
        images: The training images, square.
        width: Channels inside a block.
        blocks: Residual blocks.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        given: What images depend on: "nothing", their "label", or themselves at "low" resolution.
        low: Side of the image of low resolution, a divisor of that of the images; by default about a quarter of it.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or have no labels where they are to depend on them.
        UsageError: Other levels.
    """
    return _pixels("pixelcnn", "PixelCNN", images, width, blocks, levels, given, low, seed, epochs)


def gated_pixelcnn_for(
    images: Images,
    *,
    width: int = 24,
    blocks: int = 4,
    levels: int | None = None,
    given: Given = "nothing",
    low: int | None = None,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A gated PixelCNN: two stacks, without a blind spot.

    Args:
        images: The training images, square.
        width: Channels of each stack.
        blocks: Gated layers.
        levels: 2 to binarize them anew at each step, 256 for their bytes; by default 2 where they are gray and most
            pixels nearly black or white.
        given: What images depend on: "nothing", their "label", or themselves at "low" resolution.
        low: Side of the image of low resolution, a divisor of that of the images; by default about a quarter of it.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what fits in a few minutes.

    Raises:
        DataError: The images are not square, or have no labels where they are to depend on them.
        UsageError: Other levels.
    """
    return _pixels("gated-pixelcnn", "GatedPixelCNN", images, width, blocks, levels, given, low, seed, epochs)


def _pixels(
    kind: str,
    name: str,
    images: Images,
    width: int,
    blocks: int,
    levels: int | None,
    given: Given,
    low: int | None,
    seed: int,
    epochs: float | None,
) -> Preset:
    """A preset of a density of maps."""
    arguments = gray_arguments(images, levels) | depending(images, given, low)
    size = arguments["size"]
    # A first kernel as wide as half of the image costs little, for it reads one channel or three.
    arguments |= {"width": width, "blocks": blocks, "first": min(13, 2 * (size // 4) + 1)}
    loss = DensityLoss(binarize=arguments["levels"] == 2, given=given)
    length = _steps(images, 32, epochs, 6000)
    return preset_of(kind, name, arguments, loss, **length, batch=32, rate=4e-3, ema=0.999, seed=seed, **fast(size))


def mnist_fvbn(seed: int = 0) -> Preset:
    """Logistic regressions on dynamically binarized MNIST: at most 100 nats an image after a minute."""
    loss = DensityLoss(binarize=True)
    return preset_of(
        "fvbn", "FVBN", {"channels": 1, "size": 28}, loss, epochs=16, batch=256, rate=2e-2, warm=0.05, seed=seed
    )


def mnist_made(seed: int = 0) -> Preset:
    """A masked autoencoder on dynamically binarized MNIST: at most 90 nats an image after two minutes or so."""
    arguments, loss = {"channels": 1, "size": 28, "hidden": 1024}, DensityLoss(binarize=True)
    return preset_of("made", "MADE", arguments, loss, epochs=10, batch=128, rate=4e-3, ema=0.999, seed=seed, **fast())


def mnist_pixelcnn(seed: int = 0, given: Given = "nothing") -> Preset:
    """A PixelCNN on dynamically binarized MNIST: at most 88 nats an image after a few minutes.

    Args:
        seed: Of weights, order and noise.
        given: What images depend on: "nothing", their "label", or themselves at "low" resolution, 7 pixels a side.
    """
    arguments = {"channels": 1, "size": 28, "width": 24, "blocks": 4, "first": 13}
    arguments |= {"label": {"classes": 10}, "low": {"low": 7}}.get(given, {})
    loss = DensityLoss(binarize=True, given=given)
    epochs = 1.5 if given == "low" else 3.0  # a small image leaves little to learn
    return preset_of(
        "pixelcnn", "PixelCNN", arguments, loss, epochs=epochs, batch=32, rate=4e-3, ema=0.999, seed=seed, **fast()
    )


def cifar_pixelcnn(seed: int = 0) -> Preset:
    """A PixelCNN on the bytes of 10,000 images of CIFAR-10: at most 4.2 bits a dimension after some ten minutes."""
    arguments = {"channels": 3, "size": 32, "levels": 256, "components": 5, "width": 32, "blocks": 4, "first": 7}
    return preset_of(
        "pixelcnn", "PixelCNN", arguments, DensityLoss(), epochs=10, batch=16, rate=3e-3, ema=0.999, seed=seed,
        **fast(32),
    )  # fmt: skip


FVBN = Kind(
    "fvbn",
    "A fully visible belief network: each pixel by a linear layer from those before it.",
    fvbn_for,
    density_figures,
    bound="exact",
)
MADE = Kind(
    "made",
    "A masked autoencoder: all conditionals of the chain rule in one dense pass.",
    made_for,
    density_figures,
    bound="exact",
)
PIXELCNN = Kind(
    "pixelcnn",
    "A PixelCNN: each pixel by masked convolutions; also given a class or a small image.",
    pixelcnn_for,
    density_figures,
    bound="exact",
    data=density_data,
)
GATED_PIXELCNN = Kind(
    "gated-pixelcnn",
    "A gated PixelCNN: two stacks, and no blind spot; also given a class or a small image.",
    gated_pixelcnn_for,
    density_figures,
    bound="exact",
    data=density_data,
)
