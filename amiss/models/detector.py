"""A small detector that looks once: every cell of a grid says whether something is there, what it is, and its box."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import UsageError

__all__ = ["Detection", "Detector", "Grid", "overlaps"]

_STRIDE = 8  # pixels a cell's side
_MOST = 8.0  # cells: no box is wider or higher than this many times e^2


class Detection(NamedTuple):
    """One thing that was found.

    Attributes:
        label: What it is, by name.
        score: Probability that it is there and is that, in [0, 1].
        box: Left, top, right, bottom, in pixels.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]


class Grid(NamedTuple):
    """What the cells say, g rows of g cells as one dimension of g^2.

    Attributes:
        there: Log-odds that the middle of a thing lies in the cell [N, g^2].
        kinds: Logits of what it is [N, g^2, classes].
        boxes: Left, top, right, bottom in pixels [N, g^2, 4].
    """

    there: Tensor
    kinds: Tensor
    boxes: Tensor


class Detector(nn.Module):
    """Convolutions down to cells of 8 x 8 pixels, each with an objectness, class logits and a box.

    It answers in words, so that a probe can ask it: `answer` tells what is there, `log_prob` how likely it is that a
    class is shown, or, asked for "not CLASS", that no cell shows it.

    Args:
        labels: Names of the classes.
        channels: Channels of the images.
        size: Height and width in pixels, a multiple of 8, 32 or more.
        width: Channels of the first convolution; those behind it have 2, 4 and 4 times as many.
        mean: Subtracted from each channel of images in [0, 1].
        std: What each channel is divided by then.
        threshold: Score from which on a detection counts, in (0, 1).
        overlap: Of two boxes of a class that overlap by more than this (IoU), the less likely one is dropped.

    Raises:
        UsageError: Images that no whole number of cells covers, no classes, or a threshold outside (0, 1).

    References:
        Redmon, Divvala, Girshick and Farhadi (2016), you only look once, section 2; Redmon and Farhadi (2017),
        YOLO9000, section 2 (a logistic middle in its cell, an exponential size); He, Zhang, Ren and Sun (2015),
        delving deep into rectifiers, section 2.2 (initial weights).
    """

    gives = "jacobian"

    def __init__(
        self,
        labels: Sequence[str] = ("thing",),
        channels: int = 3,
        size: int = 64,
        width: int = 16,
        mean: float = 0.5,
        std: float = 0.25,
        threshold: float = 0.5,
        overlap: float = 0.5,
    ) -> None:
        super().__init__()
        if size < 4 * _STRIDE or size % _STRIDE or not labels or not (0 < threshold < 1 and 0 < overlap < 1):
            raise UsageError(
                "No detector can be built like this.",
                slug="detector-options",
                seen=f"size={size}, {len(labels)} labels, threshold={threshold}, overlap={overlap}",
                needed="a size of 32, 40, 48, ...; a label at least; a threshold and an overlap in (0, 1)",
                hint='Detector(["stop", "yield"], size=64)',
            )
        self.labels, self.size, self.cells = tuple(labels), size, size // _STRIDE
        self.mean, self.std, self.threshold, self.overlap = mean, std, threshold, overlap
        widths = [channels, width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        # Two more without pooling: a cell sees all of a large thing, not its own pixels alone.
        for dilation in (2, 3):
            layers += [nn.Conv2d(4 * width, 4 * width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):  # five layers of torch's own start pass on hardly anything
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.head = nn.Conv2d(4 * width, 5 + len(self.labels), 1)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def forward(self, x: Tensor) -> Tensor:
        """What each cell says [N, 5 + classes, g, g] of images [N, C, size, size] in [0, 1]."""
        if x.shape[2:] != (self.size, self.size):
            raise UsageError(
                "The detector does not fit these images.",
                slug="detector-size",
                seen=f"images of {x.shape[2]} x {x.shape[3]}",
                needed=f"{self.size} x {self.size}",
                hint="Bring the images to the size that it was trained on.",
            )
        out: Tensor = self.head(self.body((x - self.mean) / self.std))
        return out

    def grid(self, x: Tensor) -> Grid:
        """The cells' answers for images [N, C, size, size] in [0, 1]: log-odds, logits, boxes in pixels."""
        out = self.forward(x).flatten(2).transpose(1, 2)
        place = torch.arange(self.cells * self.cells, device=x.device)
        corner = torch.stack([place % self.cells, place // self.cells], 1)
        middle = corner + out[..., 1:3].sigmoid()
        half = out[..., 3:5].clamp(-_MOST, 2.0).exp() * _MOST / 2
        boxes = torch.cat([middle - half, middle + half], -1) * _STRIDE
        return Grid(out[..., 0], out[..., 5:], boxes)

    def detect(self, x: Tensor) -> list[list[Detection]]:
        """What is found in each image, the most likely first; boxes of one class do not overlap much."""
        with torch.no_grad():
            there, kinds, boxes = self.grid(x)
            scores = there.sigmoid()[..., None] * kinds.softmax(-1)
        return [self._kept(s, b) for s, b in zip(scores, boxes, strict=True)]

    def answer(self, x: Tensor) -> list[tuple[str, ...]]:
        """Names of the classes that are found in each image, the most likely first, each once."""
        return [tuple(dict.fromkeys(found.label for found in image)) for image in self.detect(x)]

    def log_prob(self, answer: str, x: Tensor) -> Tensor:
        """Log-probability [N], in nats, that a class is shown, or that it is not: "stop", or "not stop".

        Cells are taken as independent: a class is not shown where none of them shows it.

        Raises:
            UsageError: There is no such class.
        """
        name = answer.removeprefix("not ") if answer not in self.labels else answer
        if name not in self.labels:
            raise UsageError(
                f"The detector knows no {name!r}.",
                slug="class-unknown",
                seen=repr(answer),
                needed=f"one of {', '.join(self.labels[:12])}, or not one of them",
                hint="Name a class of the detector's labels.",
            )
        there, kinds, _ = self.grid(x)
        own = kinds.log_softmax(-1)[..., self.labels.index(name)]
        shown = F.logsigmoid(there) + own
        # 1 - p q = (1 - p) + p (1 - q), each by its logarithm: exact where p and q are nearly 1.
        rest = kinds.clone()
        rest[..., self.labels.index(name)] = -torch.inf
        other = rest.logsumexp(-1) - kinds.logsumexp(-1)
        missing = torch.logaddexp(F.logsigmoid(-there), F.logsigmoid(there) + other).sum(1)
        if answer != name:
            return missing
        # log(1 - e^missing), or, where that is lost to rounding, the sum of the cells' small probabilities.
        return torch.where(missing < -1e-4, torch.log(-torch.expm1(missing.clamp_max(-1e-4))), shown.logsumexp(1))

    def _kept(self, scores: Tensor, boxes: Tensor) -> list[Detection]:
        """The detections of one image: above the threshold, and the best of those that overlap."""
        cell, kind = (scores >= self.threshold).nonzero().unbind(1)
        order = scores[cell, kind].argsort(descending=True, stable=True)
        kept: list[tuple[int, int]] = []
        for c, k in zip(cell[order].tolist(), kind[order].tolist(), strict=True):
            same = [other for other, label in kept if label == k]
            if not same or float(overlaps(boxes[c], boxes[same]).max()) <= self.overlap:
                kept.append((c, k))
        frame = boxes.clamp(0, self.size)
        return [
            Detection(self.labels[k], float(scores[c, k]), tuple(map(float, frame[c])))  # type: ignore[arg-type]
            for c, k in kept
        ]


def overlaps(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4], each left, top, right, bottom: in [0, 1], broadcast."""
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    areas = [(b[..., 2:] - b[..., :2]).clamp_min(0).prod(-1) for b in (one, other)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(torch.finfo(shared.dtype).tiny)
