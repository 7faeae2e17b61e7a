"""Three small image classifiers whose layers bear the names that one would guess."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

from amiss.errors import UsageError

__all__ = ["LeNet", "ResNet", "SmallCNN"]

_STAGES, _LARGE = 3, 40  # of a residual network; pixels a side, above which it halves images first


def _need_size(name: str, size: int, least: int) -> None:
    """Refuse images that pooling would shrink to nothing."""
    if size < least:
        raise UsageError(
            f"{name} does not fit images this small.",
            slug="image-size",
            seen=f"size={size}",
            needed=f"size >= {least}",
            hint="Use LeNet from 4 pixels on, ResNet from 8 and SmallCNN from 16, or enlarge the images.",
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


class ResNet(nn.Sequential):
    """Three stages of residual blocks, each half as high and twice as wide as the one before: logits [N, classes].

    Layers: conv1 bn1 relu1 stage1 stage2 stage3 pool flatten fc; inside a stage block1 block2 ..., and inside a block
    conv1 bn1 relu1 conv2 bn2 relu2, with shortcut1 and shortcut2 (a convolution and its batch norm) where the shape
    changes. `pool` [N, 4 * width, 1, 1] is the last hidden layer. With the defaults it has 78,042 parameters.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        size: Height and width in pixels, 8 or more; images of more than 40 are halved by conv1.
        width: Channels of conv1 and of stage1; stage2 and stage3 have 2 and 4 times as many.
        depth: Layers with weights, shortcuts aside: 8, 14, 20, ... (6 more for one more block a stage).

    Raises:
        UsageError: The images are too small, or there is no network of that depth.

    References:
        He, Zhang, Ren and Sun (2016), deep residual learning for image recognition, section 4.2, with projections
        for shortcuts where the shape changes (option B of section 4.1).
    """

    def __init__(self, channels: int = 3, classes: int = 10, size: int = 32, width: int = 16, depth: int = 8) -> None:
        _need_size("ResNet", size, 8)
        blocks, rest = divmod(depth - 2, 2 * _STAGES)
        if blocks < 1 or rest:
            raise UsageError(
                "There is no residual network of this depth.",
                slug="residual-depth",
                seen=f"depth={depth}",
                needed="8, 14, 20, ...",
                hint="Each of three stages has one block of two layers, or two, or more: ResNet(depth=8).",
            )
        stride = 2 if size > _LARGE else 1
        layers: list[tuple[str, nn.Module]] = [
            ("conv1", nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)),
            ("bn1", nn.BatchNorm2d(width)),
            ("relu1", nn.ReLU()),
        ]
        before = width
        for i in range(_STAGES):
            after = width * 2**i
            stage = OrderedDict[str, nn.Module](block1=_Block(before, after, 2 if i else 1))
            for k in range(1, blocks):
                stage[f"block{k + 1}"] = _Block(after, after, 1)
            layers.append((f"stage{i + 1}", nn.Sequential(stage)))
            before = after
        layers += [
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flatten", nn.Flatten()),
            ("fc", nn.Linear(before, classes)),
        ]
        super().__init__(OrderedDict(layers))


class _Block(nn.Module):
    """Two convolutions, whose result is added to what came in: [N, before, H, W] to [N, after, H / stride, ...]."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut1: nn.Module = nn.Identity()
        self.shortcut2: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut1 = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut2 = nn.BatchNorm2d(after)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu2(torch.add(self.shortcut2(self.shortcut1(x)), inner))
        return out
