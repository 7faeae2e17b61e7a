"""Images walked along a direction of code space, and what that changes on average: the pictures of a finding."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.findings.moving import reach
from amiss.audit.frames import read_frames
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes, write_png
from amiss.spaces import Latent
from amiss.spaces.latent import Codec
from amiss.task import Task

__all__ = ["POSITIONS", "Sheet", "mean_change", "walk"]

POSITIONS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
"""Where a walk stops, in natural lengths."""


@dataclass(frozen=True)
class Sheet:
    """What the pictures of findings are made from.

    Attributes:
        images: All of them.
        predicted: The classifier's answers [n].
        classifier: Who is asked.
        decoder: Encoder and decoder.
        out: Run folder.
        names: Names of the classes.
    """

    images: Images
    predicted: Tensor
    classifier: Classifier
    decoder: Codec
    out: Path
    names: tuple[str, ...]

    def about(self, i: int) -> dict[str, Any]:
        """One image as an entry of the page: its file, its name and both labels."""
        images = self.images
        path = f"images/original/{images.ids[i][:16]}-{i}.png"
        (self.out / path).parent.mkdir(parents=True, exist_ok=True)
        write_png(self.out / path, images.pixels[i])
        true, said = (self.names[int(labels[i])] for labels in (images.truth, self.predicted))
        return {"image": path, "name": images.names[i], "true": true, "predicted": said}

    def strip(self, i: int, direction: Tensor, length: float, folder: str) -> dict[str, Any]:
        """One image walked along a direction, as the page shows it; its frames are written to `folder`."""
        frames = walk(self.decoder, self._image(i), direction, length, POSITIONS)
        files = [f"{folder}/{i}-{k}.png" for k in range(len(frames))]
        (self.out / folder).mkdir(parents=True, exist_ok=True)
        for file, frame in zip(files, frames, strict=True):
            write_png(self.out / file, frame)
        margins, answers = read_frames(self.classifier, frames, int(self.images.truth[i]))
        called = [self.names[answer] for answer in answers]
        moved = {"frames": files, "positions": list(POSITIONS), "labels": called, "margins": margins}
        return {**self.about(i), **moved}

    def mean(self, rows: Sequence[int], direction: Tensor, length: float, path: str) -> dict[str, Any]:
        """The mean change of some images as a picture: 128 is none, 1 and 255 are minus and plus the largest."""
        change = mean_change(self.decoder, torch.cat([self._image(i) for i in rows]), direction, length)
        largest = max(float(change.abs().max()), 1e-6)
        (self.out / path).parent.mkdir(parents=True, exist_ok=True)
        write_png(self.out / path, (128 + 127 * change / largest).round().to(torch.uint8))
        return {"image": path, "largest": largest}

    def _image(self, i: int) -> Tensor:
        return self.images.pixels[i][None].to(self.classifier.device, torch.float32) / 255


@torch.no_grad()
def walk(decoder: Codec, image: Tensor, direction: Tensor, length: float, positions: Sequence[float]) -> Tensor:
    """One image at several places a along a direction: x + g(z + a s d) - g(z).

    Args:
        decoder: Encoder and decoder.
        image: [1, C, H, W] in [0, 1].
        direction: Of codes [d].
        length: Euclidean length in pixels of the change at a = 1, before it is clipped; s follows from it.
        positions: Places a.

    Returns:
        uint8 [len(positions), C, H, W]; at 0 it is the image itself.
    """
    space, task, along = _prepared(decoder, image, direction)
    step = reach(space, task, along, along.new_ones(1, 1), length)
    moved = [space.decode(task, place * step * along) for place in positions]
    return to_bytes(torch.cat(moved).cpu())


@torch.no_grad()
def mean_change(decoder: Codec, images: Tensor, direction: Tensor, length: float) -> Tensor:
    """What moving images [n, C, H, W] by one length along a direction does to their pixels, averaged [C, H, W]."""
    space, task, along = _prepared(decoder, images, direction)
    step = reach(space, task, along, along.new_ones(len(images), 1), length)
    return (space.decode(task, step * along) - images).mean(0).cpu()


def _prepared(decoder: Codec, images: Tensor, direction: Tensor) -> tuple[Latent, Task, Tensor]:
    space = Latent(decoder)
    task = space.prepare(Task(key=torch.arange(len(images), device=images.device), image=images))
    return space, task, direction.to(task.extra["z"])
