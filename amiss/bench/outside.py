"""Results checked from outside: their files are read one by one, and shown to the bare network."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amiss.objectives import EOT, Avoid, Confidence, Objective
from amiss.repro import fold
from amiss.task import Task

__all__ = ["Checked", "Counter", "check"]

_EVEN = 1e-5  # of a probability: one image and a batch of them differ by float noise


class Counter(nn.Module):
    """A network that counts, by itself, what it is shown.

    Attributes:
        forward_rows: Images that it was shown.
        backward_rows: Images whose gradient was asked for.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.forward_rows = self.backward_rows = 0

    def forward(self, x: Tensor) -> Tensor:
        """The network's own answer."""
        self.forward_rows += len(x)
        if x.requires_grad:
            x.register_hook(self._back)
        answer: Tensor = self.network(x)
        return answer

    def _back(self, grad: Tensor) -> None:
        self.backward_rows += len(grad)


@dataclass(frozen=True)
class Checked:
    """What files say of a result.

    Attributes:
        claimed: Successes that it claims.
        false: Those that are none.
        linf: Largest change of a pixel of any image, successes and failures [n].
        l2: Euclidean length of the changes [n].
    """

    claimed: int
    false: int
    linf: Tensor
    l2: Tensor


def check(
    network: nn.Module, stats: Sequence[Sequence[float]], goal: Objective, seed: int, task: Task, found: Any
) -> Checked:
    """Save images as PNG, read them back one by one, and ask the bare network whether what is claimed of them holds.

    Nothing of the loop has a part in it: neither `Classifier` nor any objective is asked.

    Args:
        network: A module of normalized images, in evaluation mode.
        stats: Mean and standard deviation, one a channel or one for all.
        goal: What is claimed: `Avoid` (another answer than the label), `Become` (the target), `Confidence` (the same
            with a probability), or `EOT` of one of them (in a share of views, which are taken anew from the file).
        seed: Of the probe, from which views are drawn.
        task: The samples; their images are such as files hold.
        found: A result: `images` [n, C, H, W] and `met` [n].
    """
    assert task.image is not None  # noqa: S101 - recipes about labels start from images
    mean, std = (torch.tensor(part, dtype=torch.float32).reshape(-1, 1, 1) for part in stats)
    claimed = false = 0
    linf, l2 = [], []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for i, image in enumerate(found.images):
            data, source = _through_file(image, Path(folder) / f"{i}.png"), _bytes(task.image[i])
            change = (data.astype(np.float64) - source.astype(np.float64)) / 255
            linf.append(np.abs(change).max())
            l2.append(np.sqrt((change**2).sum()))
            if not bool(found.met[i]):
                continue
            x = torch.from_numpy(data).permute(2, 0, 1).float() / 255
            shown = _views(goal, x, fold(task.key[i : i + 1], seed)) if isinstance(goal, EOT) else [x]
            held = [_holds(goal, network(((view - mean) / std)[None])[0], task, i) for view in shown]
            share = goal.share if isinstance(goal, EOT) else 1.0
            claimed, false = claimed + 1, false + (sum(held) < share * len(held) - _EVEN)
    return Checked(claimed, false, torch.tensor(linf), torch.tensor(l2))


def _through_file(image: Tensor, path: Path) -> np.ndarray[Any, Any]:
    """The bytes [H, W, C] that a PNG of an image holds."""
    from PIL import Image

    data = _bytes(image)
    Image.fromarray(data[..., 0] if data.shape[2] == 1 else data).save(path)
    with Image.open(path) as opened:
        back = np.array(opened)
    return back.reshape(data.shape)


def _bytes(image: Tensor) -> np.ndarray[Any, Any]:
    """The bytes [H, W, C] of an image [C, H, W] in [0, 1]."""
    return np.ascontiguousarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _views(goal: EOT, x: Tensor, key: Tensor) -> list[Tensor]:
    """The views of an image that an expectation is judged by: turn -1 of the sample's key."""
    views = []
    for i in range(goal.n):
        view, turn = x[None], fold(fold(key, -1), i)
        for place, transform in enumerate(goal.transforms):
            view = transform(view, fold(turn, place))
        views.append(view[0])
    return views


def _holds(goal: Objective, logits: Tensor, task: Task, i: int) -> bool:
    """Whether a row of logits is what was claimed of sample i."""
    if isinstance(goal, EOT):
        return _holds(goal.objective, logits, task, i)
    said = int(logits.argmax())
    if isinstance(goal, Avoid):
        assert task.label is not None  # noqa: S101 - nothing could be avoided
        return said != int(task.label[i])
    assert task.target is not None  # noqa: S101 - as asked
    target = int(task.target[i])
    if isinstance(goal, Confidence):
        return float(logits.double().softmax(0)[target]) >= goal.threshold - _EVEN
    return said == target
