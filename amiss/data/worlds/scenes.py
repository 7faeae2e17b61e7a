"""A world of drawn digits: one or two a picture, whose place, size and class a sentence tells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from amiss.data.guards import check_split, subset
from amiss.data.images import Images, Index
from amiss.data.worlds.captions import SCENES
from amiss.data.worlds.strokes import paint_scenes
from amiss.errors import UsageError
from amiss.repro import fold, uniform

__all__ = ["Scenes", "open_scenes", "sample_scenes"]

_LABEL, _LOOK, _WORDS = 1, 2, 3  # streams of a scene's key
_SIZES = (32, 64)
_COUNT = {"train": 12_000, "val": 1000, "test": 3000}
_PLACES = 5  # layouts of a single digit; the others hold two


@dataclass(frozen=True, eq=False)
class Scenes:
    """n scenes before they are drawn.

    Attributes:
        labels: [n, 5], int64: layout, first digit, its size, second digit, its size, in the order and with the
            numbers of `amiss.data.worlds.captions.SCENES`.
        looks: Nuisance keys [n], int64: hand, place, slant, pen and ink follow from them alone, and so does which
            of its wordings a scene gets.
        size: Side of the images, 32 to 64.
    """

    labels: Tensor
    looks: Tensor
    size: int = 32

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, index: Index) -> "Scenes":
        """The scenes at `index`: positions, a mask, or a slice."""
        rows = index if isinstance(index, slice) else torch.as_tensor(index)
        return replace(self, labels=self.labels[rows], looks=self.looks[rows])

    def draw(self) -> Tensor:
        """The pixels [n, 1, size, size], uint8: a pure function of labels and looks, scene by scene."""
        return paint_scenes(self.labels, fold(self.looks, _LOOK), self.size)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """A sentence for each scene, in one of its wordings."""
        ways = uniform(fold(self.looks, _WORDS), (1,))[:, 0].tolist()
        return tuple(SCENES.say(row, way) for row, way in zip(self.labels.tolist(), ways, strict=True))

    def images(self, prefix: str = "scene") -> Images:
        """The scenes drawn: the layout is the label, all labels are the table, and each has its sentence."""
        return Images.of(
            self.draw(),
            self.labels[:, 0],
            SCENES.values[0],
            names=[f"{prefix}/{i:05d}" for i in range(len(self))],
            table={name: self.labels[:, i].clone() for i, name in enumerate(SCENES.columns)},
            captions=self.captions,
        )


def sample_scenes(n: int, seed: int, size: int = 32, labels: Sequence[Sequence[int]] | None = None) -> Scenes:
    """Draw lots for n scenes; nothing is painted yet.

    One scene in two holds a single digit, at one of five places; the other one holds two, one above the other or
    side by side. Digits and sizes are drawn evenly and independently.

    Args:
        n: Number of scenes.
        seed: Scenes of one seed look the same whatever they show.
        size: Side of the images, 32 to 64.
        labels: What they show [n][5], as `amiss.data.worlds.captions.SCENES` reads it off a sentence; by default
            each draws it.

    Raises:
        UsageError: An argument is out of range, or labels are not one row a scene.
    """
    key = fold(fold(torch.arange(max(n, 0)), seed), _LABEL)
    chosen = _drawn(key) if labels is None else torch.as_tensor(labels, dtype=torch.int64)
    fits = tuple(chosen.shape) == (n, len(SCENES.columns))
    rules = {
        "n": (n, n >= 1, "at least 1"),
        "size": (size, _SIZES[0] <= size <= _SIZES[1], f"{_SIZES[0]} to {_SIZES[1]}"),
        "labels": (
            chosen.tolist()[:4],
            fits and all(map(SCENES.means, chosen.tolist())),
            f"{n} rows of {len(SCENES.columns)} numbers that belong together",
        ),
    }
    for name, (value, holds, needed) in rules.items():
        if not holds:
            raise UsageError(
                f"No scenes can be drawn with this {name}.",
                slug="scenes-argument",
                seen=f"{name}={value}",
                needed=needed,
                hint=f"change {name}",
            )
    return Scenes(chosen, fold(key, _LOOK), size)


def _drawn(key: Tensor) -> Tensor:
    """Labels [n, 5] of scenes that draw what they show."""
    single, place, pair, digit, other, large, larger = uniform(key, (7,), torch.float64).unbind(1)
    alone = single < 0.5
    layout = torch.where(alone, (place * _PLACES).long(), _PLACES + (pair * 2).long())
    second = torch.where(alone, 10, (other * 10).long())
    size = torch.where(alone, 2, (larger * 2).long())
    return torch.stack([layout, (digit * 10).long(), (large * 2).long(), second, size], 1)


def open_scenes(source: str, *, split: str, size: int | None, limit: int | None, seed: int) -> Images:
    """The source "scenes" of `open_data`; "scenes:seed=1,n=500" sets what it names.

    The splits are different scenes.
    """
    options: dict[str, str] = {}
    for part in filter(None, source.partition(":")[2].split(",")):
        name, _, value = part.partition("=")
        options[name.strip()] = value.strip()
    split = check_split(split, tuple(_COUNT), "scenes")
    try:
        world, n = int(options.pop("seed", 0)), int(options.pop("n", _COUNT[split]))
        if options:
            raise ValueError(f"unknown: {', '.join(options)}")
    except ValueError as error:
        raise UsageError(
            f"{source!r} does not describe a world of scenes.",
            slug="scenes-source",
            seen=str(error),
            needed="scenes, or scenes:seed=1,n=500",
            hint="leave out what should keep its default",
        ) from error
    scenes = sample_scenes(n, 3 * world + tuple(_COUNT).index(split), size or 32)
    rows = subset(n, limit, seed)
    images = scenes.pick(rows).images()
    return replace(images, names=tuple(f"{split}/{i:05d}" for i in rows))
