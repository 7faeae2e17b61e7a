"""Small studies with known answers, to be stopped in every way there is."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.constraints import L2, Linf, Quantized
from amiss.disk import Disk
from amiss.domain import Domain
from amiss.errors import AmissError
from amiss.objectives import Become
from amiss.optimizers import Momentum, Optimizer, Sign
from amiss.probe import Budget, Probe
from amiss.recipes import lse, pgd, square
from amiss.spaces import Pixels
from amiss.study import Inputs, Saving, Study
from amiss.study.sameness import run_digest
from amiss.task import Answer, Query, State
from amiss.testing import LinearWorld

__all__ = ["KINDS", "Kind", "lost", "rotten", "same"]


class Kind(Protocol):
    """A study in a folder: of a seed, on a disk."""

    def __call__(self, folder: Path, seed: int = 0, disk: Disk | None = None) -> Study:
        """The study, not yet begun."""
        ...


def same(study: Study, reference: str) -> bool:
    """Whether a finished study came to what another one did, whose digest is given."""
    try:
        return run_digest(study.store) == reference
    except AmissError:
        return False


def lost(study: Study) -> int:
    """Samples of a finished study that are missing, or there twice: by its ledger and by its table."""
    entries = study.store.recover().entries
    with (study.store.folder / "results.csv").open() as table:
        rows = sum(1 for _ in table) - 1
    n, unreadable = len(study.inputs), len(study.inputs.unreadable)
    return len(set(range(n)) ^ set(entries)) + abs(rows - n - unreadable)


def _world(seed: int, n: int) -> LinearWorld:
    return LinearWorld(n=n, side=6, crowd=0.15, seed=seed)


def _study(
    make: Callable[[LinearWorld, dict[str, Any]], tuple[Probe, int]],
    folder: Path,
    seed: int = 0,
    disk: Disk | None = None,
) -> Study:
    world = _world(seed, 7)
    image = world.task.image
    assert image is not None  # noqa: S101
    task = replace(world.task, image=(image * 255).round() / 255)  # what a file can hold
    options: dict[str, Any] = {"seed": seed, "batch": 3}
    probe, frames = make(world, options)
    return Study(
        folder, probe, world.classifier(), Inputs.of_task(task), frames, saving=Saving(turns=4), disk=disk or Disk()
    )


def _pgd(_: LinearWorld, options: dict[str, Any]) -> tuple[Probe, int]:
    return pgd(6 / 255, 8, target="task", **options), 0


def _lse(world: LinearWorld, options: dict[str, Any]) -> tuple[Probe, int]:
    return lse(world.codec, lr=0.05, steps=8, until="budget", **options), 3


def _square(_: LinearWorld, options: dict[str, Any]) -> tuple[Probe, int]:
    return square(6 / 255, 16, target="task", **options), 0


KINDS: dict[str, Kind] = {
    "pgd": partial(_study, _pgd),
    "lse": partial(_study, _lse),
    "square": partial(_study, _square),
}
"""A gradient search in batches, a latent search that keeps its paths, and a search by queries under a budget."""


class _Runaway(Optimizer):
    """Steps by the sign of the gradient, and projects nothing."""

    def __init__(self, step: float) -> None:
        self.step = step

    def init(self, domain: Domain, warm: State | None = None) -> State:
        return {"p": domain.start()}

    def ask(self, state: State, domain: Domain) -> Query:
        return Query(state["p"], domain.everyone)

    def tell(self, state: State, domain: Domain, query: Query, answer: Answer) -> State:
        assert isinstance(query.p, Tensor) and answer.grad is not None  # noqa: S101, PT018
        return {"p": query.p - self.step * answer.grad.sign()}


class _Crowded(nn.Module):
    """Favors class 0 in a batch of more than two images, and class 1 in a smaller one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        logits = self.inner(x)
        lean = logits.new_tensor([0.4, -0.4])
        return logits + (lean if len(x) > 2 else -lean)


def rotten(place: Path, seed: int) -> dict[str, Study]:
    """Studies that would show false successes, were their searches believed; none is begun yet."""
    world, plain = _world(seed, 60), Linf(6.3 / 255)
    network: Any = world.classifier().network
    inside, sign = Linf(6 / 255) & Quantized(inward=True), Sign(2 / 255)
    small = Probe(Pixels(), Become(margin=0.0), L2(), Momentum(0.002, 0.0, "l2"), budget=Budget(300), seed=seed)
    honest = Probe(Pixels(), Become(), inside, sign, budget=Budget(8), seed=seed)
    probes = {
        "lost in eight bits": small,
        "rounded out of the ball": replace(honest, constraint=plain),
        "never projected": replace(honest, optimizer=_Runaway(2 / 255)),
        "true beside others alone": honest,
    }
    image = world.task.image
    assert image is not None  # noqa: S101
    inputs = Inputs.of_task(replace(world.task, image=(image * 255).round() / 255))
    asked = {name: Classifier(_Crowded(network) if name.startswith("true") else network) for name in probes}
    return {name: Study(place / name, probe, asked[name], inputs) for name, probe in probes.items()}
