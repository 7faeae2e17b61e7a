"""What models of data agree on: a `Density` scores and draws, and a `LatentVariable` has codes."""

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Bound", "Density", "Implicit", "LatentVariable"]

Bound = Literal["exact", "lower", "none"]
"""What `Density.log_prob` is: the log probability, a lower bound on it, or nothing that can be asked."""


@runtime_checkable
class Density(Protocol):
    """A model that draws data and, but for `bound = "none"`, scores it."""

    bound: Bound

    def log_prob(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Log probability of rows `x` given `c`, or a bound on it: [N], nats."""
        ...

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`n` draws; where `mask` is true they agree with `given` (completion, continuation)."""
        ...


@runtime_checkable
class Implicit(Protocol):
    """A model that draws data and cannot score it: its `bound` is "none"."""

    bound: Bound

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """`n` draws."""
        ...


@runtime_checkable
class LatentVariable(Density, Protocol):
    """A density with codes: what a search for latent examples walks on."""

    latent: int

    def encode(self, x: Tensor) -> Tensor:
        """The code of each row: [N, latent]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """The image of each code: [N, C, H, W] in [0, 1]."""
        ...

    def prior(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
        """`n` codes drawn from the prior [n, latent]."""
        ...
