"""One honest rule, and the ways in which other people's networks bend it."""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor, nn

from amiss.repro import fold, normal

__all__ = [
    "BatchDependent",
    "ChannelsLast",
    "Dice",
    "Failing",
    "Hungry",
    "InPlace",
    "Masked",
    "NoGrad",
    "Rule",
    "Shaped",
    "Shattered",
    "Softmaxed",
    "Staircase",
    "TrainMode",
]

_FEATURES = 16
_SLOPE = 3.6  # spread of a logit's slope, times the root of the pixels
_LEVELS = 4  # of the staircase
_RIPPLE, _WAVES = 1e-5, 1e6  # height of the ripples on shattered logits, and how fast they turn
_NOISE = 0.3  # spread of the dice, in logits
_LEAN = 0.002  # share of the mean feature of its batch that a row loses: less than any margin, more than rounding


class Rule(nn.Module):
    """The honest rule: features (x - 1/2) A, logits features B, both drawn from a seed; no global randomness.

    Args:
        seed: Of the weights.
        shape: Shape (C, H, W) of an image.
        classes: Logits.
    """

    def __init__(self, seed: int, shape: tuple[int, int, int] = (1, 8, 8), classes: int = 4) -> None:
        super().__init__()
        pixels = shape[0] * shape[1] * shape[2]
        self.look = nn.Parameter(_normal(seed, 1, (pixels, _FEATURES)) / pixels**0.5)
        self.tell = nn.Parameter(_normal(seed, 2, (_FEATURES, classes)) * _SLOPE / _FEATURES**0.5)

    def features(self, x: Tensor) -> Tensor:
        """Features [N, 16] of images [N, C, H, W]."""
        return (x.flatten(1) - 0.5) @ self.look

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, classes] of images [N, C, H, W] in [0, 1]."""
        return self.features(x) @ self.tell


class Staircase(Rule):
    """Rounds what it is shown to quarters: its gradient is zero everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the rounded images."""
        return super().forward((x * _LEVELS).round() / _LEVELS)


class Masked(Rule):
    """Answers as the rule does, and gives the opposite gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """The logits; along their gradient they fall."""
        return super().forward(2 * x.detach() - x)  # x, whose gradient is -1


class Shattered(Rule):
    """Ripples too low to change an answer and too steep for any gradient to say where the logits go."""

    def forward(self, x: Tensor) -> Tensor:
        """The logits and their ripples."""
        logits = super().forward(x)
        phase = torch.arange(logits.shape[1], device=x.device)
        return logits + _RIPPLE * (x.flatten(1)[:, :, None] * _WAVES + phase).sin().sum(1)


class Dice(Rule):
    """Adds noise from torch's global generator to its logits, anew at every pass."""

    def forward(self, x: Tensor) -> Tensor:
        """The logits and their noise."""
        logits = super().forward(x)
        return logits + _NOISE * torch.randn_like(logits)


class Softmaxed(Rule):
    """Gives probabilities, not logits."""

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities [N, classes]."""
        return super().forward(x).softmax(1)


class NoGrad(Rule):
    """Cuts the gradient off."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Logits without a history."""
        return super().forward(x)


class TrainMode(Rule):
    """Dropout and batch norm, left in training mode; evaluated, it is the rule."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.norm, self.drop = nn.BatchNorm1d(_FEATURES, eps=0.0, affine=False), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """The logits, once normalized and thinned out."""
        return self.drop(self.norm(self.features(x))) @ self.tell


class InPlace(Rule):
    """Writes into what it is shown."""

    def forward(self, x: Tensor) -> Tensor:
        """The logits; `x` is lost."""
        return x.sub_(0.5).flatten(1) @ self.look @ self.tell


class ChannelsLast(Rule):
    """A convolution over the whole image, in the memory format that convolutions like best."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, (3, 8, 8))
        look = self.look.detach()
        kernel = look.T.reshape(_FEATURES, 3, 8, 8).contiguous(memory_format=torch.channels_last)
        self.conv = nn.utils.skip_init(nn.Conv2d, 3, _FEATURES, 8)
        self.conv.weight, self.conv.bias = nn.Parameter(kernel), nn.Parameter(-0.5 * look.sum(0))
        del self.look

    def features(self, x: Tensor) -> Tensor:
        """The same features, by a convolution."""
        return self.conv(x.contiguous(memory_format=torch.channels_last)).flatten(1)


class BatchDependent(Rule):
    """Takes a share of the batch's mean off every row's features."""

    def features(self, x: Tensor) -> Tensor:
        """Features less a share of their batch's mean."""
        features = super().features(x)
        return features - _LEAN * features.mean(0, keepdim=True)


class Shaped(Rule):
    """Hands its logits over in another form.

    Args:
        seed: Of the weights.
        shaped: What it does to logits [N, classes].
        classes: Logits.
    """

    def __init__(self, seed: int, shaped: Callable[[Tensor], object], classes: int = 4) -> None:
        super().__init__(seed, classes=classes)
        self.shaped = shaped

    def forward(self, x: Tensor) -> object:  # type: ignore[override]
        """The logits in their form."""
        return self.shaped(super().forward(x))


class Failing(Rule):
    """Healthy for `after` passes; from then on its logits are what `fault` makes of them.

    Args:
        seed: Of the weights.
        after: Passes that go well.
        fault: What becomes of the logits afterwards; it may raise.
    """

    def __init__(self, seed: int, after: int, fault: Callable[[Tensor], Tensor]) -> None:
        super().__init__(seed)
        self.after, self.fault, self.passes = after, fault, count()

    def forward(self, x: Tensor) -> Tensor:
        """The logits, or what the fault leaves of them."""
        logits = super().forward(x)
        return logits if next(self.passes) < self.after else self.fault(logits)


class Hungry(Rule):
    """Runs out of memory on more than `rows` rows.

    Args:
        seed: Of the weights.
        rows: Rows that fit.
    """

    def __init__(self, seed: int, rows: int) -> None:
        super().__init__(seed)
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        """The logits of no more than `rows` images."""
        if len(x) > self.rows:
            raise torch.OutOfMemoryError(f"{len(x)} rows asked, and there is memory for {self.rows}")
        return super().forward(x)


def _normal(seed: int, stream: int, shape: tuple[int, ...]) -> Tensor:
    return normal(fold(torch.tensor([seed]), stream), shape)[0]
