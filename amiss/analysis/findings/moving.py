"""Intervention: images moved along a direction of code space, and what the model says of them then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import original
from amiss.spaces import Latent
from amiss.spaces.latent import Codec
from amiss.task import Task

__all__ = ["Mover", "reach"]

_SECANTS = 5
_GROWTH = 4.0  # a step changes by no more than this factor at once


def reach(space: Latent, task: Task, along: Tensor, step: Tensor, length: float, rounds: int = _SECANTS) -> Tensor:
    """Steps whose changes have one length in pixels, before clipping: secants in logarithms, as a decoder bends.

    Args:
        space: Where the images are moved.
        task: The images, prepared [k].
        along: The direction [d].
        step: First guesses [k, 1], in units of the direction; of the sign that is wanted.
        length: Euclidean.
        rounds: Secants; the first takes the change for proportional to the step.

    Returns:
        The steps [k, 1].
    """
    image, power, before = original(task), torch.ones_like(step), None
    for _ in range(rounds):
        moved = (space.decode(task, step * along) - image).flatten(1).norm(dim=1, keepdim=True).clamp_min(1e-6)
        if before is not None:
            grown, longer = (step / before[0]).log(), (moved / before[1]).log()
            # Where the step did not change, or the change did not, there is no slope to tell.
            slope = torch.where((grown == 0) | (longer == 0), power, longer / grown)
            power = slope.nan_to_num(1.0).clamp(1 / _GROWTH, _GROWTH)
        before = step, moved
        step = step * (length / moved).pow(1 / power).clamp(1 / _GROWTH, _GROWTH)
    return step


@dataclass(frozen=True)
class Mover:
    """Moves images by x' = clip(x + g(z + s d) - g(z)), rounded to 8 bits, and reads the model's logit.

    Attributes:
        classifier: Who is asked.
        decoder: Encoder and decoder.
        pixels: All images [n, C, H, W], uint8.
        codes: Their codes [n, d], float32.
        true: Class whose logit is read.
        rival: Class whose logit is subtracted.
        batch: Images a pass.
    """

    classifier: Classifier
    decoder: Codec
    pixels: Tensor
    codes: Tensor
    true: int
    rival: int
    batch: int

    @torch.no_grad()
    def by_steps(self, rows: Tensor, direction: Tensor, steps: Tensor | float) -> tuple[Tensor, Tensor]:
        """Move images by given steps.

        Args:
            rows: Positions of the images [k].
            direction: [d].
            steps: How far, in units of the direction: a number or [k].

        Returns:
            The logit of the true class over its rival's [k], and the length of each change in pixels [k].
        """
        far = torch.as_tensor(steps, dtype=torch.float32).expand(len(rows))
        seen = [
            self._read(task, image, far[part, None].to(task.extra["z"]) * self._turned(direction, task))
            for part, task, image in self._parts(rows)
        ]
        return torch.cat([gap for gap, _ in seen]), torch.cat([length for _, length in seen])

    @torch.no_grad()
    def by_lengths(self, rows: Tensor, directions: Tensor, lengths: Sequence[float]) -> Tensor:
        """Move images so that each change has one length in pixels, by a few secant steps an image.

        Args:
            rows: Positions of the images [k].
            directions: [m, d]; every image is moved along every one of them.
            lengths: Euclidean lengths of a change before it is clipped, ascending.

        Returns:
            The logit of the true class over its rival's [m, len(lengths), k].
        """
        gaps = torch.zeros(len(directions), len(lengths), len(rows), dtype=torch.float64)
        for part, task, image in self._parts(rows):
            for i, direction in enumerate(directions):
                along, space = self._turned(direction, task), Latent(self.decoder)
                scale, before = torch.ones(len(part), 1, device=image.device), lengths[0]
                for j, length in enumerate(lengths):
                    # A good guess, for a change grows about as its step does; a length of nothing is no step.
                    scale = scale * (length / max(before, 1e-9))
                    scale = reach(space, task, along, scale, length, _SECANTS if j == 0 else 1)
                    gaps[i, j, part], before = self._read(task, image, scale * along)[0], length
        return gaps

    def _parts(self, rows: Tensor) -> Iterator[tuple[Tensor, Task, Tensor]]:
        """Batches of the rows: which of them, their task with codes, their images."""
        for part in torch.arange(len(rows)).split(self.batch):
            image = self.pixels[rows[part]].to(self.classifier.device).float() / 255
            z = self.codes[rows[part]].to(image.device)
            known = {"z": z, "gz": self.decoder.decode(z)}
            yield part, Task(key=rows[part].to(image.device), image=image, extra=known), image

    def _turned(self, direction: Tensor, task: Task) -> Tensor:
        return direction.to(task.extra["z"])

    def _read(self, task: Task, image: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
        moved = Latent(self.decoder).decode(task, change)
        length = (moved - image).flatten(1).norm(dim=1)
        shown = (moved.clamp(0, 1) * 255).round() / 255
        logits = self.classifier.outputs(shown)["answer"]
        return (logits[:, self.true] - logits[:, self.rival]).double().cpu(), length.double().cpu()
