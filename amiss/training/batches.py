"""Rows for one step as a function of (data, recipe, step): nothing to save, so nothing to lose on resume."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amiss.errors import DataError
from amiss.repro import generator
from amiss.training.recipe import TrainingRecipe

__all__ = ["Batch", "Batches", "as_pixels", "binarized", "shifted"]

_ORDER, _SHIFT, _NOISE = 1, 2, 3  # streams of randomness


def as_pixels(images: Tensor) -> Tensor:
    """Bytes 0..255 as float32 in [0, 1]; other types as they are."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def binarized(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each pixel drawn as 0 or 1, a gray value in [0, 1] being the probability of a 1, with lots from the CPU."""
    return (torch.rand(images.shape, generator=generator).to(images.device) < images).to(images.dtype)


def shifted(images: Tensor, moves: Tensor) -> Tensor:
    """Each image moved by whole pixels, its border repeated.

    Args:
        images: [N, C, H, W], any type.
        moves: Pixels down and to the right [N, 2], int64.
    """
    n, c, h, w = images.shape
    rows = (torch.arange(h) - moves[:, :1]).clamp_(0, h - 1)
    columns = (torch.arange(w) - moves[:, 1:]).clamp_(0, w - 1)
    images = images.gather(2, rows[:, None, :, None].expand(n, c, h, w))
    return images.gather(3, columns[:, None, None, :].expand(n, c, h, w))


@dataclass(frozen=True)
class Batch:
    """What a loss sees of the data and of the run.

    Attributes:
        rows: Tensors [N, ...] by name; bytes have become float32 in [0, 1].
        step: The step, from 0.
        fraction: How much of the run lies behind, in [0, 1).
        seed: The recipe's seed.
        rank: Which of several processes these rows belong to; each has noise of its own.
    """

    rows: Mapping[str, Tensor]
    step: int
    fraction: float
    seed: int
    rank: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    def __getitem__(self, name: str) -> Tensor:
        return self.rows[name]

    def generator(self, stream: int = 0) -> torch.Generator:
        """Noise of this step, on the CPU; other streams are unrelated."""
        return generator(self.seed, _NOISE, self.step, stream, *([self.rank] if self.rank else []))

    def of(self, part: slice, rank: int) -> "Batch":
        """The rows of one process."""
        return replace(self, rows={name: t[part] for name, t in self.rows.items()}, rank=rank)


class Batches:
    """Shuffled batches, one for each step, made on the fly.

    Args:
        data: Tensors [n, ...] by name, of equal length. uint8 means pixels.
        recipe: Batch size, shift and seed.
        device: Where batches go; the data stays where it is.

    Raises:
        DataError: There are no rows, or the tensors differ in length.
    """

    def __init__(
        self, data: Mapping[str, Tensor], recipe: TrainingRecipe, device: torch.device | str = "cpu"
    ) -> None:
        lengths = {name: len(t) for name, t in data.items()}
        if not lengths or len(set(lengths.values())) > 1 or min(lengths.values()) == 0:
            raise DataError(
                "Training needs rows, the same number in each tensor.",
                slug="training-data",
                seen=", ".join(f"{name}: {n}" for name, n in lengths.items()) or "no tensors",
                needed="tensors of one length, at least 1",
                hint="Pass, for instance, {'image': pixels, 'label': labels}.",
            )
        self.data, self.recipe, self.device = dict(data), recipe, device
        self.rows = next(iter(lengths.values()))
        self.size = min(recipe.batch, self.rows)
        self.per_epoch = recipe.per_epoch(self.rows)
        self._order: tuple[int, Tensor] | None = None

    def at(self, step: int, fraction: float) -> Batch:
        """The batch of one step."""
        epoch, turn = divmod(step, self.per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (
                epoch,
                torch.randperm(self.rows, generator=generator(self.recipe.seed, _ORDER, epoch)),
            )
        index = self._order[1][turn * self.size : (turn + 1) * self.size]
        rows = {name: t[index] for name, t in self.data.items()}
        if self.recipe.shift:
            reach = self.recipe.shift
            draw = generator(self.recipe.seed, _SHIFT, step)
            moves = torch.randint(-reach, reach + 1, (len(index), 2), generator=draw)
            images = {name: t for name, t in rows.items() if t.dtype == torch.uint8 and t.ndim == 4}
            rows |= {name: shifted(t, moves) for name, t in images.items()}
        moved = {name: as_pixels(t.to(self.device)) for name, t in rows.items()}
        if self.recipe.channels_last:
            layout = torch.channels_last
            moved = {n: t.contiguous(memory_format=layout) if t.ndim == 4 else t for n, t in moved.items()}
        return Batch(moved, step, fraction, self.recipe.seed)
