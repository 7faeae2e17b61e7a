"""Studies small enough to be stopped at every call, and an independent judge of what their files show."""

from dataclasses import replace

import torch

from amiss.bench.trust_disks import CountingDisk
from amiss.constraints import LatentNorm, Linf, Quantized, Unconstrained
from amiss.data import read_image
from amiss.objectives import Become, Confidence
from amiss.optimizers import Adam, Sign, Square
from amiss.probe import Budget, Probe
from amiss.spaces import Latent, Pixels
from amiss.study import Inputs, Saving, Study
from amiss.task import Task
from amiss.testing import LinearWorld
from tests.probes import optimizers as own
from tests.probes import worlds

EPS = 6 / 255


def world(n=4):
    return LinearWorld(n=n, side=4, crowd=0.15)


def on_file(task):
    """The task with images that a file can hold."""
    return replace(task, image=(task.image * 255).round() / 255)


def probe(kind="pgd", batch=2):
    inside = Linf(EPS) & Quantized(inward=True)
    if kind == "pgd":
        return Probe(Pixels(), Become(), inside, Sign(EPS / 3), budget=Budget(6), batch=batch)
    if kind == "lse":
        search = Adam(0.05, restarts=2, spread=0.5)
        space = Latent(world().codec)
        return Probe(space, Become(), LatentNorm(0.03) & Quantized(), search, "budget", Budget(6), batch=batch)
    if kind == "square":
        return Probe(Pixels(), Become(), inside, Square(EPS), budget=Budget(20, queries=15), batch=batch)
    search = own.MapElites(children=4)
    return Probe(
        worlds.Graphs(4), Confidence(0.6), Unconstrained() & Quantized(), search, "budget", Budget(queries=40)
    )


def study(folder, kind="pgd", **changes):
    """A study of a few turns in a few shards; its disk counts and does not flush."""
    inputs = Inputs.of_task(
        Task(torch.arange(2), target=torch.arange(2)) if kind == "elites" else on_file(world().task)
    )
    made = Study(
        folder,
        probe(kind),
        world().classifier(),
        inputs,
        frames=3 if kind == "lse" else 0,
        saving=Saving(turns=2),
        disk=CountingDisk(),
    )
    return replace(made, **changes)


def entries(study):
    return study.store.recover().entries


def shadows(study, met, eps=None):
    """Successes whose file, read by nobody's help, is not one: alone, in a batch, or outside eps."""
    shown = [entry for entry in entries(study).values() if entry.outcome.met]
    wrong = []
    for entry in shown:
        sample = entry.sample
        path = study.store.image_path(study.inputs.ids[sample], sample)
        seen = read_image(path).double()[None] / 255
        task = study.inputs.rows([sample])
        far = 0.0 if eps is None else float((seen - task.image.double()).abs().max()) - eps
        batch = torch.cat([seen, torch.rand(3, *seen.shape[1:], dtype=seen.dtype)])
        if far > 1e-6 or not met(seen, task)[0] or not met(batch, task)[0]:
            wrong.append(sample)
    return wrong
