"""A larger network of your own: amiss audit examples/mobilenet_v2.py:mobilenet_v2 PHOTOS --size 224.

References: Sandler et al. 2018, table 2. AMISS_DATA names the folder with weights/ and imagenet-200/.
"""

from mobilenet_v1 import same, wrapped
from torch import Tensor, nn

import amiss as am

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""How much wider inside, channels, blocks, stride of the first."""


class Unit(nn.Sequential):
    """Convolution with TensorFlow's padding, batch norm, and ReLU6 where wanted."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(before, after, kernel, stride, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(after), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        conv = self[0]
        return super().forward(same(x, conv.stride[0], conv.kernel_size[0]))


class Block(nn.Module):
    """Widen, look at each channel alone, narrow; added to what came in where the shapes agree."""

    def __init__(self, before: int, after: int, stride: int, widen: int) -> None:
        super().__init__()
        inner = before * widen
        first = [Unit(before, inner)] if widen > 1 else []
        narrow = [nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after)]
        self.conv = nn.Sequential(*first, Unit(inner, inner, 3, stride, inner), *narrow)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        parts: list[nn.Module] = [Unit(3, 32, 3, 2)]
        now = 32
        for widen, channels, count, first in STAGES:
            for i in range(count):
                parts.append(Block(now, channels, first if i == 0 else 1, widen))
                now = channels
        self.features = nn.Sequential(*parts, Unit(now, 1280))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(x)).flatten(1))


def mobilenet_v2() -> am.Classifier:
    """For images of 224 pixels."""
    return wrapped("mobilenet_v2", MobileNetV2())
