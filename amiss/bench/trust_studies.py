"""Small studies with known answers, to be stopped in every way there is."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from amiss.disk import Disk
from amiss.errors import AmissError
from amiss.probe import Probe
from amiss.recipes import lse, pgd, square
from amiss.study import Inputs, Saving, Study
from amiss.study.sameness import run_digest
from amiss.testing import LinearWorld

__all__ = ["KINDS", "Kind", "lost", "same"]


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
