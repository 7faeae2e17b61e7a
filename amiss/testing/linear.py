"""The linear world: a linear classifier, a linear decoder, and a formula for every optimum."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.repro import fold, normal
from amiss.task import Task

__all__ = ["LinearCodec", "LinearWorld"]


@dataclass(frozen=True)
class LinearCodec:
    """The orthonormal linear decoder g(z) = 1/2 + B z, and its transpose as encoder.

    Attributes:
        basis: B [pixels, d], orthonormal columns.
        shape: Shape (C, H, W) of an image.
    """

    basis: Tensor
    shape: tuple[int, int, int]

    def encode(self, x: Tensor) -> Tensor:
        """B^T (x - 1/2)."""
        return (x.flatten(1) - 0.5) @ self.basis

    def decode(self, z: Tensor) -> Tensor:
        """1/2 + B z."""
        return (0.5 + z @ self.basis.mT).reshape(-1, *self.shape)


@dataclass(frozen=True)
class LinearWorld:
    """A linear classifier, a linear decoder, and images that it gets wrong; every optimum has a formula.

    Logits are W (x - 1/2). Images lie around 1/2, so that the box [0, 1] does not bind unless `crowd` moves
    them toward its walls.

    Attributes:
        n: Images.
        side: Pixels along one side.
        classes: Logits.
        latent: Dimensions of the code.
        seed: Of everything drawn.
        crowd: Standard deviation of the pixels; above 0.2 the walls of the box are near.
        dtype: Floating type.
    """

    n: int = 100
    side: int = 8
    classes: int = 2
    latent: int = 6
    seed: int = 0
    crowd: float = 0.05
    dtype: torch.dtype = torch.float64

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image."""
        return (1, self.side, self.side)

    @cached_property
    def weight(self) -> Tensor:
        """W [classes, pixels]."""
        return self._normal(1, (self.classes, self.side**2))

    @cached_property
    def codec(self) -> LinearCodec:
        """The decoder, its basis drawn at random."""
        basis, _ = torch.linalg.qr(self._normal(2, (self.side**2, self.latent)))
        return LinearCodec(basis, self.shape)

    @cached_property
    def task(self) -> Task:
        """Images with the runner-up of their answer as label and target: all are wrong."""
        image = (0.5 + self.crowd * self._normal(3, (self.n, *self.shape))).clamp(0, 1)
        order = self.logits(image).argsort(1, descending=True)
        return Task(torch.arange(self.n), image, label=order[:, 1], target=order[:, 1])

    def classifier(self, **options: object) -> Classifier:
        """The network as a classifier, with a layer called "linear"."""
        linear = nn.Linear(self.side**2, self.classes, dtype=self.dtype)
        with torch.no_grad():
            linear.weight.copy_(self.weight)
            linear.bias.copy_(-0.5 * self.weight.sum(1))
        network = nn.Sequential()
        network.add_module("flatten", nn.Flatten())
        network.add_module("linear", linear)
        return Classifier(network, **options)  # type: ignore[arg-type]

    def logits(self, x: Tensor) -> Tensor:
        """W (x - 1/2) [N, classes]."""
        return (x.flatten(1) - 0.5) @ self.weight.mT

    def slope(self, of: Tensor, against: Tensor) -> Tensor:
        """Gradient [N, pixels] of logit `of` minus logit `against`."""
        return self.weight[of] - self.weight[against]

    def deficit(self, margin: float) -> tuple[Tensor, Tensor]:
        """For two classes: what each image lacks to be its target's by the margin [n], and the slope [n, pixels]."""
        target = self.task.target
        assert target is not None and self.task.image is not None  # noqa: S101, PT018
        slope = self.slope(target, 1 - target)
        return margin - (slope * (self.task.image.flatten(1) - 0.5)).sum(1), slope

    def latent_optimum(self, margin: float) -> Tensor:
        """Length of the smallest change of the code [n]: deficit / ||B^T w||."""
        deficit, slope = self.deficit(margin)
        return deficit / (slope @ self.codec.basis).norm(dim=1)

    def l2_optimum(self, margin: float) -> Tensor:
        """Length of the smallest change of the pixels inside [0, 1] [n], by bisection on d = clip(t w)."""
        deficit, slope = self.deficit(margin)
        assert self.task.image is not None  # noqa: S101
        image = self.task.image.flatten(1)
        low, high = torch.zeros(self.n, 1, dtype=self.dtype), torch.full((self.n, 1), 1e3, dtype=self.dtype)
        for _ in range(200):
            middle = (low + high) / 2
            change = (image + middle * slope).clamp(0, 1) - image
            short = ((slope * change).sum(1) < deficit)[:, None]
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        return ((image + high * slope).clamp(0, 1) - image).norm(dim=1)

    def reach(self, eps: float) -> Tensor:
        """The most that a change of every pixel by at most eps, inside [0, 1], adds to the target's margin [n]."""
        _, slope = self.deficit(0.0)
        assert self.task.image is not None  # noqa: S101
        image = self.task.image.flatten(1)
        best = torch.where(slope > 0, (image + eps).clamp(max=1), (image - eps).clamp(min=0))
        return (slope * (best - image)).sum(1)

    def feasible(self, eps: float, margin: float) -> Tensor:
        """Which images can become their target's by the margin, within eps in L_inf [n]."""
        return self.reach(eps) >= self.deficit(margin)[0]

    def _normal(self, stream: int, shape: tuple[int, ...]) -> Tensor:
        key = fold(torch.tensor([self.seed]), stream)
        return normal(key, shape, self.dtype)[0]
