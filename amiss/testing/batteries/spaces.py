"""The laws of a space."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from amiss.constraints import Unconstrained
from amiss.domain import Domain
from amiss.spaces.space import Space
from amiss.task import P, Task, reaches
from amiss.testing.batteries import defaults
from amiss.testing.batteries.values import apart, cloned, parts_of, same, tolerance
from amiss.testing.batteries.verdicts import Law, Skipped, Verdict, judged, need

__all__ = ["LAWS", "check_space"]


@dataclass(frozen=True)
class _Case:
    """A space and samples."""

    space: Space
    given: Task

    @cached_property
    def task(self) -> Task:
        """The samples, prepared."""
        return self.space.prepare(self.given)

    @cached_property
    def points(self) -> list[Any]:
        """Parameters to decode, n rows each: the start, and others near and far."""
        start = self.space.start(self.task)
        if isinstance(start, Tensor):
            return [start, *(start + scale * defaults.noise(start, i) for i, scale in enumerate((0.1, 1.0, 10.0)))]
        key = self.task.key
        try:
            children = self.space.vary(start, key)
            return [start, children, self.space.vary(children, key + 1)]
        except NotImplementedError:
            return [start]

    def decode(self, p: Any, rows: Tensor | None = None) -> Tensor:
        """Images of the rows."""
        return self.space.decode(self.task if rows is None else self.task.rows(rows), p)


def check_space(
    space: Space, task: Task | None = None, *, expected_failures: Mapping[str, str] | None = None
) -> tuple[Verdict, ...]:
    """Check every law of a space.

    Args:
        space: The space.
        task: Samples, two or more; images of the linear world [6, 1, 8, 8] in float64 where left out.
        expected_failures: Laws that are known to break, each with the reason.

    Returns:
        One verdict a law.

    Raises:
        BatteryError: A law breaks, or holds though it was expected to break.
    """
    return judged(space, LAWS, _Case(space, defaults.task() if task is None else task), expected_failures)


def start_is_the_image(case: _Case) -> None:
    """The start decodes to the sample's image, or to the reconstruction that `prepare` computed."""
    image = case.task.image
    if image is None:
        raise Skipped("the task has no image")
    found = case.decode(case.points[0])
    like = {"the image": image, **{f"extra[{k!r}]": v for k, v in case.task.extra.items() if v.shape == image.shape}}
    gaps = {name: apart(found, wanted) for name, wanted in like.items()}
    near = min(gaps.values()) <= tolerance(image, found)
    need(near, ", ".join(f"{gap:.3g} off {name}" for name, gap in gaps.items()), "one of them")


def start_lays_rows_side_by_side(case: _Case) -> None:
    """`start(task, k)` gives n * k rows, the k of a sample side by side and its own."""
    k, n = 3, len(case.task)
    rows = case.space.start(case.task, k)
    need(len(rows) == n * k, f"{len(rows)} rows for {n} samples and k={k}", f"{n * k}")
    for i in range(n):
        alone = case.space.start(case.task.rows(torch.tensor([i])), k)
        need(same(_listed(rows[i * k : i * k + k]), _listed(alone)), f"other rows at {i * k}", f"those of sample {i}")


def images_in_range(case: _Case) -> None:
    """What the network is shown are images [R, C, H, W] in [0, 1], wherever the parameters lie."""
    domain = Domain(case.space, Unconstrained(), case.task, 1)
    for p in case.points:
        x = domain.decode(domain.project(p, domain.everyone), domain.everyone)
        shaped = x.ndim == 4 and len(x) == len(case.task) and x.is_floating_point()
        need(shaped, f"{x.dtype} {tuple(x.shape)}", f"floating-point images [{len(case.task)}, C, H, W]")
        inside = bool(((x >= 0) & (x <= 1)).all())
        need(inside, f"values from {float(x.min()):.3g} to {float(x.max()):.3g}", "values in [0, 1]")


def gradient_is_true(case: _Case) -> None:
    """Where the space gives gradients, they are those of its decoder."""
    if not reaches(case.space.gives, "grad"):
        raise Skipped(f"the space gives {case.space.gives!r}")
    for p in case.points[:2]:
        q = p.detach().clone().requires_grad_()
        with torch.enable_grad():
            x = case.decode(q)
            weights = defaults.noise(x, 7)
            (grad,) = torch.autograd.grad((x * weights).sum(), q)
        along = defaults.noise(p, 8)
        step = 1e-6 if p.dtype == torch.float64 else 1e-2
        with torch.no_grad():
            ahead, behind = case.decode(p + step * along), case.decode(p - step * along)
        rise = ((ahead - behind) * weights).flatten(1).sum(1) / (2 * step)
        told = (grad * along).flatten(1).sum(1)
        scale = 1 + float(rise.abs().amax())
        near = apart(rise, told) <= tolerance(p, x, fine=1e-5, coarse=0.05) * scale
        need(near, f"slopes {told.tolist()[:3]}", f"{rise.tolist()[:3]}, by differences")


def rows_are_independent(case: _Case) -> None:
    """Row i of the images depends on row i of the parameters alone."""
    n = len(case.task)
    backward = torch.arange(n - 1, -1, -1)
    for p in case.points:
        x = case.decode(p)
        flipped = case.decode(p[backward] if isinstance(p, Tensor) else p[::-1], backward)
        need(apart(x, flipped[backward]) <= tolerance(x), "other images in another order", "the same")
        for i in range(n):
            alone = case.decode(p[i : i + 1], torch.tensor([i]))
            gap = apart(x[i : i + 1], alone)
            need(gap <= tolerance(x), f"row {i} alone is {gap:.3g} off row {i} among {n}", "the same image")


def decoding_repeats(case: _Case) -> None:
    """Decoding twice gives the same images, bit for bit."""
    for p in case.points:
        need(same(case.decode(p), case.decode(p)), "other images the second time", "the same")


def nothing_is_written_to(case: _Case) -> None:
    """`prepare`, `start` and `decode` leave the samples and the parameters as they were."""
    before = cloned(parts_of(case.given))
    prepared = case.space.prepare(case.given)
    after, points = cloned(parts_of(prepared)), case.points
    kept = cloned(points)
    case.space.start(prepared, 2)
    for p in points:
        case.space.decode(prepared, p)
    need(same(parts_of(case.given), before), "samples that changed", "samples as they were given")
    need(same(parts_of(prepared), after), "prepared samples that changed", "prepared samples as they were")
    need(same(points, kept), "parameters that changed", "parameters as they were")


def children_are_their_keys(case: _Case) -> None:
    """Where the space evolves, children are one a parent, follow from their keys, and leave the parents alone."""
    parents, key = case.points[0], case.task.key
    kept = cloned(parents)
    try:
        children: P = case.space.vary(parents, key)
    except NotImplementedError:
        raise Skipped("the space does not evolve") from None
    need(len(children) == len(parents), f"{len(children)} children of {len(parents)} parents", "one each")
    need(same(parents, kept), "parents that changed", "parents as they were")
    need(
        same(_listed(children), _listed(case.space.vary(parents, key))), "other children of the same keys", "the same"
    )
    last = case.space.vary(parents[-1:], key[-1:])
    need(same(_listed(children[-1:]), _listed(last)), "another child of a parent alone", "the same as among others")


def _listed(p: P) -> Any:
    return p if isinstance(p, Tensor) else list(p)


LAWS: tuple[Law, ...] = (
    start_is_the_image,
    start_lays_rows_side_by_side,
    images_in_range,
    gradient_is_true,
    rows_are_independent,
    decoding_repeats,
    nothing_is_written_to,
    children_are_their_keys,
)
"""The laws of a space."""
