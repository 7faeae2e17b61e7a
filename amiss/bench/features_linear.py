"""What a linear model of a network is worth to a feature adversary: nearly nothing, unless the network is linear."""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.bench.mobilenets import ratios, scene
from amiss.classifier import Classifier
from amiss.recipes import feature_fgrad, feature_linear, feature_opt
from amiss.repro import generator
from amiss.task import Task

__all__ = ["linear"]

_PAIRS, _STEPS, _DELTA = 16, 65, 10 / 255
_SIDE, _FEATURES = 8, 40  # of the linear network: pixels along a side, numbers that it answers with


def linear(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MobileNetV1 0.5 at its pooled features, 16 pairs, 10/255; and a network of one matrix, where both agree."""
    torch.set_num_threads(1)
    place = scene(run, "v1-0.5", _PAIRS)
    layer, steps = place.layers[-1], 10 if run.quick else _STEPS
    common: dict[str, Any] = {"seed": run.seed, "levels": None}
    probes = {
        "feature_opt": feature_opt(layer, _DELTA, steps, **common),
        "feature_linear": feature_linear(layer, _DELTA, steps, **common),
        "feature_fgrad": feature_fgrad(layer, _DELTA, **common),
    }
    told: dict[str, Any] = {"pairs": len(place.task)}
    for name, probe in probes.items():
        images = probe.run(place.classifier, place.task).images
        told[name] = _numbers(ratios(place.classifier, layer, place.task, images))
    least = min(told["feature_linear"]["median"], told["feature_fgrad"]["median"])
    apart, reached = _matrix(run.seed)
    told["matrix"] = {"r1": _numbers(reached), "apart": float(apart)}
    return {
        "linear_gap": least - told["feature_opt"]["median"],
        "linear_coincide": float(apart),
        "r1_feature_linear": told["feature_linear"]["median"],
        "r1_feature_fgrad": told["feature_fgrad"]["median"],
    }, told


def _matrix(seed: int) -> tuple[Tensor, Tensor]:
    """On a network of one matrix, in float64: how far R1 of both searches lies apart at the most, and R1 itself."""
    g = generator(seed, 5)
    weight = torch.randn(_FEATURES, _SIDE**2, generator=g, dtype=torch.float64)
    dense = nn.Linear(_SIDE**2, _FEATURES, bias=False, dtype=torch.float64)
    dense.weight.data = weight
    classifier = Classifier(nn.Sequential(nn.Flatten(), dense))
    images = torch.rand(2, _PAIRS, 1, _SIDE, _SIDE, generator=g, dtype=torch.float64)
    task = Task(key=torch.arange(_PAIRS), image=images[0], guide=images[1])
    common: dict[str, Any] = {"delta": 0.2, "steps": 400, "levels": None, "seed": seed}
    one, other = (
        ratios(classifier, "1", task, make("1", **common).run(classifier, task).images)
        for make in (feature_opt, feature_linear)
    )
    return (one - other).abs().max(), one


def _numbers(r1: Tensor) -> dict[str, Any]:
    return {"median": float(r1.median()), "mean": float(r1.mean()), "each": r1.tolist()}
