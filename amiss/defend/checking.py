"""What a defense refuses before it begins, for what is found out hours later is found out too late."""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError, ModelError, UsageError
from amiss.task import reaches

__all__ = ["bare", "check_layers", "check_lessons", "check_shift", "check_trainable"]


@torch.no_grad()
def check_trainable(classifier: Classifier, image: Tensor) -> nn.Module:
    """Refuse what has no weights that could learn, or whose logits are not what the network itself gives.

    Args:
        classifier: Who is to be trained.
        image: One image [1, C, H, W] in [0, 1].

    Returns:
        Its network.

    Raises:
        ModelError: It cannot be trained.
    """
    network = classifier.network
    if not isinstance(network, nn.Module) or not reaches(classifier.gives, "grad"):
        raise _untrainable(type(network).__name__, "an ONNX file or a function, which answers and has no gradients")
    said = classifier.outputs(image)["answer"]
    if not torch.equal(bare(network, classifier.shown(image)), said):
        raise _untrainable(
            f"{said.shape[1]} classes",
            "logits that are picked out of the output, one of many labels, or one log-odds",
        )
    return network


def bare(network: nn.Module, shown: Tensor) -> Tensor:
    """What a network itself gives, as no classifier reads it; nothing where that is no tensor.

    Args:
        network: Left in the mode that it is in.
        shown: What it is shown [n, C, H, W], normalized.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        out = network(shown)
    finally:
        for module, mode in modes:
            module.training = mode
    return out.to(torch.float32) if isinstance(out, Tensor) else shown.new_zeros(0)


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
    assert isinstance(network, nn.Module)  # noqa: S101 - `check_trainable` has seen to it
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


def _untrainable(seen: str, why: str) -> ModelError:
    return ModelError(
        "This model cannot be trained.",
        slug="defend-model",
        seen=seen,
        needed="a torch.nn.Module with gradients, whose output is one logit a class",
        why=why,
        hint="Name a checkpoint of ours, or file.py:function that returns the network you trained.",
    )
