"""Small networks, each with one thing wrong or nothing."""

import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.data import Images


def sum_model(bias):
    """Two logits: 0, and the sum of the pixels minus a bias."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[0.0] * 4, [1.0] * 4]))
        network[1].bias.copy_(torch.tensor([0.0, -bias]))
    return Classifier(network)


class Honest(nn.Module):
    """Three logits, linear in 8 x 8 pixels; `bend` changes what goes in, `end` what comes out."""

    def __init__(self, bend=None, end=None, classes=3):
        super().__init__()
        weight = torch.randn(64, classes, generator=torch.Generator().manual_seed(5))
        self.weight = nn.Parameter(weight)
        self.bend, self.end = bend or (lambda x: x), end or (lambda logits: logits)

    def forward(self, x):
        return self.end((self.bend(x) - 0.5).flatten(1) @ self.weight)


class Scaled(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor."""

    @staticmethod
    def forward(x, factor):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, grad):
        return ctx.factor * grad, None


def scaled(factor):
    """What goes in, with a gradient that is `factor` times the true one."""
    return lambda x: Scaled.apply(x, factor)


def noise(n=40, channels=1, side=8, classes=3, seed=0):
    """Labeled images of uniform noise, from a seed."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, channels, side, side), generator=draw, dtype=torch.uint8)
    return Images.of(pixels, torch.arange(n) % classes)
