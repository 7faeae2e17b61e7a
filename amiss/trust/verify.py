"""A success is what the objective says of the PNG read back from disk: in a batch, alone, inside the constraint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import Constraint
from amiss.data import read_image, to_bytes, write_png
from amiss.errors import UsageError
from amiss.probe import Probe
from amiss.task import P, Task
from amiss.trust.interval import wilson

__all__ = ["Verified", "Write", "verify"]

Write = Callable[[Path, Tensor], None]
"""Writes an image, uint8 [C, H, W], as a PNG: whole or not at all."""

_FEWEST = 4  # votes, all of them for it, whose interval lies above one half
_SLACK = 1e-6  # of a pixel's range, or of a code's unit


@dataclass(frozen=True)
class Verified:
    """What the files hold of n claims.

    Attributes:
        held: Whether each is a success [n].
        batch: Whether the objective is met in a batch [n]; with votes, in more than half of those cast in one.
        alone: Whether it is met by the image alone [n]; with votes, in more than half of those cast alone.
        inside: Whether the file, and its parameters where they were given, satisfy the constraint [n].
        votes: How often the objective was met [n], int64, of `n_votes`.
        n_votes: How often each was judged for that count: 1, or the votes asked for.
    """

    held: Tensor
    batch: Tensor
    alone: Tensor
    inside: Tensor
    votes: Tensor
    n_votes: int = 1

    def __len__(self) -> int:
        return len(self.held)


def verify(
    probe: Probe,
    classifier: Classifier,
    task: Task,
    images: Tensor,
    paths: Sequence[Path],
    p: P | None = None,
    votes: int = 1,
    write: Write = write_png,
) -> Verified:
    """Write images, read them back from disk, and judge them by the probe's own objective.

    A classifier that answers at random is judged several times, in a batch and alone in turn: a success is k of n
    votes whose 95 % interval lies above one half.

    Args:
        probe: Whose objective and constraint judge.
        classifier: Who is asked.
        task: The samples of the images, as given to the probe.
        images: Images [n, C, H, W] in [0, 1].
        paths: Where each is written, as 8-bit PNG.
        p: The parameters they were decoded from, for constraints that bind parameters; genomes are not looked at.
        votes: 1, or 4 and more for a classifier that answers at random.
        write: What writes a file.

    Raises:
        UsageError: Votes that cannot decide anything.

    References:
        Wilson (1927), probable inference; Athalye, Carlini and Wagner (2018), obfuscated gradients give a false
        sense of security, section 4.2, on defenses that draw at random.
    """
    if votes < 1 or 1 < votes < _FEWEST:
        raise UsageError(
            "So few votes cannot decide.",
            slug="verify-votes",
            seen=f"votes={votes}",
            needed=f"1 for a classifier that always answers alike, or {_FEWEST} and more",
            hint="verify(..., votes=20)",
        )
    if not paths:
        none = torch.zeros(0, dtype=torch.bool)
        return Verified(none, none, none, none, none.long(), votes)
    for path, image in zip(paths, to_bytes(images), strict=True):
        write(path, image)
    seen = torch.stack([read_image(path) for path in paths]).to(images.dtype) / 255
    inside = _inside(probe.constraint, task.to("cpu"), seen, p)

    def judged(size: int | None) -> Tensor:
        try:
            return probe.judge(classifier, task, seen, batch=size)[1].cpu()
        except torch.OutOfMemoryError:  # what cannot be judged is no success
            return torch.zeros(len(seen), dtype=torch.bool)

    # A single vote is cast both ways; of several every other one is cast alone.
    batches = torch.stack([judged(None) for _ in range((votes + 1) // 2)])
    alones = torch.stack([judged(1) for _ in range(max(1, votes // 2))])
    batch, alone = (ballots.double().mean(0) > 0.5 for ballots in (batches, alones))
    if votes == 1:
        return Verified(batch & alone & inside, batch, alone, inside, (batch & alone).long(), 1)
    count = batches.sum(0) + alones.sum(0)
    won = torch.tensor([wilson(k, votes)[0] > 0.5 for k in count.tolist()])
    return Verified(won & inside, batch, alone, inside, count, votes)


def _inside(constraint: Constraint, task: Task, images: Tensor, p: P | None) -> Tensor:
    """Whether what each part binds is where its projection leaves it [n]."""
    held = torch.ones(len(images), dtype=torch.bool)
    bound = {"images": images, "parameters": p.cpu() if isinstance(p, Tensor) else None}
    for part in constraint.parts:
        if (v := bound[part.binds]) is not None:
            held &= (v - part.project(v, task)).flatten(1).abs().amax(1) <= _SLACK
    return held
