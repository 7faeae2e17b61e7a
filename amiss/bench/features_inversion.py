"""What layers keep: early ones the image that one sees, the last one what the network takes it for."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.mobilenets import ratios, scene
from amiss.classifier import Classifier
from amiss.recipes import feature_opt, invert
from amiss.task import Task

__all__ = ["inversion"]

_PAIRS, _STEPS, _DELTA = 12, 70, 10 / 255
_ROUGH = (0.3, 1.0)  # weight of the total variation: for the first layer, and for those behind it


def inversion(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MobileNetV1 0.25 at 128 pixels: sources, guides and adversaries of the pooled features, each found from noise.

    All three of a pair begin at the same noise. An inversion of the adversary is the guide's where its Euclidean
    distance to the guide's inversion is less than that to the source's.
    """
    torch.set_num_threads(1)
    place = scene(run, "v1-0.25", _PAIRS)
    classifier, task = place.classifier, place.task
    first, (_, middle, deep) = "conv1" if run.quick else "conv_stem", place.layers
    made = feature_opt(deep, _DELTA, 10 if run.quick else _STEPS, seed=run.seed).run(classifier, task).images
    assert task.image is not None and task.guide is not None  # noqa: S101, PT018 - pairs have both
    told: dict[str, Any] = {"pairs": len(task), "r1": ratios(classifier, deep, task, made).tolist()}
    steps = 40 if run.quick else 200
    seen = _inverted(classifier, first, task, task.image, steps, _ROUGH[0], run.seed)
    told["first"] = {"layer": first, "correlation": _correlation(seen, task.image).tolist()}
    for name, layer in (("middle", middle), ("deep", deep)):
        source, guide, ours = (
            _inverted(classifier, layer, task, x, steps, _ROUGH[1], run.seed) for x in (task.image, task.guide, made)
        )
        to_guide, to_source = ((ours - other).flatten(1).norm(dim=1) for other in (guide, source))
        told[name] = {"layer": layer, "nearer_guide": float((to_guide < to_source).double().mean())}
        told[name] |= {"to_guide": to_guide.tolist(), "to_source": to_source.tolist()}
    return {
        "inversion_first": min(told["first"]["correlation"]),
        "inversion_guide": told["deep"]["nearer_guide"],
        "inversion_guide_middle": told["middle"]["nearer_guide"],
    }, told


def _inverted(
    classifier: Classifier, layer: str, task: Task, images: Tensor, steps: int, rough: float, seed: int
) -> Tensor:
    """Images [n, C, H, W] found from noise, of which the samples' keys alone decide, by their features at a layer."""
    wanted = replace(task, image=images, guide=None)
    return invert(layer, rough=rough, steps=steps, seed=seed).run(classifier, wanted).images


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of the pixels of two images [n]."""
    a, b = (x.flatten(1).double() for x in (one, other))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
