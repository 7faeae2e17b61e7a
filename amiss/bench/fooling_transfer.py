"""Whom nonsense fools that was made for another network: over architectures, initial weights and sizes of images."""

from typing import Any

import torch
from torch import Tensor

from amiss.analysis.champions import agreement
from amiss.bench.bench import Run
from amiss.bench.fooling_imagenet import GRADIENT, Champions, evolve, load_champions
from amiss.bench.lenets import lenet
from amiss.bench.mobilenets import mobilenet
from amiss.classifier import Classifier
from amiss.probe import Probe
from amiss.recipes import classes, fool_cppn, fool_direct, fool_gradient
from amiss.repro import fold, uniform
from amiss.trust import wilson

__all__ = ["transfer"]

_SUREST, _BATCH = 100, 25
_RUNS = 5  # of evolution for digits, ten images each
_OTHERS = ("v2", "v1-0.5")
_OTHER_SEED = 1000  # of a second training, far from the seeds of runs


def transfer(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The 100 surest champions and images by gradient shown to other large networks; digits over three small ones."""
    torch.set_num_threads(1)
    made = {"cppn": load_champions(run), "gradient": load_champions(run, GRADIENT)}
    told: dict[str, Any] = {}
    for name, other in _others(run).items():
        rows = {kind: _shown(other, found) for kind, found in made.items()}
        rows["noise"] = _shown(other, _noise(run, made["cppn"]))
        told[name] = rows
    first = next(iter(told.values()))
    digits = _digits(run)
    return {
        "cppn_transfer": first["cppn"]["share"][0],
        "gradient_transfer": first["gradient"]["share"][0],
        **{
            f"mnist_{kind}_transfer_{name}": row["share"][0]
            for name, rows in digits.items()
            for kind, row in rows.items()
        },
    }, {"networks": told, "digits": digits}


def _agreed(classifier: Classifier, images: Tensor, label: Tensor) -> dict[str, Any]:
    """How many images a network calls as they are meant, also as a share with its 95 % interval, and how surely."""
    told = agreement(classifier, images, label, _BATCH)
    same, n = int(told.same.sum()), len(label)
    median = float(told.confidence.median())
    return {"n": n, "same": same, "share": (same / n, *wilson(same, n)), "median_probability": median}


def _shown(classifier: Classifier, found: Champions) -> dict[str, Any]:
    """The surest images of one network shown to another."""
    label = found.confidence.argsort(descending=True, stable=True)[:_SUREST]
    return {
        **_agreed(classifier, found.images[label], label),
        "own_median": float(found.confidence[label].median()),
    }


def _noise(run: Run, found: Champions) -> Champions:
    """Uniform noise in place of the images: what labels agree by chance."""
    key = fold(torch.arange(len(found.confidence)), run.seed)[:, None]
    noise = [(256 * uniform(row, found.images.shape[1:])).to(torch.uint8) for row in key]
    return Champions(torch.cat(noise), found.confidence, 0, found.p)


def _others(run: Run) -> dict[str, Classifier]:
    """Networks that the images were not made for; the first gives the figures."""
    if run.quick:
        return {"again": lenet(run, _OTHER_SEED)}
    return {name: mobilenet(run, name) for name in _OTHERS}


def _digits(run: Run) -> dict[str, dict[str, Any]]:
    """Images made for one network of digits, shown to it, to one of other initial weights, and to another kind."""
    own, shape = lenet(run), (1, 28, 28)
    others = {"itself": own, "seed": lenet(run, _OTHER_SEED), "architecture": lenet(run, run.seed, "SmallCNN")}
    options: dict[str, Any] = {"generations": 10 if run.quick else 100, "until": "budget", "batch": 200}
    seeds = [100 * run.seed + again for again in range(1 if run.quick else _RUNS)]
    made = {
        "cppn": [evolve(own, fool_cppn(shape, seed=seed, **options))[0].images for seed in seeds],
        "direct": [evolve(own, fool_direct(shape, seed=seed, **options))[0].images for seed in seeds],
        "gradient": [_climbed(own, fool_gradient(shape))],  # from gray: no seed would make others
    }
    label = torch.arange(len(made["gradient"][0]))
    told: dict[str, dict[str, Any]] = {}
    for name, other in others.items():
        told[name] = {k: _agreed(other, torch.cat(images), label.repeat(len(images))) for k, images in made.items()}
    return told


def _climbed(classifier: Classifier, probe: Probe) -> Tensor:
    """What a search by gradient finds, as files hold it."""
    found = probe.run(classifier, classes(classifier)).images
    return (found * 255).round().to(torch.uint8)
