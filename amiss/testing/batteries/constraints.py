"""The laws of a constraint."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from amiss.constraints import Constraint, LatentNorm, Mask
from amiss.domain import Domain
from amiss.spaces import Latent, Pixels
from amiss.spaces.space import Space
from amiss.task import Task
from amiss.testing.batteries import defaults
from amiss.testing.batteries.values import apart, cloned, parts_of, same, tolerance
from amiss.testing.batteries.verdicts import Law, Skipped, Verdict, judged, need

__all__ = ["LAWS", "check_constraint"]

_HAIR = 1e-6  # how far outside its set a change may end


@dataclass(frozen=True)
class _Case:
    """A constraint, a space whose parameters or images it binds, and samples."""

    constraint: Constraint
    space: Space
    given: Task
    limit: float | None

    @cached_property
    def task(self) -> Task:
        """The samples, prepared."""
        return self.space.prepare(self.given)

    @cached_property
    def start(self) -> Tensor:
        """What the constraint binds, unchanged [n, ...]."""
        p = self.space.start(self.task)
        v = p if self.constraint.binds == "parameters" else self.space.decode(self.task, p)
        assert isinstance(v, Tensor)  # noqa: S101 - a constraint on genomes has no set to speak of
        return v

    @cached_property
    def points(self) -> dict[str, Tensor]:
        """Values to project [n, ...], by name: near and far, and what floating-point numbers can be."""
        start, finest = self.start, torch.finfo(self.start.dtype)
        far = finest.max**0.25
        noise = [defaults.noise(start, i) for i in range(6)]
        return {
            "the start": start,
            "a near point": start + 0.01 * noise[0],
            "a far point": start + noise[1],
            **{f"a point as far as {scale:.0e}": start + scale * noise[2] for scale in (1e2, 1e4, 1e6, 1e7, far)},
            "a point with one far value": start + 1e6 * noise[3] ** 9,
            "a denormal change": start + finest.tiny / 64 * noise[4],
            "denormal values": finest.tiny / 64 * noise[4],
            "zeros": torch.zeros_like(start),
        }

    @property
    def bound(self) -> float | None:
        """The largest size that the set allows, where it is known."""
        if self.limit is not None:
            return self.limit
        found = getattr(self.constraint, "eps", getattr(self.constraint, "radius", None))
        return float(found) if isinstance(found, int | float) else None

    def project(self, v: Tensor) -> Tensor:
        """The projection of values."""
        return self.constraint.project(v, self.task)


def check_constraint(
    constraint: Constraint,
    space: Space | None = None,
    task: Task | None = None,
    *,
    bound: float | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> tuple[Verdict, ...]:
    """Check every law of a constraint.

    Args:
        constraint: One constraint; of `a & b` each is checked by itself.
        space: Whose parameters or images it binds; pixels, or the codes of the linear world, where left out.
        task: Samples, two or more; images of the linear world [6, 1, 8, 8] in float64 where left out.
        bound: The largest size that its set allows; its `eps` or `radius` where left out.
        expected_failures: Laws that are known to break, each with the reason.

    Returns:
        One verdict a law.

    Raises:
        BatteryError: A law breaks, or holds though it was expected to break.
    """
    own: Space = Latent(defaults.WORLD.codec) if constraint.binds == "parameters" else Pixels()
    samples = defaults.task() if task is None else task
    return judged(constraint, LAWS, _Case(constraint, space or own, samples, bound), expected_failures)


def projecting_twice_is_projecting_once(case: _Case) -> None:
    """What was projected is in the set: projecting it again does not move it."""
    for name, v in case.points.items():
        once = case.project(v)
        gap = apart(once, case.project(once))
        need(gap <= tolerance(v, coarse=_HAIR), f"{name} moves by {gap:.3g} the second time", "no move")


def size_is_within_the_bound(case: _Case) -> None:
    """After projection the size is no larger than the set allows."""
    if case.bound is None or not case.constraint.measures:
        raise Skipped("no bound on a size is known")
    for name, v in case.points.items():
        size = float(case.constraint.size(case.project(v), case.task).max())
        need(
            size <= case.bound + _HAIR * max(1.0, case.bound),
            f"size {size:.6g} after projecting {name}",
            f"at most {case.bound:.6g}",
        )


def bounds_agree_with_projection(case: _Case) -> None:
    """Where the set is said to be a box, projecting is clipping to it."""
    box = case.constraint.bounds(case.task)
    if box is None:
        raise Skipped("the set is no box")
    low, high = (side.to(case.start.dtype) for side in box)
    for name, v in case.points.items():
        gap = apart(case.project(v), torch.minimum(torch.maximum(v, low), high))
        need(
            gap <= tolerance(v, coarse=_HAIR), f"{name} is projected {gap:.3g} off its clip", "the clip to the bounds"
        )


def order_does_not_matter(case: _Case) -> None:
    """Beside another constraint, in either order: boxes give one point, other sets a point of both."""
    start = case.start
    shared = (case.project(start) == start).flatten(1).all(1).nonzero().flatten()
    if not len(shared):
        raise Skipped("no sample starts inside the set, so another set may share no point with it")
    task = case.task.rows(shared)
    other: Constraint = LatentNorm(radius=0.5)
    if case.constraint.binds == "images":
        left = torch.zeros(start.shape[1:])
        left[..., : left.shape[-1] // 2] = 1
        other = Mask(left)
    boxes = case.constraint.bounds(task) is not None and other.bounds(task) is not None
    for name, v in case.points.items():
        ends = [_through(both, v[shared], task) for both in (case.constraint & other, other & case.constraint)]
        if boxes:
            gap = apart(*ends)
            need(gap <= tolerance(v, coarse=_HAIR), f"{name} ends {gap:.3g} apart in either order", "one point")
        for end in ends:
            for part in (case.constraint, other):
                gap = apart(part.project(end, task), end)
                need(gap <= _HAIR, f"{name} ends {gap:.3g} outside {part!r}", f"a point of {part!r}")


def size_begins_at_zero(case: _Case) -> None:
    """A size is one number a row, at least 0, and 0 where nothing has changed."""
    if not case.constraint.measures:
        raise Skipped("it has no size")
    for name, v in case.points.items():
        size = case.constraint.size(v, case.task)
        need(size.shape == (len(v),), f"sizes {tuple(size.shape)} of {name}", f"[{len(v)}]")
        need(bool((size >= 0).all()), f"size {float(size.min()):.3g} of {name}", "0 or more")
    still = float(case.constraint.size(case.start, case.task).max())
    need(still <= tolerance(case.start), f"size {still:.3g} of no change", "0")


def penalty_is_of_its_row(case: _Case) -> None:
    """A penalty is one number a row, at least 0, with a gradient; a constraint that is not soft has none."""
    for name, v in case.points.items():
        penalty = case.constraint.penalty(v, case.task)
        need(penalty.shape == (len(v),), f"penalties {tuple(penalty.shape)} of {name}", f"[{len(v)}]")
        need(bool((penalty >= 0).all()), f"penalty {float(penalty.min()):.3g} of {name}", "0 or more")
        if not case.constraint.soft:
            need(not bool(penalty.any()), f"penalty {float(penalty.max()):.3g} of {name}, soft=False", "0")
    if case.constraint.soft:
        q = case.points["a far point"].detach().clone().requires_grad_()
        penalty = case.constraint.penalty(q, case.task)
        need(penalty.requires_grad and bool(penalty.all()), "no penalty, or none with a gradient, soft=True", "one")


def rows_are_independent(case: _Case) -> None:
    """What becomes of a row depends on that row and its sample alone."""
    for name, v in case.points.items():
        every = case.project(v)
        for i in range(len(v)):
            row = torch.tensor([i])
            gap = apart(every[row], case.constraint.project(v[row], case.task.rows(row)))
            need(gap <= tolerance(v), f"row {i} of {name} alone ends {gap:.3g} elsewhere", "the same point")


def only_what_it_binds_is_touched(case: _Case) -> None:
    """Nothing is written to, types and shapes stay, and whoever binds parameters leaves images alone."""
    before = cloned(parts_of(case.task))
    for name, v in case.points.items():
        given = v.clone()
        found = case.project(given)
        case.constraint.size(given, case.task), case.constraint.penalty(given, case.task)
        need(same(given, v), f"{name} was written to", "values left as they were")
        kept = found.shape == v.shape and found.dtype == v.dtype
        need(kept, f"{found.dtype} {tuple(found.shape)} of {name}", f"{v.dtype} {tuple(v.shape)}")
    need(same(parts_of(case.task), before), "samples that changed", "samples as they were")
    domain = Domain(case.space, case.constraint, case.task, 1)
    x = case.space.decode(case.task, case.space.start(case.task))
    if case.constraint.binds == "parameters":
        gap = apart(domain.decode(domain.start(), domain.everyone), x.clamp(0, 1))
        need(gap <= tolerance(x), f"images that moved by {gap:.3g}", "images as the space draws them")


def _through(both: Constraint, v: Tensor, task: Task) -> Tensor:
    for part in both.parts:
        v = part.project(v, task)
    return v


LAWS: tuple[Law, ...] = (
    projecting_twice_is_projecting_once,
    size_is_within_the_bound,
    bounds_agree_with_projection,
    order_does_not_matter,
    size_begins_at_zero,
    penalty_is_of_its_row,
    rows_are_independent,
    only_what_it_binds_is_touched,
)
"""The laws of a constraint."""
