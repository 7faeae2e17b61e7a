"""Which set a change must stay in, and how its size is measured.

A constraint binds images or parameters and never touches the other. Images lie in [0, 1] whatever else is said:
the domain sees to it. `a & b` holds both; its size is that of the first part that measures one.
"""

from typing import Literal

import torch
from torch import Tensor

from amiss.errors import ContractError, UsageError
from amiss.task import Task

__all__ = [
    "L1",
    "L2",
    "Both",
    "Box",
    "Constraint",
    "LatentNorm",
    "Linf",
    "Mask",
    "Quantized",
    "Unconstrained",
]

Bounds = tuple[Tensor, Tensor]

_HAIR = 2e-4  # of a level: well above float32's rounding at 255, and less than 1e-6 of a pixel's range


class Constraint:
    """A set, a size and a penalty, row by row.

    Attributes:
        binds: What it is about, "images" [R, C, H, W] or "parameters" [R, ...].
        soft: Whether it has a penalty that the value should carry.
        measures: Whether it has a size of its own.
    """

    binds: Literal["images", "parameters"] = "images"
    soft: bool = False
    measures: bool = False

    @property
    def parts(self) -> tuple["Constraint", ...]:
        """The constraints that hold together."""
        return (self,)

    def project(self, v: Tensor, task: Task) -> Tensor:
        """The nearest point of the set, or one near it, [R, ...]."""
        return v

    def shown(self, x: Tensor, task: Task) -> Tensor:
        """What the network sees of images [R, C, H, W] in the set; their gradient passes straight through."""
        return x

    def penalty(self, v: Tensor, task: Task) -> Tensor:
        """A cost added to the value [R]; 0 where the constraint is hard."""
        return v.new_zeros(len(v))

    def size(self, v: Tensor, task: Task) -> Tensor:
        """How large the change is [R], >= 0."""
        return v.new_zeros(len(v))

    def bounds(self, task: Task) -> Bounds | None:
        """Lowest and highest values, broadcastable to [R, ...], where the set is a box."""
        return None

    def __and__(self, other: "Constraint") -> "Both":
        return Both(*self.parts, *other.parts)

    def __repr__(self) -> str:
        given = ", ".join(
            f"{k}={v!r}"
            for k, v in vars(self).items()
            if not isinstance(v, Tensor) and k[0] != "_" and not hasattr(Constraint, k)
        )
        return f"{type(self).__name__}({given})"


class Both(Constraint):
    """Constraints that hold together; the domain asks each part about what it binds."""

    def __init__(self, *parts: Constraint) -> None:
        self._parts = parts

    @property
    def parts(self) -> tuple[Constraint, ...]:
        """The constraints that hold together."""
        return self._parts

    def __repr__(self) -> str:
        return " & ".join(map(repr, self.parts))


class _Ball(Constraint):
    """Images within `eps` of the original in a norm; `eps` None measures without binding."""

    measures = True

    def __init__(self, eps: float | None = None) -> None:
        if eps is not None and not eps >= 0:
            raise UsageError(
                "A radius cannot be negative.",
                slug="eps-negative",
                seen=f"eps={eps}",
                needed="a number >= 0, in pixel values of [0, 1]",
                hint=f"{type(self).__name__}(8 / 255)",
            )
        if eps is not None and isinstance(self, Linf) and eps > 1:
            raise UsageError(
                "Pixels lie in [0, 1], so an L_inf radius above 1 binds nothing.",
                slug="eps-units",
                seen=f"eps={eps}",
                needed="a number in [0, 1]",
                why="a radius in units of 0..255",
                hint=f"Linf({eps:g} / 255)",
            )
        self.eps = eps


class Linf(_Ball):
    """No pixel moves by more than `eps`; size: the largest move of a pixel."""

    def project(self, v: Tensor, task: Task) -> Tensor:
        """Clip to the box around the original."""
        if self.eps is None:
            return v
        image = original(task)
        return torch.minimum(torch.maximum(v, image - self.eps), image + self.eps)

    def size(self, v: Tensor, task: Task) -> Tensor:
        """Largest absolute change of a pixel [R]."""
        return (v - original(task)).flatten(1).abs().amax(1)

    def bounds(self, task: Task) -> Bounds | None:
        """The box around the original."""
        if self.eps is None:
            return None
        return original(task) - self.eps, original(task) + self.eps


class L2(_Ball):
    """The change is no longer than `eps` in the Euclidean norm over all pixels; size: that norm.

    Args:
        eps: The bound, in pixel values of [0, 1]; None measures without binding.
        weight: Factor of the squared length in the value that is descended, >= 0.

    Raises:
        UsageError: A bound or weight below 0.
    """

    weight: float = 0.0

    def __init__(self, eps: float | None = None, weight: float = 0.0) -> None:
        super().__init__(eps)
        if not weight >= 0:
            raise UsageError(
                "The weight of a penalty cannot be negative.",
                slug="weight-negative",
                seen=f"weight={weight}",
                needed="a number >= 0",
                hint="L2(weight=1.0)",
            )
        if weight > 0:  # else nothing is said of it: a bare bound is told as L2(eps=...)
            self.weight, self.soft = weight, True

    def penalty(self, v: Tensor, task: Task) -> Tensor:
        """`weight` times the squared length [R]."""
        return self.weight * (v - original(task)).flatten(1).square().sum(1)

    def project(self, v: Tensor, task: Task) -> Tensor:
        """Shrink the change to length `eps`."""
        if self.eps is None:
            return v
        image = original(task)
        change = (v - image).flatten(1)
        length = change.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
        inside = length <= self.eps
        return torch.where(inside, v.flatten(1), image.flatten(1) + change * (self.eps / length)).view_as(v)

    def size(self, v: Tensor, task: Task) -> Tensor:
        """Euclidean norm of the change [R]."""
        return (v - original(task)).flatten(1).norm(dim=1)


class L1(_Ball):
    """The change sums to no more than `eps` in absolute value; size: that sum.

    References:
        Duchi, Shalev-Shwartz, Singer and Chandra (2008), projection onto the l1-ball, algorithm 1.
    """

    def project(self, v: Tensor, task: Task) -> Tensor:
        """Soft-threshold the change so that it sums to `eps`."""
        if self.eps is None:
            return v
        image = original(task)
        change = (v - image).flatten(1)
        ordered = change.abs().sort(1, descending=True).values
        excess = ordered.cumsum(1) - self.eps
        rank = torch.arange(1, change.shape[1] + 1, device=v.device)
        last = ((ordered * rank > excess) * rank).amax(1, keepdim=True).clamp_min(1)
        level = (excess.gather(1, last - 1) / last).clamp_min(0)
        shrunk = change.sign() * (change.abs() - level).clamp_min(0)
        # The level is a difference of large numbers: where it lost digits, the sum is brought back by a factor.
        total = shrunk.abs().sum(1, keepdim=True)
        shrunk = torch.where(
            total > self.eps, shrunk * (self.eps / total.clamp_min(torch.finfo(v.dtype).tiny)), shrunk
        )
        return (image.flatten(1) + shrunk).view_as(v)

    def size(self, v: Tensor, task: Task) -> Tensor:
        """Sum of the absolute changes [R]."""
        return (v - original(task)).flatten(1).abs().sum(1)


class LatentNorm(Constraint):
    """The change of the latent code: its length is the size, `weight` times its square the penalty.

    Args:
        weight: Factor of the squared length in the value that is descended, >= 0.
        radius: Longest change allowed, >= 0, or None.
        scale: Covariance [d, d] of codes. Lengths are then counted in its standard deviations: the length of eps is
            the root of eps . scale^-1 eps.

    Raises:
        UsageError: A weight or radius below 0, or a scale that is no covariance.

    References:
        Mahalanobis (1936), on the generalized distance in statistics (the length with a scale).
    """

    binds = "parameters"
    soft = True
    measures = True

    def __init__(self, weight: float = 0.0, radius: float | None = None, scale: Tensor | None = None) -> None:
        if not weight >= 0 or (radius is not None and not radius >= 0):
            raise UsageError(
                "A weight or radius of the latent code cannot be negative.",
                slug="latent-norm-negative",
                seen=f"weight={weight}, radius={radius}",
                needed="numbers >= 0",
                hint="LatentNorm(weight=0.03)",
            )
        self.weight, self.radius, self.scale = weight, radius, scale
        self.soft = weight > 0
        self._root = None if scale is None else _root(scale)

    def project(self, v: Tensor, task: Task) -> Tensor:
        """Shrink the change to the radius."""
        if self.radius is None:
            return v
        length = self.size(v, task).reshape(-1, *[1] * (v.ndim - 1))
        return v * (self.radius / length.clamp_min(max(self.radius, torch.finfo(v.dtype).tiny)))

    def penalty(self, v: Tensor, task: Task) -> Tensor:
        """`weight` times the squared length [R]."""
        return self.weight * self._white(v).square().sum(1)

    def size(self, v: Tensor, task: Task) -> Tensor:
        """Length of the code's change [R]."""
        return self._white(v).norm(dim=1)

    def _white(self, v: Tensor) -> Tensor:
        """The change in standard deviations [R, d]."""
        flat = v.flatten(1)
        if self._root is None:
            return flat
        return torch.linalg.solve_triangular(self._root.to(flat), flat.mT, upper=False).mT


class Box(Constraint):
    """Every value between `low` and `high`."""

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        if not low <= high:
            raise UsageError(
                "The box is empty.",
                slug="box-empty",
                seen=f"low={low}, high={high}",
                needed="low <= high",
                hint="Box(0.0, 1.0)",
            )
        self.low, self.high = low, high

    def project(self, v: Tensor, task: Task) -> Tensor:
        """Clip."""
        return v.clamp(self.low, self.high)

    def bounds(self, task: Task) -> Bounds | None:
        """The same bounds for every value: one number each, for a box needs no image."""
        return torch.tensor(self.low, dtype=torch.float64), torch.tensor(self.high, dtype=torch.float64)


class Quantized(Constraint):
    """The network sees what a file can hold: multiples of 1 / (levels - 1).

    The search itself goes on between them, or steps shorter than a level would never leave the ground. Rounding to
    the nearest level may take a change beyond its bound by half a level; rounding inward, toward the original,
    cannot, if the original came from such a file itself.

    Args:
        levels: Gray levels, 2 or more.
        inward: Whether to round toward the original.
        within: Of a box: round to the nearest level, but toward the original where that would be further from it
            than this.
    """

    def __init__(self, levels: int = 256, inward: bool = False, within: float | None = None) -> None:
        if levels < 2:
            raise UsageError(
                "A lattice has two levels at least.",
                slug="levels-few",
                seen=f"levels={levels}",
                needed="2 or more",
                hint="Quantized(256), what an 8-bit file holds",
            )
        self.levels, self.inward, self.within = levels, inward, within

    def shown(self, x: Tensor, task: Task) -> Tensor:
        """Round to the nearest level, or to the nearest on the original's side."""
        top, at = self.levels - 1, x.detach() * (self.levels - 1)
        if self.inward or self.within is not None:
            # A hair of slack, or a bound that is a whole number of levels would lose one to float32.
            image, rounded = original(task), at.round() / top
            inward = torch.where(x.detach() > image, (at + _HAIR).floor(), (at - _HAIR).ceil()) / top
            far = torch.ones_like(image, dtype=torch.bool)
            if self.within is not None and not self.inward:
                far = (rounded - image).abs() * top > self.within * top + _HAIR
            rounded = torch.where(far, inward, rounded)
        else:
            rounded = at.round_().div_(top)  # in place: of hundreds of large images a copy costs more than the sum
        return rounded + (x - x.detach()) if x.requires_grad else rounded


class Mask(Constraint):
    """Only pixels where `mask` is true may change.

    Args:
        mask: Boolean, broadcastable to [C, H, W]; a sticker or a patch.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask.bool()

    def project(self, v: Tensor, task: Task) -> Tensor:
        """Put the original back outside the mask."""
        return torch.where(self.mask.to(v.device), v, original(task))

    def bounds(self, task: Task) -> Bounds | None:
        """No room at all outside the mask, no bound inside it."""
        image = original(task)
        mask = self.mask.to(image.device)
        return torch.where(mask, -torch.inf, image), torch.where(mask, torch.inf, image)


class Unconstrained(Constraint):
    """Anything goes; every size is 0, so the loss alone tells one success from another."""


def _root(scale: Tensor) -> Tensor:
    """The lower triangle L with L L^T = scale, in float64; a scale that has none is refused."""
    square = scale.ndim == 2 and scale.shape[0] == scale.shape[1]
    wide = scale.detach().to(torch.float64)
    root, failed = torch.linalg.cholesky_ex(wide) if square and bool(wide.isfinite().all()) else (wide, 1)
    if failed or not torch.allclose(wide, wide.mT, rtol=1e-4, atol=1e-8 * float(wide.abs().max())):
        raise UsageError(
            "The scale of the latent code is no covariance.",
            slug="latent-norm-scale",
            seen=f"a tensor {tuple(scale.shape)}",
            needed="a symmetric [d, d] with eigenvalues above 0",
            why="fewer codes than dimensions, or a dimension that never varies",
            hint="LatentNorm(scale=torch.cov(codes.T)) of many codes; add a little to its diagonal if need be.",
        )
    return root


def original(task: Task) -> Tensor:
    """The task's images, which a constraint around them needs."""
    if task.image is None:
        raise ContractError(
            "This constraint measures a change, and the task has no image to change.",
            slug="contract-no-image",
            seen="a task without images, such as am.classes(classifier)",
            hint="Use Unconstrained() or Box() where the search starts from nothing.",
        )
    return task.image
