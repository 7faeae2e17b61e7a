"""Pairs of images for feature adversaries: a source, and a guide of another class, drawn by a seed."""

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from amiss.data import Images
from amiss.errors import DataError, UsageError
from amiss.repro import digest, generator
from amiss.study import Inputs
from amiss.task import Task

__all__ = ["Pairs", "draw_pairs", "pair_inputs"]

_Pair: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Pairs:
    """Sources and their guides.

    Attributes:
        source: Positions of the sources [k].
        guide: Positions of the guides [k].
    """

    source: Tensor
    guide: Tensor

    def __len__(self) -> int:
        return len(self.source)


def draw_pairs(labels: Tensor, predicted: Tensor, n: int, seed: int = 0) -> Pairs:
    """Sources and guides of different classes, all rightly classified.

    No image is used twice while it can be helped: only where there are fewer than 2n of them, or one class outweighs
    all others, images serve again, and then in other pairs. The first pairs of a draw are the same whatever n is.

    Args:
        labels: True labels [N].
        predicted: The classifier's answers [N].
        n: Pairs wanted; fewer come back only where there are no more.
        seed: Of the draw.

    Raises:
        UsageError: `n` is below 1.
        DataError: The right answers are of fewer than two classes.
    """
    if n < 1:
        raise UsageError(
            "A number of pairs must be 1 or more.",
            slug="pairs-count",
            seen=f"n={n}",
            needed="1 or more",
            hint="--pairs 50; amiss audit --imposters 0 leaves them out.",
        )
    right = (labels == predicted).nonzero().flatten()
    if len(labels[right].unique()) < 2:
        raise DataError(
            "No pair of a source and a guide can be drawn.",
            slug="pairs-none",
            seen=f"{len(right):,} of {len(labels):,} images are rightly classified, of "
            + ("one class" if len(right) else "no class"),
            needed="right answers of two classes or more",
            why="images of one class alone, or a preprocessing that is not the model's",
            hint="amiss check MODEL DATA says how the model scores; give images of several classes.",
        )
    g = generator(seed, 7)
    drawn: dict[_Pair, None] = {}
    while len(drawn) < n:
        there = len(drawn)
        drawn |= dict.fromkeys(_matched(right, labels, g))
        if len(drawn) == there:  # by chance, or because there are no others
            for s in right.tolist():  # in their order, and no further than is needed: there may be millions
                drawn |= dict.fromkeys((s, t) for t in right[labels[right] != labels[s]].tolist())
                if len(drawn) >= n:
                    break
            break
    source, guide = zip(*list(drawn)[:n], strict=True)
    return Pairs(torch.tensor(source), torch.tensor(guide))


def pair_inputs(images: Images, pairs: Pairs) -> Inputs:
    """Pairs as the samples of a study: the label is the source's, the target the guide's.

    Args:
        images: Where they are, labeled.
        pairs: Positions in them.
    """
    source, guide = images.pick(pairs.source), images.pick(pairs.guide)
    ids = tuple(digest(one, other) for one, other in zip(source.ids, guide.ids, strict=True))
    names = tuple(f"{one} as {other}" for one, other in zip(source.names, guide.names, strict=True))

    def read(rows: Tensor) -> Task:
        return source.pick(rows).guided(guide.pick(rows))

    return Inputs(ids, names, read, source.truth, guide.truth)


def _matched(rows: Tensor, labels: Tensor, g: torch.Generator) -> list[_Pair]:
    """As many pairs of different classes as there are among rows [k], each row used once, in any order."""
    kinds: dict[int, list[int]] = {}
    for row in rows[torch.randperm(len(rows), generator=g)].tolist():
        kinds.setdefault(int(labels[row]), []).append(row)
    first, *others = sorted(kinds.values(), key=len, reverse=True)
    rest = [row for group in others for row in group]
    # No class is more than a half of these, and they are sorted by class: the two halves differ at every place.
    flat = [*first[: len(rest)], *rest]
    half = len(flat) // 2
    for i, k in torch.randint(2 * half, (16 * half, 2), generator=g).tolist():  # every class meets every other
        one, other = flat[(i + half) % (2 * half)], flat[(k + half) % (2 * half)]  # the partners of both
        if labels[flat[i]] != labels[other] and labels[flat[k]] != labels[one]:
            flat[i], flat[k] = flat[k], flat[i]
    order = torch.randperm(half, generator=g).tolist()
    return [(flat[i], flat[half + i]) for i in order]
