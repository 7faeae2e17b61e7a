"""Feature adversaries of a large network: what it calls them, as they were found and as a file holds them."""

from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.mobilenets import scene
from amiss.classifier import Classifier
from amiss.recipes import feature_opt
from amiss.task import Task
from amiss.tensorfile import write_tensors

__all__ = ["MADE", "labels"]

Measured = tuple[dict[str, float], dict[str, Any]]

_PAIRS, _PASSES, _DELTAS = 50, 50, (10, 5)

MADE = "labels.safetensors"
"""File of what was made at the first bound, in the run's folder, for the part that shows it to other networks."""


def labels(run: Run) -> Measured:
    """MobileNetV2 at its pooled features, 50 passes, 50 pairs: what it calls images at 10/255 and at 5/255."""
    torch.set_num_threads(1)
    place = scene(run, "v2", _PAIRS)
    classifier, task, layer = place.classifier, place.task, place.layers[-1]
    told: dict[str, Any] = {"pairs": len(task), "passes": _PASSES}
    for delta in _DELTAS:
        probe = feature_opt(layer, delta / 255, (10 if run.quick else _PASSES) - 1, seed=run.seed, levels=None)
        result = probe.run(classifier, task)
        pixels = _bytes(result.images)
        r1 = torch.tensor([outcome.loss for outcome in result.outcomes]).sqrt()
        told[str(delta)] = {
            "found": _called(classifier, result.images, task),
            "rounded": _called(classifier, pixels.float() / 255, task),
            "r1_median": float(r1.median()),
            "r1": r1.tolist(),
            "linf": float(result.linf.max()),
            "levels": int((pixels.int() - _parts(task)["source"].int()).abs().max()),
        }
        if delta == _DELTAS[0]:
            write_tensors(run.place / MADE, {"made": pixels, **_parts(task)}, {"seed": run.seed})
    ten, five = (told[str(delta)] for delta in _DELTAS)
    return {
        **{f"label_is_{whose}": ten["found"][whose] for whose in ("guide", "source")},
        **{f"label_is_{whose}_8bit": ten["rounded"][whose] for whose in ("guide", "source")},
        **{f"label_is_{whose}_at_5": five["rounded"][whose] for whose in ("guide", "source")},
        "bound_violation_8bit": float(sum(max(0, told[str(delta)]["levels"] - delta) for delta in _DELTAS)),
        "r1_v2": ten["r1_median"],
        "r1_v2_at_5": five["r1_median"],
    }, told


def _called(classifier: Classifier, images: Tensor, task: Task) -> dict[str, float]:
    """Shares of images that bear their guide's label, and their source's."""
    said = torch.cat([classifier.predict(x) for x in images.split(25)])
    return {
        name: float((said == wanted).double().mean())
        for name, wanted in (("guide", task.target), ("source", task.label))
        if wanted is not None
    }


def _parts(task: Task) -> dict[str, Tensor]:
    assert task.image is not None and task.label is not None and task.target is not None  # noqa: S101, PT018 - pairs
    return {"source": _bytes(task.image), "label": task.label, "guide": task.target, "key": task.key}


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round().to(torch.uint8)
