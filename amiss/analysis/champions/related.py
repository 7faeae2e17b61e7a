"""Whether champions of related classes are alike: distances of pictures, of lineages and of labels, and a test."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.errors import DataError
from amiss.repro import generator

__all__ = [
    "Kindred",
    "Mantel",
    "Related",
    "Repeated",
    "distinct",
    "kindred",
    "lineage_distance",
    "mantel",
    "picture_distance",
    "relate",
    "repeated",
]


@dataclass(frozen=True)
class Mantel:
    """Whether two matrices of distances go together.

    Attributes:
        rho: Spearman's correlation of their entries, in [-1, 1]; NaN where one of them never changes.
        p: Chance of a correlation this high where the rows are in no relation: (1 + as high) / (1 + permutations).
        n: Rows.
        permutations: Drawn.
    """

    rho: float
    p: float
    n: int
    permutations: int


@dataclass(frozen=True)
class Kindred:
    """Whether the champions of closely related classes are alike.

    Attributes:
        own: Mean distance of a champion to those of its relatives.
        other: The same where relatives are dealt out by chance: the mean over the permutations.
        p: Chance of an `own` this low if it did not matter which class a champion is of.
        n: Classes that have relatives.
        permutations: Drawn.
    """

    own: float
    other: float
    p: float
    n: int
    permutations: int


@dataclass(frozen=True)
class Repeated:
    """Whether two runs come to like champions of the same class.

    Attributes:
        own: Mean distance of the two champions of a class.
        other: Mean distance of champions of two classes.
        p: Chance of an `own` this low if it did not matter which class a champion is of.
        n: Classes.
        permutations: Drawn.
    """

    own: float
    other: float
    p: float
    n: int
    permutations: int


@dataclass(frozen=True)
class Related:
    """Whether the champions of one run are alike where their classes are related; plain values all through.

    Attributes:
        every: The test with all champions: an individual that holds many cells counts as often.
        distinct: The test with one champion a picture.
        pictures: How many different pictures there are.
        alike: Of different pictures the pairs that are most alike, the nearest first: class, class, distance of the
            pictures, distance of the labels.
    """

    every: Mantel
    distinct: Mantel
    pictures: int
    alike: tuple[tuple[int, int, float, float], ...]


def picture_distance(images: Tensor, others: Tensor | None = None) -> Tensor:
    """How far pictures are apart: 1 less the correlation of their pixels, all channels together.

    Neither brightness nor contrast counts, place and color do. A picture without any contrast correlates with none.

    Args:
        images: Pictures [n, C, H, W].
        others: Others [m, C, H, W], such as the champions of another run; the same where left out.

    Returns:
        Distances [n, m] in [0, 2], float64.
    """
    one = _unit(images)
    other = one if others is None else _unit(others)
    return 1 - (one @ other.T).double().clamp(-1, 1)


def lineage_distance(lines: Sequence[Tensor]) -> Tensor:
    """How far lineages are apart: 1 less the share of common ancestors among all of both.

    Args:
        lines: The individuals' numbers of each champion's line [k], itself included, as in column 2 of
            `amiss.optimizers.evolution.ancestry`.

    Returns:
        Distances [n, n] in [0, 1], float64: 0 for one individual, 1 where no ancestor is common.

    References:
        Jaccard (1912), for the share.
    """
    known, place = torch.cat([torch.zeros(0, dtype=torch.int64), *lines]).unique(return_inverse=True)
    member = torch.zeros(len(lines), len(known))
    sizes = torch.tensor([len(line) for line in lines])
    member[torch.arange(len(lines)).repeat_interleave(sizes), place] = 1
    common = (member @ member.T).double()
    size = member.sum(1).double()
    return 1 - common / (size[:, None] + size[None] - common).clamp_min(1)


def distinct(images: Tensor, confidence: Tensor) -> Tensor:
    """One champion a picture: of those that are the same picture the one of the surest class.

    Args:
        images: Champions [n, C, H, W], uint8.
        confidence: Of each in its class [n].

    Returns:
        Rows [k], int64, ascending.
    """
    first: dict[bytes, int] = {}
    for row in confidence.argsort(descending=True, stable=True).tolist():
        first.setdefault(images[row].contiguous().numpy().tobytes(), row)
    return torch.tensor(sorted(first.values()), dtype=torch.int64)


def mantel(one: Tensor, other: Tensor, permutations: int = 999, seed: int = 0) -> Mantel:
    """Test whether what is near in one matrix is near in the other: Mantel's test of ranks, one-sided.

    Rows and columns of the one are permuted together, so that it does not count that the entries of a row depend on
    each other. What the test cannot tell is why: where a third thing makes both near, it finds them related.

    Args:
        one: Distances [n, n], symmetric; the diagonal does not count.
        other: Other distances of the same rows [n, n], symmetric.
        permutations: How many to draw.
        seed: Of the draws.

    Raises:
        DataError: Not two square matrices of one size, three rows or more, with numbers in all places.

    References:
        Mantel (1967), the detection of disease clustering and a generalized regression approach; Phipson and Smyth
        (2010), permutation p-values should never be zero.
    """
    n, each = len(one), (one, other)
    finite = all(bool(part.isfinite().all()) for part in each)
    if n < 3 or not finite or any(part.shape != (n, n) for part in each):
        raise DataError(
            "Distances of champions cannot be compared like this.",
            slug="champions-distances",
            seen=f"shapes {tuple(one.shape)}, {tuple(other.shape)}" + ("" if finite else ", with NaN or infinity"),
            needed="square matrices of one size, three rows or more, of finite numbers",
            hint="Give the rows of both in the same order, such as one champion a class.",
        )
    a, b = (_ranked(part) for part in each)
    rho = float((a * b).sum())
    g, high = generator(seed, 13), 0
    for _ in range(permutations if rho == rho else 0):  # NaN where nothing changes
        order = torch.randperm(n, generator=g)
        drawn = a.index_select(0, order).index_select(1, order)
        high += float((drawn * b).sum()) >= rho - 1e-12
    return Mantel(rho, (1 + high) / (1 + permutations) if rho == rho else 1.0, n, permutations)


def kindred(apart: Tensor, near: Tensor, permutations: int = 999, seed: int = 0) -> Kindred:
    """Test whether champions are nearer to those of closely related classes than to others, one-sided.

    Unlike `mantel` it does not ask whether far classes are in their right order, and each class with relatives counts
    once, however many it has: of the pairs of one kind in `imagenet_distance` more than half are two dogs. Like
    `mantel` it cannot tell why.

    Args:
        apart: Distances of champions [n, n], of one run or from one run to another.
        near: Which classes are closely related [n, n], bool, symmetric; the diagonal does not count. Such as
            `imagenet_distance() == 0`: of one narrow kind.
        permutations: Orders of the classes to draw.
        seed: Of the draws.

    Raises:
        DataError: Not two square matrices of one size, a distance that is no finite number, or no class with a
            relative.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 3.2 (similar images for
        closely related categories); Phipson and Smyth (2010), permutation p-values should never be zero.
    """
    n, finite = len(apart), bool(apart.isfinite().all())
    square = apart.shape == near.shape == (n, n)
    i, j = (near & ~torch.eye(n, dtype=torch.bool)).nonzero(as_tuple=True) if square else (torch.zeros(0),) * 2
    if not finite or not len(i):
        raise DataError(
            "Distances of champions cannot be compared like this.",
            slug="champions-distances",
            seen=f"shapes {tuple(apart.shape)}, {tuple(near.shape)}, {len(i)} related pairs"
            + ("" if finite else ", with NaN or infinity"),
            needed="square matrices of one size, of finite numbers, and one related pair or more",
            hint="Give the rows of both in the same order, such as one champion a class.",
        )
    counts = torch.bincount(i, minlength=n).double()
    weight = 1 / counts[i] / (counts > 0).sum()
    flat, g = apart.double().flatten(), generator(seed, 15)

    def mean(order: Tensor) -> float:
        return float((weight * flat[order[i] * n + order[j]]).sum())

    own = mean(torch.arange(n))
    drawn = [mean(torch.randperm(n, generator=g)) for _ in range(permutations)]
    low = sum(value <= own + 1e-12 for value in drawn)
    p = (1 + low) / (1 + permutations)
    return Kindred(own, sum(drawn) / permutations, p, int((counts > 0).sum()), permutations)


def relate(
    images: Tensor, confidence: Tensor, far: Tensor, *, permutations: int = 999, seed: int = 0, most: int = 12
) -> Related:
    """Test the champions of one run; they may be alike by descent as well, which two runs alone can tell apart.

    Args:
        images: Champions [n, C, H, W], uint8, in the order of the classes.
        confidence: Of each in its class [n].
        far: Distances of the labels [n, n]: `imagenet_distance`, or `confusion_distance`.
        permutations: Orders to draw.
        seed: Of the draws.
        most: Pairs to tell of.

    Raises:
        DataError: Fewer than three different pictures, or labels of other classes.
    """
    apart, rows = picture_distance(images), distinct(images, confidence)
    every = mantel(apart, far, permutations, seed)
    near, label = apart[rows][:, rows], far[rows][:, rows]
    found = mantel(near, label, permutations, seed)
    i, j = torch.triu_indices(len(rows), len(rows), 1)
    first = near[i, j].argsort(stable=True)[:most]
    pairs = zip(rows[i[first]], rows[j[first]], near[i, j][first], label[i, j][first], strict=True)
    return Related(every, found, len(rows), tuple((int(a), int(b), float(c), float(d)) for a, b, c, d in pairs))


def repeated(across: Tensor, permutations: int = 999, seed: int = 0) -> Repeated:
    """Test whether the champions of one class in two runs are more alike than those of two classes, one-sided.

    Args:
        across: Distances [n, n] of one run's champions to the other's, both in the order of the classes: two or more.
        permutations: Orders of the classes to draw.
        seed: Of the draws.
    """
    n, g = len(across), generator(seed, 14)
    own, total = float(across.diagonal().mean()), float(across.sum())
    low = 0
    for _ in range(permutations):
        drawn = across[torch.arange(n), torch.randperm(n, generator=g)]
        low += float(drawn.mean()) <= own + 1e-12
    return Repeated(own, (total - n * own) / (n * (n - 1)), (1 + low) / (1 + permutations), n, permutations)


def _unit(images: Tensor) -> Tensor:
    """Pictures as vectors [n, D] of mean 0 and length 1; zeros where all pixels are one number."""
    flat = images.flatten(1).to(torch.float32)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-6)


def _ranked(distances: Tensor) -> Tensor:
    """Ranks of the entries above the diagonal, as a symmetric matrix: the products of two sum to the correlation."""
    i, j = torch.triu_indices(len(distances), len(distances), 1)
    _, inverse, counts = distances[i, j].double().unique(return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[inverse].double()
    ranks = ranks - ranks.mean()
    out = torch.zeros(distances.shape, dtype=torch.float64)
    out[i, j] = out[j, i] = ranks / ranks.norm() / 2**0.5
    return out
