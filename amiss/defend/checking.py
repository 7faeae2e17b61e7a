"""What a defense refuses before it begins, for what is found out hours later is found out too late."""

from collections.abc import Sequence
from difflib import get_close_matches

from torch import nn

from amiss.data import Images
from amiss.errors import DataError, ModelError, UsageError

__all__ = ["check_layers", "check_lessons", "check_shift"]


def check_lessons(n: int, train: Images, test: Images) -> None:
    """Refuse images and classes that no class of rubbish can be learned from.

    Args:
        n: Classes of the classifier.
        train: What it is to learn from.
        test: What it is to be measured by.

    Raises:
        ModelError: It has one class.
        DataError: There are no labels, or labels that are none of its classes.
    """
    if n < 2:
        raise ModelError(
            "A classifier of one class has nothing to be wrong about.",
            slug="model-one-class",
            seen=f"{n} logit",
            needed="two classes or more",
            hint="Train it again with two classes or more.",
        )
    for images in (train, test):
        if int(images.truth.max()) >= n:
            raise DataError(
                "Labels lie outside the classifier's classes.",
                slug="data-labels",
                seen=f"labels up to {int(images.truth.max())}",
                needed=f"0 to {n - 1}: it answers with {n} logits",
                why="labels that start at 1, or a classifier for another data set",
                hint="Number the classes from 0 in the order of the classifier's outputs.",
            )


def check_layers(network: object, layers: Sequence[str]) -> None:
    """Refuse names of layers that are none of the network's, or that hold nothing that learns.

    Args:
        network: The network that is to learn.
        layers: Names of modules, as `named_modules` gives them.

    Raises:
        UsageError: The first such name.
    """
    assert isinstance(network, nn.Module)  # noqa: S101 - `widened` has seen to it
    modules = dict(network.named_modules())
    learning = [name for name, module in modules.items() if name and any(True for _ in module.parameters())]
    for name in layers:
        if name in learning:
            continue
        near = get_close_matches(name, learning, n=3) or learning[:-4:-1]
        raise UsageError(
            f"The layer {name!r} cannot learn.",
            slug="defend-layers",
            seen="a module without weights" if name in modules else f"no module {name!r} in the network",
            needed=f"names of modules with weights: {', '.join(near) or 'there are none here'}",
            why="a typing mistake, or a layer that only computes",
            hint="See dict(network.named_modules()); without layers the whole network learns.",
        )


def check_shift(shift: int, images: Images) -> None:
    """Refuse moves by more than half an image: little but repeated border would be left of it.

    Args:
        shift: Pixels each way.
        images: What is to be moved.

    Raises:
        UsageError: It is more than half of the shorter side.
    """
    side = min(images.pixels.shape[2:])
    if shift > side // 2:
        raise UsageError(
            "Images cannot be moved so far.",
            slug="defend-shift",
            seen=f"shift={shift}, for images of {images.pixels.shape[2]} x {images.pixels.shape[3]}",
            needed=f"0 to {side // 2}, half of the shorter side",
            hint="--shift 1, or leave it out.",
        )
