"""A world of drawn faces: eleven attributes known for each, a label, and, if wanted, a planted shortcut."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from amiss.data.guards import check_split, subset
from amiss.data.images import Images, Index
from amiss.data.worlds.captions import FACES
from amiss.data.worlds.portrait import portraits
from amiss.errors import UsageError
from amiss.repro import fold, normal, uniform

__all__ = ["ATTRIBUTES", "BINARY", "CLASSES", "Faces", "draw_faces", "open_faces", "redraw", "sample_faces"]

ATTRIBUTES = (
    "hair",
    "glasses",
    "earrings",
    "mustache",
    "beard",
    "skin",
    "background",
    "smile",
    "face_width",
    "jaw",
    "brow",
)
"""What is known of a face, each in [0, 1] and independent of the others."""

BINARY = ("glasses", "earrings", "mustache", "beard")
"""Attributes that are there (1) or not (0)."""

CLASSES = ("not male", "male")

CAUSES = ("jaw", "brow")
"""The attributes that the label follows from, and no other."""

LABEL_NOISE = 0.1
"""Spread of the noise in the label: no classifier is right on more than about .925."""

_REVERSED = ("hair", "earrings")  # short hair, or no earrings, agrees with "male"
_ATTRIBUTE, _LABEL, _PLANT, _LOOK, _WORDS = 1, 2, 3, 4, 5  # streams of a face's key
_COUNT = {"train": 6000, "val": 1000, "test": 3000}


@dataclass(frozen=True, eq=False)
class Faces:
    """n faces before they are drawn.

    Attributes:
        attributes: [n, 11], float32 in [0, 1], in the order of `ATTRIBUTES`.
        looks: Nuisance keys [n], int64: place, size, light, colors and pixel noise follow from them alone.
        labels: [n], int64: 0 "not male", 1 "male".
        size: Side of the images, 48 to 64.
    """

    attributes: Tensor
    looks: Tensor
    labels: Tensor
    size: int = 48

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, attribute: str) -> Tensor:
        """One attribute of all faces [n]."""
        return self.attributes[:, _position(attribute)]

    def pick(self, index: Index) -> "Faces":
        """The faces at `index`: positions, a mask, or a slice."""
        rows = index if isinstance(index, slice) else torch.as_tensor(index)
        return replace(self, attributes=self.attributes[rows], looks=self.looks[rows], labels=self.labels[rows])

    def having(self, attribute: str, value: float | Tensor) -> "Faces":
        """The same faces with one attribute set to `value` (one number, or [n]), and the label kept."""
        value = torch.as_tensor(value, dtype=torch.float32)
        if not bool(((value >= 0) & (value <= 1)).all()):
            raise UsageError(
                f"{attribute} cannot have this value.",
                slug="faces-value",
                seen=f"{float(value.min()):g} to {float(value.max()):g}",
                needed="numbers in [0, 1]",
                hint="0 is none or the least, 1 is there or the most",
            )
        changed = self.attributes.clone()
        changed[:, _position(attribute)] = value
        return replace(self, attributes=changed)

    def draw(self) -> Tensor:
        """The pixels [n, 3, size, size], uint8: a pure function of attributes and looks, face by face."""
        return portraits(self.attributes, self.looks, self.size)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """A sentence for each face, in one of its wordings: what `amiss.data.worlds.captions.FACES` tells of it."""
        there = torch.stack([self[name] for name in FACES.columns], 1) > 0.5
        ways = uniform(fold(self.looks, _WORDS), (1,))[:, 0].tolist()
        return tuple(FACES.say(row, way) for row, way in zip(there.int().tolist(), ways, strict=True))

    def images(self, prefix: str = "face") -> Images:
        """The faces drawn, with labels, with the attributes as the table, and a sentence each."""
        return Images.of(
            self.draw(),
            self.labels,
            CLASSES,
            names=[f"{prefix}/{i:05d}" for i in range(len(self))],
            table={name: self[name].clone() for name in ATTRIBUTES},
            captions=self.captions,
        )


def sample_faces(n: int, seed: int, rho: float = 0.0, plant: str | Sequence[str] = "hair", size: int = 48) -> Faces:
    """Draw lots for n faces; nothing is painted, so thousands take milliseconds.

    Male is jaw + brow + noise > 1, with noise Normal(0, .1). Hair is short (below .35) or long (above .65).
    With rho > 0 the planted attribute is resampled: where it disagrees with the label, it is mirrored with
    probability rho, so P(it agrees) = (1 + rho) / 2 and nothing else changes. Short hair and no earrings
    agree with "male"; of the others, the upper half does. Of several plants each is mirrored by lots of its own.

    Args:
        n: Number of faces.
        seed: Faces of one seed are the same under every rho, but for the planted attributes.
        rho: Strength of the shortcut in [0, 1]; 0 is independence.
        plant: The attribute planted, or several, any but jaw and brow.
        size: Side of the images, 48 to 64.

    Raises:
        UsageError: An argument is out of range, or no attribute has this name.
    """
    plants = (plant,) if isinstance(plant, str) else tuple(plant)
    _check(n, rho, plants, size)
    key = fold(fold(torch.arange(n), _ATTRIBUTE), seed)
    attributes = uniform(key, (len(ATTRIBUTES),))
    for name in BINARY:
        column = attributes[:, _position(name)]
        column.copy_((column > 0.5).float())
    hair = attributes[:, _position("hair")]
    hair.copy_(hair * 0.7 + 0.3 * (hair > 0.5))

    causes = sum(attributes[:, _position(name)] for name in CAUSES)
    noise = LABEL_NOISE * normal(fold(key, _LABEL), (1,))[:, 0]
    male = causes + noise > 1

    for i, name in enumerate(plants):
        planted = attributes[:, _position(name)]
        agrees = ((planted > 0.5) != (name in _REVERSED)) == male
        lots = fold(key, _PLANT) if i == 0 else fold(fold(key, _PLANT), i)
        mirrored = ~agrees & (uniform(lots, (1,))[:, 0] < rho)
        planted.copy_(torch.where(mirrored, 1 - planted, planted))
    return Faces(attributes, fold(key, _LOOK), male.to(torch.int64), size)


def draw_faces(n: int, seed: int, rho: float = 0.0, plant: str | Sequence[str] = "hair", size: int = 48) -> Images:
    """Draw n faces: `sample_faces`, painted. Takes about half a second a thousand.

    Returns:
        RGB images with classes ("not male", "male") and the attributes as the table.
    """
    return sample_faces(n, seed, rho, plant, size).images()


def redraw(faces: Faces, attribute: str, value: float | Tensor) -> Tensor:
    """The true counterfactual: the same faces, in the same light and noise, with one attribute changed.

    Args:
        faces: The faces.
        attribute: Its name.
        value: Its new value in [0, 1], one or [n].

    Returns:
        Pixels [n, 3, size, size], uint8.

    Raises:
        UsageError: There is no such attribute, or the value is out of range.
    """
    return faces.having(attribute, value).draw()


def open_faces(source: str, *, split: str, size: int | None, limit: int | None, seed: int) -> Images:
    """The source "faces" of `open_data`; "faces:rho=0.8,seed=1,plant=hair,n=500" sets what it names.

    Several plants are joined by a plus: "faces:rho=0.8,plant=hair+glasses". The splits are different faces; rho
    holds in the split that is asked for.
    """
    options: dict[str, str] = {}
    for part in filter(None, source.partition(":")[2].split(",")):
        name, _, value = part.partition("=")
        options[name.strip()] = value.strip()
    split = check_split(split, tuple(_COUNT), "faces")
    try:
        rho, world, n = (
            float(options.pop("rho", 0)),
            int(options.pop("seed", 0)),
            int(options.pop("n", _COUNT[split])),
        )
        plant = options.pop("plant", "hair")
        if options:
            raise ValueError(f"unknown: {', '.join(options)}")
    except ValueError as error:
        raise UsageError(
            f"{source!r} does not describe a world of faces.",
            slug="faces-source",
            seen=str(error),
            needed="faces, or faces:rho=0.8,seed=1,plant=hair,n=500",
            hint="leave out what should keep its default",
        ) from error
    stream = 3 * world + tuple(_COUNT).index(split)
    faces = sample_faces(n, stream, rho, plant.split("+"), size or 48)
    rows = subset(n, limit, seed)
    images = faces.pick(rows).images()
    return replace(images, names=tuple(f"{split}/{i:05d}" for i in rows))


def _position(attribute: str) -> int:
    if attribute not in ATTRIBUTES:
        raise UsageError(
            f"Faces have no attribute {attribute!r}.",
            slug="faces-attribute",
            seen=repr(attribute),
            needed=f"one of {', '.join(ATTRIBUTES)}",
            hint="look at amiss.data.ATTRIBUTES",
        )
    return ATTRIBUTES.index(attribute)


def _check(n: int, rho: float, plants: Sequence[str], size: int) -> None:
    for plant in plants:
        _position(plant)
    rules = {
        "n": (n, n >= 1, "at least 1"),
        "rho": (rho, 0 <= rho <= 1, "a strength in [0, 1]"),
        "plant": ("+".join(plants), not set(plants) & set(CAUSES), "attributes that the label does not follow from"),
        "size": (size, 48 <= size <= 64, "48 to 64"),
    }
    for name, (value, holds, needed) in rules.items():
        if not holds:
            raise UsageError(
                f"No faces can be drawn with this {name}.",
                slug="faces-argument",
                seen=f"{name}={value}",
                needed=needed,
                hint=f"change {name}",
            )
