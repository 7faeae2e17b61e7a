"""Recipes of classifiers, of classes or of many attributes at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from amiss.data.attributes import attributes
from amiss.data.images import Images
from amiss.errors import UsageError
from amiss.models import Illumination, LitClassifier
from amiss.repro import generator
from amiss.training.evaluate import accuracy, head_accuracies
from amiss.training.kind import Kind, images_of
from amiss.training.losses import AttributesLoss, ClassifierLoss
from amiss.training.preset import Preset, fast, preset_of, square

__all__ = [
    "ATTRIBUTES",
    "CLASSIFIER",
    "attributes_for",
    "cifar_classifier",
    "classifier_for",
    "faces_classifier",
    "mnist_classifier",
    "weak_classifier",
]

_SENSOR = 15  # stream of randomness
_CLASSIFIERS = ("LeNet", "SmallCNN", "ResNet")
_MNIST = ClassifierLoss(mean=(0.1307,), std=(0.3081,))


def mnist_classifier(seed: int = 0) -> Preset:
    """LeNet on MNIST: at least 98.9 % of the test images right after a minute or so on two cores."""
    arguments = {"channels": 1, "classes": 10, "size": 28}
    return preset_of("classifier", "LeNet", arguments, _MNIST, epochs=8, rate=4e-3, shift=1, seed=seed, **fast())


def weak_classifier(seed: int = 0) -> Preset:
    """LeNet for the first 1,000 images of MNIST: right on some 93 %, so that there are mistakes to study."""
    arguments = {"channels": 1, "classes": 10, "size": 28}
    return preset_of(
        "classifier", "LeNet", arguments, _MNIST, epochs=10, batch=100, rate=1e-3, schedule="constant", seed=seed
    )


def cifar_classifier(seed: int = 0) -> Preset:
    """Residual network on the first 10,000 images of CIFAR-10: right on some 70 % of others after a minute or two."""
    arguments = {"channels": 3, "classes": 10, "size": 32}
    loss = ClassifierLoss(mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616))
    return preset_of(
        "classifier",
        "ResNet",
        arguments,
        loss,
        epochs=12,
        rate=1e-2,
        weight_decay=0.05,
        shift=3,
        seed=seed,
        **fast(32),
    )


def faces_classifier(seed: int = 0) -> Preset:
    """Small network on the drawn faces (6,000 of 48x48)."""
    arguments = {"channels": 3, "classes": 2, "size": 48}
    loss = ClassifierLoss(mean=(0.5,) * 3, std=(0.25,) * 3)
    return preset_of("classifier", "SmallCNN", arguments, loss, epochs=6, batch=64, rate=2e-3, seed=seed, **fast())


def classifier_for(
    images: Images,
    seed: int = 0,
    epochs: float | None = None,
    network: str | None = None,
    patterns: int = 0,
    noise: float = 0.0,
) -> Preset:
    """A classifier for labeled images: LeNet for small gray ones, SmallCNN for the rest.

    With `patterns` it sees scenes through a camera with one pixel: each pattern of light gives one reading, and the
    patterns, which begin as the smoothest Hadamard patterns, are learned with the classifier.

    Args:
        images: The training images, square, with labels.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 8 to 40, fewer where there are more images.
        network: "LeNet", "SmallCNN" or "ResNet", instead of the one that fits as a rule.
        patterns: How many patterns of light are shown; 0: it sees the images themselves.
        noise: Standard deviation of a reading, where 1 is that of a white scene.

    Raises:
        DataError: The images have no labels, or are not square.
        UsageError: Noise without patterns that are read, or a network or number that there is not.
    """
    _ = images.truth  # refuses images without labels
    plain = _classifying("classifier", images, len(images.classes), ClassifierLoss, seed, epochs, network)
    if not patterns and not noise:
        return plain
    channels, size = square(images)
    arguments = {
        "model": plain.model, "channels": channels, "size": size, "patterns": patterns, "noise": noise,
        "begin": "hadamard",
    }  # fmt: skip
    # Light falls on the scene as it is; what the readings give has a scale of its own.
    loss = ClassifierLoss((0.0,) * channels, (1.0,) * channels)
    return replace(plain, model={"architecture": "LitClassifier", "arguments": arguments}, loss=loss)


def attributes_for(
    images: Images,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    epochs: float | None = None,
    network: str | None = None,
) -> Preset:
    """A classifier with one output for each attribute of the images, of the same networks as `classifier_for`.

    Args:
        images: The training images, square, with attributes.
        columns: Which attributes, in the order of the outputs; by default all of `amiss.data.attributes`.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default 8 to 40, fewer where there are more images.
        network: "LeNet", "SmallCNN" or "ResNet", instead of the one that fits as a rule.

    Raises:
        DataError: The images have no such attributes, or are not square.
    """
    names = tuple(attributes(images, columns))
    return _classifying("attributes", images, len(names), partial(AttributesLoss, names), seed, epochs, network)


def _classifying(
    kind: str,
    images: Images,
    outputs: int,
    loss: Callable[[tuple[float, ...], tuple[float, ...]], ClassifierLoss | AttributesLoss],
    seed: int,
    epochs: float | None,
    network: str | None,
) -> Preset:
    """A network of so many outputs for the images, with a loss of their mean and deviation."""
    channels, size = square(images)
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
    return preset_of(
        kind, name, arguments, loss(mean, std), epochs=epochs, batch=batch, shift=shift,
        seed=seed, **steps, **fast(size),
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


def _scale(preset: Preset) -> dict[str, Any]:
    """The preprocessing that a classifier's user must know, and the names of its heads."""
    loss = preset.loss
    assert isinstance(loss, ClassifierLoss | AttributesLoss)  # noqa: S101
    heads = {"heads": list(loss.heads)} if isinstance(loss, AttributesLoss) else {}
    return {"mean": list(loss.mean), "std": list(loss.std), **heads}


def _right(model: nn.Module, preset: Preset, test: Images) -> dict[str, float]:
    """The accuracy, where the images have labels; with the noise of readings, where there are such."""
    if test.labels is None:
        return {}
    scale, told = _scale(preset), {}
    answers: Callable[[Tensor], Tensor] = model
    if isinstance(model, LitClassifier):
        answers = partial(model, generator=generator(preset.training.seed, _SENSOR))
        told["patterns"] = float(len(cast(Illumination, model.light).scores))
    return {"accuracy": accuracy(answers, test.pixels, test.labels, mean=scale["mean"], std=scale["std"]), **told}


def _right_each(model: nn.Module, preset: Preset, test: Images) -> dict[str, float]:
    """The accuracy of each head, their mean, and what the commoner answer alone would score."""
    scale, columns = _scale(preset), _columns(preset, test)["attribute"]
    each = head_accuracies(model, test.pixels, columns, mean=scale["mean"], std=scale["std"])
    there = columns.mean(0)
    figures = {"accuracy": float(each.mean()), "majority": float(torch.maximum(there, 1 - there).mean())}
    named = zip(scale["heads"], each, strict=True)
    return figures | {f"accuracy:{name}": float(share) for name, share in named}


def _columns(preset: Preset, images: Images) -> dict[str, Tensor]:
    """Images, and the attributes that the loss names, as floats 0 and 1 [n, m]."""
    assert isinstance(preset.loss, AttributesLoss)  # noqa: S101
    columns = torch.stack(list(attributes(images, preset.loss.heads).values()), 1).float()
    return images_of(preset, images) | {"attribute": columns}


def _labeled(preset: Preset, images: Images) -> dict[str, Tensor]:
    return images_of(preset, images) | {"label": images.truth}


CLASSIFIER = Kind(
    "classifier", "A classifier of classes: LeNet, SmallCNN or ResNet.", classifier_for, _right,
    data=_labeled, facts=_scale, labeled=True,
)  # fmt: skip
ATTRIBUTES = Kind(
    "attributes", "A classifier with one output for each attribute of a table.", attributes_for, _right_each,
    data=_columns, facts=_scale,
)  # fmt: skip
