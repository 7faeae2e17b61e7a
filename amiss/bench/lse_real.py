"""Findings on real images: a planted color or patch is found first, and nothing is claimed where none is planted."""

from typing import Any

import torch
from torch import Tensor

from amiss.analysis.findings import Settings, find
from amiss.bench.bench import Run, Skip
from amiss.bench.real_plants import REAL, RealWorld, train_models
from amiss.data import Images
from amiss.trust import decoder_gate

__all__ = ["real_cifar", "real_mnist", "shape_of"]

RHO = 0.95


def real_mnist(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MNIST by stroke color and by a corner patch, each planted and not; and thumbnails, where none is planted."""
    if run.quick:
        raise Skip("it trains networks for minutes")
    told = {name: _both(run, name) for name in ("mnist-color", "mnist-patch")}
    # A good network without a plant makes too few mistakes to find anything in, truly or falsely; this one errs.
    free = [one["free"] for one in told.values()] + [_one(run, "mnist-thumbnails", 0.0)]
    figures = {
        "real_plants_found": float(all(one["planted"]["found_first"] for one in told.values())),
        "real_false_findings": float(sum(len(one["claims"]) for one in free)),
        "real_free_directions_tested": float(sum(len(one.get("tested", [])) for one in free)),
    }
    return figures, {**told, "mnist-thumbnails": {"free": free[-1]}}


def real_cifar(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Two classes of CIFAR-10 by a corner patch, where the decoder passes its gate; else what refuses it."""
    if run.quick:
        raise Skip("it trains networks for minutes")
    told = _both(run, "cifar-patch")
    passed = told["planted"]["gate"]["passed"] and told["free"]["gate"]["passed"]
    figures = {"cifar_decoder_passed": float(passed)}
    if passed:
        figures["cifar_plant_found"] = float(told["planted"]["found_first"])
        figures["cifar_false_findings"] = float(len(told["free"]["claims"]))
    return figures, told


def _both(run: Run, name: str) -> dict[str, Any]:
    return {kind: _one(run, name, rho) for kind, rho in (("planted", RHO), ("free", 0.0))}


def _one(run: Run, name: str, rho: float) -> dict[str, Any]:
    make, place = REAL[name]
    return _told(make(run.seed, rho, run.data(*place)), run)


def _told(world: RealWorld, run: Run) -> dict[str, Any]:
    torch.set_num_threads(1)
    classifier, decoder = train_models(world, run.place)
    asked = world.test.images()
    asked.table.update(shape_of(world.test.clean))
    gate = decoder_gate(classifier, decoder, asked.images(torch.arange(0, len(asked), max(1, len(asked) // 2000))))
    told: dict[str, Any] = {
        "gate": {"passed": gate.passed, "explained": gate.explained, "agreement": gate.agreement, "says": str(gate)},
        "claims": [],
        "found_first": False,
    }
    if not gate.passed:
        return told
    found = find(classifier, decoder, asked, settings=Settings(seed=run.seed))
    names = [finding.name for finding in found.claims]
    return {
        **told,
        "claims": names,
        "found_first": names[:1] == [world.plant],
        "tested": [
            {
                "kind": [asked.classes[finding.true], asked.classes[finding.predicted]],
                "mistakes": len(finding.mistakes),
                "verdict": finding.verdict,
                "name": finding.name,
                "names": [[one.name, one.difference, one.cosine] for one in finding.names[:3]],
                "wald": finding.wald,
                "root": finding.root,
                "breaks": [finding.effects[-1].breaks.low, finding.effects[-1].breaks.value],
                "seen": finding.seen.value,
            }
            for finding in found.tested
        ],
    }


def shape_of(images: Images) -> dict[str, Tensor]:
    """What else tells one image from another, so that the plant's name has rivals.

    Args:
        images: Without the plant.

    Returns:
        [n] each: brightness, contrast, and the height, the width and the slant of what is bright.
    """
    gray = images.images().mean(1).double()
    mass = gray.sum((1, 2)).clamp_min(1e-9)
    down, across = (torch.arange(side, dtype=gray.dtype) for side in gray.shape[1:])
    y, x = (gray.sum(2) @ down) / mass, (gray.sum(1) @ across) / mass
    dy, dx = down[None] - y[:, None], across[None] - x[:, None]
    tall, wide = ((gray.sum(2) * dy**2).sum(1) / mass).sqrt(), ((gray.sum(1) * dx**2).sum(1) / mass).sqrt()
    slant = torch.einsum("nhw,nh,nw->n", gray, dy, dx) / mass / (tall**2).clamp_min(1e-9)
    values = {"brightness": gray.mean((1, 2)), "contrast": gray.flatten(1).std(1)}
    return {**values, "height": tall, "width": wide, "slant": slant}
