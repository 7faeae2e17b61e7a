"""The `Domain` of a search: space and constraint as one, with the samples, handed to the optimizer."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from amiss.constraints import Bounds, Constraint
from amiss.errors import ContractError
from amiss.repro import fold, normal
from amiss.spaces.space import Space
from amiss.task import P, State, Task

__all__ = ["Domain", "refuse_mismatch"]


@dataclass(frozen=True)
class Domain:
    """Where an optimizer moves. It never calls the network.

    Attributes:
        space: How parameters become images.
        constraint: Which set, how small.
        task: The samples, prepared; their keys already folded with the seed.
        steps: Updates that the budget allows: what a schedule may rely on.
        best: The standing best: p, met [n], size [n], loss [n].
        everyone: Owners 0 .. n-1, one row a sample. Asking with this very tensor spares the indexing.
    """

    space: Space
    constraint: Constraint
    task: Task
    steps: int
    best: State = field(default_factory=dict)
    everyone: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __post_init__(self) -> None:
        if len(self.everyone) != len(self.task):
            everyone = torch.arange(len(self.task), device=self.task.key.device)
            object.__setattr__(self, "everyone", everyone)

    def rows(self, owner: Tensor) -> Task:
        """The samples of the rows."""
        return self.task if owner is self.everyone else self.task.rows(owner)

    def start(self, k: int = 1) -> P:
        """Where the search starts, n * k rows."""
        return self.space.start(self.task, k)

    def decode(self, p: Any, owner: Tensor) -> Tensor:
        """Images [R, C, H, W] in [0, 1], as the network is to see them."""
        task = self.rows(owner)
        x = self.space.decode(task, p)
        if not self.space.images:  # else projected as parameters already; a second time would bend the gradient
            x = self._images(x, task)
        for part in self.constraint.parts:
            x = part.shown(x, task)
        return x

    def project(self, p: Any, owner: Tensor) -> Any:
        """Parameters moved into the set."""
        task = self.rows(owner)
        for part in self.constraint.parts:
            if part.binds == "parameters":
                p = part.project(p, task)
        return self._images(p, task) if self.space.images else p

    def bounds(self, owner: Tensor) -> Bounds | None:
        """Lowest and highest parameters [R, ...], where they are images; None for codes and genomes."""
        if not self.space.images:
            return None
        task = self.rows(owner)
        start = self.space.start(task)
        assert isinstance(start, Tensor)  # noqa: S101 - images are tensors
        low, high = torch.zeros_like(start), torch.ones_like(start)
        for part in self.constraint.parts:
            if (box := part.bounds(task)) is not None:
                low, high = torch.maximum(low, box[0]), torch.minimum(high, box[1])
        return low, high

    def size(self, p: Any, x: Tensor, owner: Tensor) -> Tensor:
        """Size of the change [R], by the first part that measures one."""
        for part in self.constraint.parts:
            if part.measures:
                return part.size(p if part.binds == "parameters" else x, self.rows(owner))
        return x.new_zeros(len(x))

    def penalty(self, p: Any, x: Tensor, owner: Tensor) -> Tensor:
        """Sum of the parts' penalties [R]."""
        total = x.new_zeros(len(x))
        for part in self.constraint.parts:
            if part.soft:
                total = total + part.penalty(p if part.binds == "parameters" else x, self.rows(owner))
        return total

    def weight(self, owner: Tensor) -> Tensor | None:
        """Penalty factor 1 for each row where the constraint is soft, else None."""
        soft = any(part.soft for part in self.constraint.parts)
        return torch.ones(len(owner), device=owner.device) if soft else None

    def metric(self, p: Tensor, owner: Tensor) -> Tensor:
        """The pull-back metric J^T J of the decoder at the rows' parameters [R, d, d], without the network.

        References:
            Arvanitidis, Hansen and Hauberg (2018), latent space oddity, eq. 3.
        """
        task = self.rows(owner)

        with torch.enable_grad():
            q = p.detach().requires_grad_()
            drawn = self.space.decode(task, q).flatten(1)
            weights = torch.zeros_like(drawn, requires_grad=True)
            # J^T u is linear in u, so its gradient along e_i is the column J e_i: rows do not mix.
            (pulled,) = torch.autograd.grad(drawn, q, weights, create_graph=True)
            units = torch.eye(p.shape[1], dtype=p.dtype, device=p.device)
            columns = [
                torch.autograd.grad(pulled, weights, unit.expand_as(pulled), retain_graph=True)[0] for unit in units
            ]
        jacobian = torch.stack(columns, 2)
        return jacobian.mT @ jacobian

    def noise(self, owner: Tensor, turn: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Standard normal numbers [R, *shape] of (sample, turn, how manieth row of its sample)."""
        keys = fold(fold(self.task.key[owner.clamp_min(0)], turn), _place(owner))
        return normal(keys, shape, dtype)

    def vary(self, parents: Any, turn: int) -> P:
        """Children of the parents, one each, of the generation `turn`."""
        place = torch.arange(len(parents), device=self.task.key.device)
        return self.space.vary(parents, fold(fold(self.task.key[:1], turn), place), turn)

    def cross(self, parents: Any, mates: Any, turn: int) -> P:
        """What children of two parents begin as; rows 2i and 2i + 1 are a pair, each other's mates."""
        pair = torch.arange(len(parents), device=self.task.key.device) // 2
        return self.space.cross(parents, mates, fold(fold(fold(self.task.key[:1], turn), -1), pair), turn)

    def _images(self, x: Tensor, task: Task) -> Tensor:
        for part in self.constraint.parts:
            if part.binds == "images":
                x = part.project(x, task)
        return x.clamp(0, 1)


def _place(owner: Tensor) -> Tensor:
    """For each row, how many rows before it have the same owner: 0, 1, ... within a sample."""
    order = owner.argsort(stable=True)
    ordered = owner[order]
    position = torch.arange(len(owner), device=owner.device)
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    first = torch.where(fresh, position, torch.zeros_like(position)).cummax(0).values
    place = torch.empty_like(position)
    place[order] = position - first
    return place


def refuse_mismatch(space: Space, constraint: Constraint) -> None:
    """Refuse a constraint on latent parameters in a space that has none.

    Raises:
        ContractError: It has none.
    """
    for part in constraint.parts:
        if part.binds == "parameters" and space.images:
            raise ContractError(
                f"{type(part).__name__} binds latent parameters, and {type(space).__name__} has none.",
                slug="contract-binds",
                hint="Use Linf, L2 or L1 with Pixels, LatentNorm with Latent.",
            )
