"""A network of your own, wrapped: amiss audit examples/mobilenet_v1.py:mobilenetv1_025 PHOTOS.

References: Howard et al. 2017, table 1. AMISS_DATA names the folder with weights/ and imagenet-200/.
"""

import json
import os
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

import amiss as am
from amiss.errors import DataError

STAGES = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))  # channels, blocks, stride of the first


def same(x: Tensor, stride: int, kernel: int = 3) -> Tensor:
    """TensorFlow's SAME padding: the odd row and column go below and to the right."""
    wide, high = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in (x.shape[3], x.shape[2]))
    return F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(before, before, 3, stride, groups=before, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.conv_pw = nn.Conv2d(before, after, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv_dw(same(x, self.conv_dw.stride[0]))))
        return F.relu6(self.bn2(self.conv_pw(x)))


class MobileNetV1(nn.Module):
    def __init__(self, width: float, classes: int = 1000) -> None:
        super().__init__()
        now = int(32 * width)
        self.conv_stem, self.bn1 = nn.Conv2d(3, now, 3, 2, bias=False), nn.BatchNorm2d(now)
        self.blocks = nn.Sequential()
        for channels, count, stride in STAGES:
            before, now = now, int(channels * width)
            rest = (Block(now, now, 1) for _ in range(count - 1))
            self.blocks.append(nn.Sequential(Block(before, now, stride), *rest))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(now, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv_stem(same(x, 2))))
        return self.classifier(self.pool(self.blocks(x)).flatten(1))


def wrapped(name: str, net: nn.Module) -> am.Classifier:
    """The network with its weights, its preprocessing and the names of its classes."""
    data = Path(os.environ.get("AMISS_DATA") or "../shared/data")
    weights, index = data / "weights" / f"{name}-tf-qat.safetensors", data / "imagenet-200" / "class_index.json"
    for file in (weights, index):
        if not file.is_file():
            hint = "Set AMISS_DATA to the folder that holds weights/ and imagenet-200/."
            raise DataError(f"There is no {file.name}.", slug="example-weights", seen=str(file), hint=hint)
    net.load_state_dict(am.load_weights(weights))
    names = json.loads(index.read_text(encoding="utf-8"))
    labels = [names[str(i)][1] for i in range(len(names))]
    return am.Classifier(net.eval(), mean=(0.5,) * 3, std=(0.5,) * 3, labels=labels)


def mobilenetv1_025() -> am.Classifier:
    """A quarter of the channels: small and fast, for images of 128 pixels."""
    return wrapped("mobilenetv1_025", MobileNetV1(0.25))


def mobilenetv1_050() -> am.Classifier:
    """Half of the channels, for images of 160 pixels."""
    return wrapped("mobilenetv1_050", MobileNetV1(0.5))
