"""Maps of what a classifier answers over a plane of latent codes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import Quantized, Unconstrained
from amiss.domain import Domain
from amiss.errors import ContractError, UsageError
from amiss.scope import untouched
from amiss.spaces import Latent
from amiss.spaces.latent import Codec
from amiss.task import Task

__all__ = ["ClassMap", "Extent", "Plane", "class_map", "differ", "plane_2d", "plane_through"]

Extent = tuple[tuple[float, float], tuple[float, float]]
"""The lowest and the highest x, the lowest and the highest y."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in the space of codes, with orthonormal axes.

    Attributes:
        origin: The code at (0, 0) [d].
        u: Direction of x [d], of length 1.
        v: Direction of y [d], of length 1, at a right angle to u.
    """

    origin: Tensor
    u: Tensor
    v: Tensor

    def codes(self, x: Tensor, y: Tensor) -> Tensor:
        """The codes [..., d] at places x [...] and y [...]; the one at (0, 0) is the origin bit for bit."""
        return self.origin + x[..., None] * self.u + y[..., None] * self.v

    def place(self, codes: Tensor) -> Tensor:
        """Places [..., 2] of codes [..., d]: those off the plane are projected onto it."""
        off = codes - self.origin
        return torch.stack([off @ self.u, off @ self.v], -1)


def plane_2d(like: Tensor | None = None) -> Plane:
    """The space of two-dimensional codes itself: the place of a code is the code.

    Args:
        like: A tensor of the type and on the device wanted; float32 on the CPU where left out.
    """
    like = torch.zeros(()) if like is None else like
    axes = torch.eye(2, dtype=like.dtype, device=like.device)
    return Plane(torch.zeros_like(axes[0]), axes[0], axes[1])


def plane_through(code: Tensor, solution: Tensor, runner_up: Tensor | None = None) -> Plane:
    """The plane through an image's code, its solution, and a second solution.

    The code lies at (0, 0), the solution on the positive half of the x axis, the runner-up at a y of 0 or more.
    Where the solution is the code, or the runner-up lies on the line through both, any direction at a right
    angle will do: it is made of the axis of the code space that is nearest to one.

    Args:
        code: z [d], d at least 2.
        solution: z + eps [d].
        runner_up: Another code [d], if there is one.

    Raises:
        ContractError: Codes of one dimension span no plane.
    """
    if code.ndim != 1 or len(code) < 2:
        raise ContractError(
            "There is no plane through codes of one dimension.",
            slug="atlas-plane",
            seen=f"a code of shape {tuple(code.shape)}",
            needed="a code [d], d at least 2",
            hint="Draw maps for decoders of two dimensions or more.",
        )
    none = torch.zeros_like(code)
    u = _unit(solution - code, none, none)
    v = _unit(none if runner_up is None else runner_up - code, u, solution - code)
    return Plane(code, u, v)


def _unit(toward: Tensor, against: Tensor, scale: Tensor) -> Tensor:
    """The direction of `toward` at a right angle to `against` [d, of length 1 or 0], or of an axis instead."""
    rest = toward - (toward @ against) * against
    rest = rest - (rest @ against) * against  # once more, for what rounding left
    least = 1e3 * torch.finfo(toward.dtype).eps * max(float(toward.norm()), float(scale.norm()))
    if float(rest.norm()) > least:
        return rest / rest.norm()
    axis = torch.zeros_like(toward)
    axis[int(against.abs().argmin())] = 1
    rest = axis - (axis @ against) * against
    return rest / rest.norm()


@dataclass(frozen=True, eq=False)
class ClassMap:
    """What a classifier answers at the nodes of a grid; the first row is the lowest y, the first column the lowest x.

    Attributes:
        labels: The class at each node [n, n], int64.
        probability: Its softmax probability [n, n], in [0, 1].
        x: Lowest and highest x; the nodes lie evenly between, both ends included.
        y: Lowest and highest y.
    """

    labels: Tensor
    probability: Tensor
    x: tuple[float, float]
    y: tuple[float, float]

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that occur, in order."""
        return tuple(self.labels.unique().tolist())

    def share(self, label: int) -> float:
        """Share of the nodes that bear a label, in [0, 1]."""
        return float((self.labels == label).double().mean())

    def at(self, x: float, y: float) -> int:
        """The label of the node nearest to a place; places outside have that of the nearest on the border."""
        steps = len(self.labels) - 1
        column, row = (
            min(max(round((value - low) / (high - low) * steps), 0), steps)
            for value, (low, high) in ((x, self.x), (y, self.y))
        )
        return int(self.labels[row, column])


def differ(a: ClassMap, b: ClassMap) -> float:
    """Share of the nodes at which two maps of one grid name different classes, in [0, 1].

    Raises:
        UsageError: The maps have different grids.
    """
    if (a.x, a.y, a.labels.shape) != (b.x, b.y, b.labels.shape):
        raise UsageError(
            "Maps of different grids cannot be compared node by node.",
            slug="atlas-grids",
            seen=f"{a.x} x {a.y} at {len(a.labels)}, {b.x} x {b.y} at {len(b.labels)}",
            needed="the same extent and the same number of nodes",
            hint="Make both maps with one plane, one extent and one n.",
        )
    return float((a.labels != b.labels).double().mean())


@torch.no_grad()
def class_map(
    classifier: Classifier,
    decoder: Codec,
    image: Tensor,
    z: Tensor,
    plane: Plane,
    extent: Extent = ((-4.0, 4.0), (-4.0, 4.0)),
    n: int = 61,
    *,
    residual: bool = True,
    batch: int = 256,
    levels: int | None = 256,
) -> ClassMap:
    """The class of c(x') or of c(g(z)) at each node of a grid over a plane of codes.

    Args:
        classifier: Who is asked.
        decoder: Encoder and decoder g.
        image: The image x [C, H, W] in [0, 1] whose change is mapped.
        z: Its code [d].
        plane: Which plane of codes.
        extent: From where to where on it.
        n: Nodes along a side, 2 or more.
        residual: x' = clip(x + g(code) - g(z)), which at the code z is x bit for bit; False maps g(code) itself,
            which does not depend on the image.
        batch: Nodes a pass.
        levels: Gray levels that the classifier is shown, as in the repairs; None leaves images unrounded.

    Raises:
        UsageError: Fewer than two nodes along a side, or an extent that is empty.

    References:
        Zoetmulder et al. (2018), latent sympathetic examples, figures 2 and 3.
    """
    (left, right), (low, high) = extent
    if n < 2 or not (left < right and low < high):
        raise UsageError(
            "There is nothing to map.",
            slug="atlas-extent",
            seen=f"n={n}, extent={extent}",
            needed="two nodes or more along a side, and a lowest below a highest value for x and for y",
            hint="class_map(..., extent=((-4, 4), (-4, 4)), n=61)",
        )
    along = torch.linspace(0, 1, n, dtype=z.dtype, device=z.device)
    y, x = torch.meshgrid(low + along * (high - low), left + along * (right - left), indexing="ij")
    eps = plane.codes(x, y).reshape(n * n, -1) - z
    domain = _domain(decoder, image, z, residual, levels)
    labels, sure = [], []
    for part in eps.split(batch):
        owner = torch.zeros(len(part), dtype=torch.int64, device=z.device)
        best = classifier.outputs(domain.decode(part, owner))["answer"].softmax(1).max(1)
        labels.append(best.indices)
        sure.append(best.values)
    square = [torch.cat(parts).reshape(n, n).cpu() for parts in (labels, sure)]
    return ClassMap(square[0], square[1], extent[0], extent[1])


def _domain(decoder: Codec, image: Tensor, z: Tensor, residual: bool, levels: int | None) -> Domain:
    """Where changes of one image's code are decoded, exactly as a search does it."""
    with untouched(decoder):
        gz = decoder.decode(z[None])
    key = torch.zeros(1, dtype=torch.int64, device=z.device)
    task = Task(key, image[None].to(z.device), extra={"z": z[None], "gz": gz})
    return Domain(Latent(decoder, residual), Unconstrained() if levels is None else Quantized(levels), task, 0)
