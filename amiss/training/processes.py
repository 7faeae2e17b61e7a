"""Several processes train one model: each takes its rows of every batch, and their gradients are summed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from amiss.errors import UsageError

__all__ = ["MEETING", "Ranks", "joined", "rank_here"]

MEETING = "AMISS_MEETING"
"""Environment variable: the file by which processes of one machine find each other, instead of a port."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is. Every method but `part` must be called by all of them.

    Attributes:
        rank: From 0; the first writes files and speaks.
        world: How many there are; with 1 nothing is sent, and nothing is changed.
        device: Where numbers are sent from; None is the CPU.
    """

    rank: int = 0
    world: int = 1
    device: torch.device | None = None

    @classmethod
    def here(cls, device: torch.device) -> "Ranks":
        """The place of this process in the group that it has joined; alone where it joined none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size(), device)

    def part(self, rows: int) -> slice:
        """The rows of a batch that are this process's own."""
        return slice(self.rank * rows // self.world, (self.rank + 1) * rows // self.world)

    def refuse_unshared(self, rows: int, seconds: float | None) -> None:
        """Refuse work that several processes cannot share.

        Args:
            rows: Of a batch.
            seconds: A clock that ends the run, or None.

        Raises:
            UsageError: There are fewer rows than processes, or there is a clock.
        """
        if self.world > 1 and (seconds or rows < self.world):
            raise UsageError(
                "These processes cannot share the training.",
                slug="training-processes",
                seen=f"{self.world} processes, {rows} rows a step"
                + (f", a clock of {seconds:g} s" if seconds else ""),
                needed="a row a step for each process, and no clock: each would read another time",
                hint="Take fewer processes or a larger batch, and bound the run by epochs or steps.",
            )

    def agree(self, step: int) -> None:
        """Refuse to begin where processes are at different steps.

        Raises:
            UsageError: They are.
        """
        steps, squares = self.total(step, step**2)
        if squares * self.world != steps**2:
            raise UsageError(
                "The processes do not begin at the same step.",
                slug="training-processes",
                seen=f"step {step} in one of {self.world} processes, another one elsewhere",
                needed="one folder that all of them see",
                why="machines without a common disk",
                hint="Name a folder on a common disk, or copy the state to every machine.",
            )

    def total(self, *numbers: float) -> tuple[float, ...]:
        """Each number summed over the processes: the same for all of them."""
        if self.world == 1:
            return numbers
        sent = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(sent)
        return tuple(sent.tolist())

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients over the processes, in place; one that no process has stays none."""
        if self.world == 1 or not parameters:
            return
        have = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=self.device)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        sent = torch.cat([have, *(part.flatten().to(have) for part in parts)])
        dist.all_reduce(sent)
        sums = sent.split([len(parameters), *(p.numel() for p in parameters)])
        for p, there, part in zip(parameters, sums[0].tolist(), sums[1:], strict=True):
            if there:
                p.grad = torch.empty_like(p).copy_(part.view(p.shape))

    def mean_statistics(self, model: nn.Module) -> None:
        """Average the running statistics of batch norms, which each process has from its own rows."""
        if self.world == 1:
            return
        norms = [m for m in model.modules() if isinstance(m, _NormBase)]
        running: list[Tensor] = [t for m in norms for t in (m.running_mean, m.running_var) if t is not None]
        if not running:
            return
        sent = torch.cat([t.flatten() for t in running]).to(self.device)
        dist.all_reduce(sent)
        for t, part in zip(running, (sent / self.world).split([t.numel() for t in running]), strict=True):
            t.copy_(part.view(t.shape))


@contextmanager
def joined(device: str = "cpu") -> Iterator[str]:
    """Join the group that the environment names, as torchrun writes it; alone where it names none.

    Args:
        device: Where this process computes. "cuda" becomes the accelerator of its own number.

    Yields:
        The device.

    Raises:
        UsageError: The environment names no such place.
    """
    rank, world = rank_here()
    if world == 1:
        yield device
        return
    own = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", world))
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', rank)}" if own else "cuda:0"
    meeting = os.environ.get(MEETING)
    backend = "nccl" if device.startswith("cuda") and own else "gloo"
    dist.init_process_group(backend, f"file://{meeting}" if meeting else "env://", rank=rank, world_size=world)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank_here() -> tuple[int, int]:
    """The rank of this process and how many there are, by the environment: (0, 1) where it says nothing.

    Raises:
        UsageError: They are no numbers, or the rank is none of them.
    """
    said = {name: os.environ.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))}
    try:
        rank, world = int(said["RANK"]), int(said["WORLD_SIZE"])
    except ValueError:
        rank, world = 0, 0
    if not 0 <= rank < world:
        raise UsageError(
            "The environment names no place in a group of processes.",
            slug="training-processes",
            seen=", ".join(f"{name}={value}" for name, value in said.items()),
            needed="RANK from 0 to WORLD_SIZE - 1",
            why="left over from another program",
            hint="Unset both, or start with --processes N or torchrun.",
        )
    return rank, world
