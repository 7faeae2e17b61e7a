"""The ring: a code of two numbers, a class that is a ring around the origin, and a trap for who follows slopes."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.repro import fold, uniform
from amiss.task import Task
from amiss.testing.linear import LinearCodec

__all__ = ["RingWorld"]

_ROOM = 0.1  # between the images and the ring, in code units


@dataclass(frozen=True)
class RingWorld:
    """Images are planes of light, tilted by a code z of two numbers; class 1 is the ring | |z| - radius | < half.

    The logit of class 1 over class 0 is h(z) = half - | |z| - radius |, so the nearest point of the other class lies
    straight inward or outward. The images, half inside the ring and half outside it, are all of class 0 and want to
    be of class 1. With a `decoy` the logit is max(h(z), -decoy - |z|): a false summit at the origin, which is below
    the boundary by `decoy`, and to which every slope near it leads.

    Attributes:
        n: Images.
        side: Pixels along one side.
        radius: Of the middle of the ring, in code units.
        half: Half of its width, in code units.
        decoy: How far below the boundary the false summit lies, in logits; None for no summit.
        seed: Of the codes.
        dtype: Floating type.
    """

    n: int = 40
    side: int = 8
    radius: float = 1.0
    half: float = 0.2
    decoy: float | None = None
    seed: int = 0
    dtype: torch.dtype = torch.float64

    @cached_property
    def codec(self) -> LinearCodec:
        """The decoder: light that rises along a row by z_0 and down a column by z_1, both of unit length."""
        axis = torch.linspace(-1, 1, self.side, dtype=self.dtype)
        planes = torch.stack([axis.expand(self.side, -1).flatten(), axis[:, None].expand(-1, self.side).flatten()], 1)
        return LinearCodec(planes / planes.norm(dim=0), (1, self.side, self.side))

    @cached_property
    def codes(self) -> Tensor:
        """The images' codes [n, 2], in turn inside and outside the ring."""
        place = uniform(fold(torch.tensor([self.seed]), 1), (2, self.n), self.dtype)[0]
        inner, outer = self.radius - self.half - _ROOM, self.radius + self.half + _ROOM
        inside = torch.arange(self.n) % 2 == 0
        length = torch.where(inside, _ROOM + (inner - _ROOM) * place[0], outer + 0.4 * place[0])
        angle = 2 * math.pi * place[1]
        return length[:, None] * torch.stack([angle.cos(), angle.sin()], 1)

    @cached_property
    def task(self) -> Task:
        """The images, with class 1 as label and target: all are wrong."""
        wanted = torch.ones(self.n, dtype=torch.int64)
        return Task(torch.arange(self.n), self.codec.decode(self.codes), label=wanted, target=wanted)

    @property
    def trapped(self) -> Tensor:
        """From which images every slope leads to the false summit [n]."""
        if self.decoy is None:
            return torch.zeros(self.n, dtype=torch.bool)
        return self.codes.norm(dim=1) < (self.radius - self.half - self.decoy) / 2

    def classifier(self, **options: object) -> Classifier:
        """The network as a classifier: logits (0, h) of the code that an image has."""
        return Classifier(_Ring(self), **options)  # type: ignore[arg-type]

    def lead(self, z: Tensor) -> Tensor:
        """Logit of class 1 over class 0 [N], of codes [N, 2]."""
        length = z.norm(dim=1)
        ring = self.half - (length - self.radius).abs()
        return ring if self.decoy is None else torch.maximum(ring, -self.decoy - length)

    def nearest(self, margin: float = 0.0) -> Tensor:
        """The nearest codes that are of class 1 by the margin [n, 2]; the margin is at most `half`."""
        length = self.codes.norm(dim=1, keepdim=True)
        reach = self.half - margin
        return self.codes * length.clamp(self.radius - reach, self.radius + reach) / length

    def latent_optimum(self, margin: float = 0.0) -> Tensor:
        """Length of the smallest change of the code [n]; of the pixels too, for the decoder keeps lengths."""
        return (self.nearest(margin) - self.codes).norm(dim=1)


class _Ring(nn.Module):
    """Logits (0, lead) of the code of an image."""

    def __init__(self, world: RingWorld) -> None:
        super().__init__()
        self.world = world
        self.basis = nn.Parameter(world.codec.basis.clone())

    def forward(self, x: Tensor) -> Tensor:
        lead = self.world.lead((x.flatten(1) - 0.5) @ self.basis)
        return torch.stack([torch.zeros_like(lead), lead], 1)
