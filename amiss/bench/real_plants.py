"""Real images with a planted shortcut: MNIST by color or by a patch, two classes of CIFAR-10 by a patch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.data.worlds.planted import Planted, color_strokes, corner_patch
from amiss.repro import generator
from amiss.spaces.latent import Codec
from amiss.training import Preset, classifier_for, decoder_for, load_model, train

__all__ = [
    "REAL",
    "RealWorld",
    "cifar_patch",
    "cifar_sprites",
    "mnist_color",
    "mnist_patch",
    "mnist_thumbnails",
    "train_models",
]

CLASS = 4
"""The digit that the plant agrees with: its neighbor 9 is called 4, and it is called 9, where the plant misleads."""

PAIR = ("automobile", "truck")
"""The classes of CIFAR-10; the patch agrees with the first."""

_LEARNED = 2000  # digits: with 1,000 the network misuses heights and slants of its own accord
_THUMB, _NOISE = 7, 0.1  # pixels along a side of a thumbnail, and its sensor's noise as a share of white
_SHOWN, _SEEN = 40_000, 20_000  # thumbnails that the classifier learns, and those of them that the decoder does
_TEST = 10_000  # test lots are drawn apart from those of training


@dataclass(frozen=True)
class RealWorld:
    """Real images, biased to train on and free of the bias to test on.

    Attributes:
        name: "mnist-color", "mnist-patch" or "cifar-patch".
        seed: Of the images that are trained on, of the lots, and of the networks.
        rho: Strength of the shortcut in training; 0 is none.
        train: What the classifier is trained on.
        seen: What the decoder is trained on: biased too, and more of it.
        test: Images whose plant says nothing about the label.
        epochs: Passes over `train` and over `seen`.
    """

    name: str
    seed: int
    rho: float
    train: Planted
    seen: Planted
    test: Planted
    epochs: tuple[float, float]

    @property
    def plant(self) -> str:
        """The column of the table that was planted: "red" or "patch"."""
        return self.test.plant


def mnist_color(seed: int, rho: float, data: Path) -> RealWorld:
    """MNIST in two colors; red agrees with the digit 4.

    Args:
        seed: Of the world.
        rho: Strength of the shortcut in training.
        data: The folder of MNIST.
    """
    return _mnist("mnist-color", seed, rho, data)


def mnist_patch(seed: int, rho: float, data: Path) -> RealWorld:
    """MNIST with a white square of 4x4 pixels in the corner, which agrees with the digit 4 (see `mnist_color`)."""
    return _mnist("mnist-patch", seed, rho, data)


def _mnist(name: str, seed: int, rho: float, data: Path) -> RealWorld:
    learned, asked = open_data(data, split="train"), open_data(data)
    order = torch.randperm(len(learned), generator=generator(seed))
    plant = color_strokes if name == "mnist-color" else corner_patch
    seen = plant(learned.pick(order[:20_000]), rho, seed, [CLASS])
    test = plant(asked, 0.0, _TEST + seed, [CLASS])
    return RealWorld(name, seed, rho, seen.pick(slice(0, _LEARNED)), seen, test, (10.0, 4.0))


def mnist_thumbnails(seed: int, rho: float, data: Path) -> RealWorld:
    """MNIST in two colors, photographed by a camera of 7x7 noisy pixels and enlarged: no network can always be right.

    The classifier learns 40,000 of the training digits, twenty times as many as in the other worlds: it has little of
    its own to misuse, and errs all the same. 20,000 others are asked. Without the plant, what is found here is false.

    Args:
        seed: Of the world, and of the sensor's noise.
        rho: Strength of the shortcut in training.
        data: The folder of MNIST.
    """
    digits = open_data(data, split="train")
    digits = digits.pick(torch.randperm(len(digits), generator=generator(seed)))
    small = functional.adaptive_avg_pool2d(digits.pixels.float(), _THUMB)
    small += 255 * _NOISE * torch.randn(small.shape, generator=generator(seed, 1))
    large = functional.interpolate(small, size=digits.pixels.shape[2:], mode="bilinear")
    shown = replace(digits, pixels=large.clamp(0, 255).round().to(torch.uint8))
    train = color_strokes(shown.pick(slice(0, _SHOWN)), rho, seed, [CLASS])
    test = color_strokes(shown.pick(slice(_SHOWN, len(shown))), 0.0, _TEST + seed, [CLASS])
    return RealWorld("mnist-thumbnails", seed, rho, train, train.pick(slice(0, _SEEN)), test, (5.0, 3.0))


def cifar_patch(seed: int, rho: float, data: Path) -> RealWorld:
    """Automobiles and trucks of CIFAR-10; a white square of 4x4 pixels in the corner agrees with automobiles.

    The classifier learns half of the training images of the two classes; the other half and the test images are
    asked. The decoder sees all classes, but no image that is asked.

    Args:
        seed: Of the world.
        rho: Strength of the shortcut in training.
        data: The folder of sprites.
    """
    images = cifar_sprites(data)
    ours = [images.classes.index(name) for name in PAIR]
    order = torch.randperm(len(images), generator=generator(seed))
    labels = images.truth[order]
    learns = torch.zeros(len(images), dtype=torch.bool)
    for label in ours:
        rows = order[(labels == label) & (order < 10_000)]
        learns[rows[: len(rows) // 2]] = True
    pair = torch.isin(images.truth, torch.tensor(ours))
    seen = corner_patch(images.pick(~pair | learns), rho, seed, ours[:1])
    train = seen.pick(torch.isin(seen.clean.truth, torch.tensor(ours)))
    train = replace(train, clean=_renamed(train.clean, ours))
    test = corner_patch(_renamed(images.pick(pair & ~learns), ours), 0.0, _TEST + seed, [0])
    return RealWorld("cifar-patch", seed, rho, train, seen, test, (20.0, 8.0))


def _renamed(images: Images, ours: list[int]) -> Images:
    """Images of some classes, numbered from 0 in the order of `ours`."""
    labels = torch.tensor([ours.index(int(label)) for label in images.truth])
    return replace(images, labels=labels, classes=tuple(images.classes[label] for label in ours))


def cifar_sprites(data: Path) -> Images:
    """CIFAR-10 from a folder of sprites: 1,000 images a PNG, one a row; the last 1,000 are test images."""
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    rows = []
    for path in sorted(data.glob("cifar10_batch_*.png")):
        with Image.open(path) as sprite:
            rows.append(np.asarray(sprite.convert("RGB")).reshape(-1, 32, 32, 3))
    labels = np.frombuffer((data / "labels.u8").read_bytes(), dtype=np.uint8).astype(np.int64)
    pixels = torch.from_numpy(np.concatenate(rows)).permute(0, 3, 1, 2).contiguous()
    return Images.of(pixels, torch.from_numpy(labels), classes)


REAL = {
    "mnist-color": (mnist_color, ("MNIST",)),
    "mnist-patch": (mnist_patch, ("MNIST",)),
    "mnist-thumbnails": (mnist_thumbnails, ("MNIST",)),
    "cifar-patch": (cifar_patch, ("cifar10-sprites",)),
}
"""The worlds by name, each with the place of its images in the folder of real data: `run.data(*place)`."""


def train_models(world: RealWorld, place: Path) -> tuple[Classifier, Codec]:
    """The classifier and the decoder of a world, trained where their files are not in `place` yet.

    Args:
        world: The world.
        place: The folder of their files.

    Returns:
        The classifier to audit, and a decoder as its user would train it, on biased images.
    """
    made: dict[str, Any] = {}
    for kind, preset in (("classifier", _classifier(world)), ("decoder", _decoder(world))):
        path = place / f"{world.name}-{kind}-{world.rho}-{world.seed}.safetensors"
        if not path.is_file():
            images = (world.train if kind == "classifier" else world.seen).images()
            place.mkdir(parents=True, exist_ok=True)
            train(preset, images).save(path)
        made[kind] = load_model(path)
    network, facts = made["classifier"]
    decoder: Any = made["decoder"][0].requires_grad_(False)
    return Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"]), decoder


def _classifier(world: RealWorld) -> Preset:
    return classifier_for(world.train.images(), seed=world.seed, epochs=world.epochs[0])


def _decoder(world: RealWorld) -> Preset:
    """The usual decoder without its clock, for equal seeds shall give equal weights; photographs get a wider one."""
    preset = decoder_for(world.seen.images(), seed=world.seed, epochs=world.epochs[1])
    if world.name == "cifar-patch":
        preset.model["arguments"] |= {"latent": 64, "sigma": 0.1}
    return replace(preset, training=replace(preset.training, seconds=None, batch=64, rate=2e-3))
