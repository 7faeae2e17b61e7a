"""Two small image classifiers whose layers bear the names that one would guess."""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from amiss.errors import UsageError

__all__ = ["LeNet", "SmallCNN"]


def _need_size(name: str, size: int, least: int) -> None:
    """Refuse images that pooling would shrink to nothing."""
    if size < least:
        raise UsageError(
            f"{name} does not fit images this small.",
            slug="image-size",
            seen=f"size={size}",
            needed=f"size >= {least}",
            hint="Use LeNet from 4 pixels on and SmallCNN from 16 pixels on, or enlarge the images.",
        )


class LeNet(nn.Sequential):
    """Two 5x5 convolutions and two dense layers: logits [N, classes] from images [N, channels, size, size].

    Layers: conv1 relu1 pool1 conv2 relu2 pool2 flatten fc1 relu3 fc2. With the defaults it has 114,314
    parameters.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        size: Height and width in pixels, 4 or more.
        width: Channels of conv1; conv2 has twice as many.
        hidden: Units of fc1.

    Raises:
        UsageError: The images are too small.

    References:
        LeCun, Bottou, Bengio and Haffner 1998, section II, with max pooling and ReLU.
    """

    def __init__(
        self, channels: int = 1, classes: int = 10, size: int = 28, width: int = 16, hidden: int = 64
    ) -> None:
        _need_size("LeNet", size, 4)
        side = size // 4
        layers: list[tuple[str, nn.Module]] = [
            ("conv1", nn.Conv2d(channels, width, 5, padding=2)),
            ("relu1", nn.ReLU()),
            ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(width, 2 * width, 5, padding=2)),
            ("relu2", nn.ReLU()),
            ("pool2", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(2 * width * side * side, hidden)),
            ("relu3", nn.ReLU()),
            ("fc2", nn.Linear(hidden, classes)),
        ]
        super().__init__(OrderedDict(layers))


class SmallCNN(nn.Sequential):
    """Four 3x3 convolutions, each pooled, and two dense layers: logits [N, classes].

    Layers: conv1 relu1 pool1 ... conv4 relu4 pool4 flatten fc1 relu5 fc2.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        size: Height and width in pixels, 16 or more.
        width: Channels of conv1; conv2, conv3 and conv4 have 2, 4 and 4 times as many.
        hidden: Units of fc1.

    Raises:
        UsageError: The images are too small.
    """

    def __init__(
        self, channels: int = 3, classes: int = 2, size: int = 48, width: int = 16, hidden: int = 64
    ) -> None:
        _need_size("SmallCNN", size, 16)
        widths = [channels, width, 2 * width, 4 * width, 4 * width]
        layers: list[tuple[str, nn.Module]] = []
        for i, (before, after) in enumerate(pairwise(widths), start=1):
            layers += [
                (f"conv{i}", nn.Conv2d(before, after, 3, padding=1)),
                (f"relu{i}", nn.ReLU()),
                (f"pool{i}", nn.MaxPool2d(2)),
            ]
        side = size // 16
        layers += [
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(widths[-1] * side * side, hidden)),
            ("relu5", nn.ReLU()),
            ("fc2", nn.Linear(hidden, classes)),
        ]
        super().__init__(OrderedDict(layers))
