"""Which attribute of a table a direction goes along with, read from real images and their codes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from amiss.analysis.findings.statistics import Whitening
from amiss.analysis.findings.values import Named

__all__ = ["attribute_direction", "mixed", "named", "orthonormal"]

_PART = 0.4  # whitened cosine from which an attribute is a part of a direction


def named(
    direction: Tensor, position: Tensor, codes: Tensor, table: Mapping[str, Tensor], whitening: Whitening, ends: int
) -> tuple[Named, ...]:
    """Attributes by how much the images at the two ends of a direction differ in them.

    Args:
        direction: [d].
        position: Where each image lies along it [n].
        codes: Their codes [n, d].
        table: Attributes [n] by name; those that do not vary here, or are not known of every image, are left out.
        whitening: Of the codes.
        ends: Images at each end, at most a quarter of all.
    """
    order, few = position.argsort(descending=True), max(1, min(ends, len(position) // 4))
    found = []
    for name, values in table.items():
        values = values.double()
        spread = float(values.std())
        own = attribute_direction(codes, values)
        if own is not None and spread > 0:
            apart = float(values[order[:few]].mean() - values[order[-few:]].mean())
            found.append(Named(name, apart / spread, whitening.cosine(direction, own), 3 * (2 / few) ** 0.5))
    return tuple(sorted(found, key=lambda one: -abs(one.difference)))


def mixed(names: Sequence[Named]) -> tuple[Named, ...]:
    """The attributes that a direction is a mixture of: two or more, or none.

    Args:
        names: Of the direction.
    """
    parts = tuple(one for one in names if one.tells and abs(one.cosine) >= _PART)
    return parts if len(parts) > 1 else ()


def attribute_direction(codes: Tensor, values: Tensor) -> Tensor | None:
    """Mean code of the images that have more of an attribute minus that of the others [d]; None where all are alike.

    Args:
        codes: [n, d].
        values: Of the attribute [n]; two-valued ones are split between the values, others at the median,
            or below it where nothing is above.
    """
    levels = values.unique()
    middle = levels.mean() if len(levels) == 2 else values.median()
    more = values > middle if bool((values > middle).any()) else values >= middle
    if bool(more.all()) or not bool(more.any()):
        return None
    means: Tensor = codes[more].mean(0) - codes[~more].mean(0)
    return means


def orthonormal(directions: list[Tensor], width: int) -> Tensor:
    """Orthonormal rows [k, d] that span the directions."""
    if not directions:
        return torch.zeros(0, width, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(torch.stack(directions, 1).double()).Q.T
    return basis
