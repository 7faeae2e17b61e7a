"""Evaluations until a network for digits is sure of nonsense, for each digit: operators of 2015 and of today."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.fooling_imagenet import judged
from amiss.bench.lenets import digits, lenet
from amiss.classifier import Classifier
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fool_cppn, fool_direct

__all__ = ["Cost", "cost", "mnist"]

_SURE = 0.9999
_SHAPE = (1, 28, 28)
_LIMITS = {"direct_2015": 200_000, "direct": 200_000, "direct_gradient": 20_000}
_CPPN_LIMIT = 40_200  # 200 generations of 200 after the first


@dataclass(frozen=True)
class Cost:
    """Evaluations until the ten confidences reached .9999, of images as files hold them; a gradient counts as three.

    Attributes:
        median: Until their median did; None: not within the limit.
        mean: Until their mean did.
        all: Until each of them did.
        generations: Generations after the first until the median did.
        spent: Evaluations in all.
        least: Lowest confidence in the end, judged once more from the files' bytes.
    """

    median: int | None
    mean: int | None
    all: int | None
    generations: int | None
    spent: int
    least: float


def mnist(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """LeNet on MNIST, trained for this seed: all routes start from it and from the same seed.

    A route that does not arrive counts with its limit. Of the two routes of 2015 `paper_2015_generations` is the one
    that took longer.
    """
    torch.set_num_threads(1)
    classifier, asked = lenet(run), digits(run, "test")
    shared: dict[str, Any] = {"confidence": _SURE, "seed": run.seed, "batch": 200}
    routes = {
        "direct_2015": fool_direct(_SHAPE, preset="paper-2015", **shared),
        "direct": fool_direct(_SHAPE, **shared),
        "direct_gradient": fool_direct(_SHAPE, gradient=True, **shared),
        "cppn_2015": fool_cppn(_SHAPE, preset="paper-2015", **shared),
        "cppn": fool_cppn(_SHAPE, **shared),
        "cppn_raw": fool_cppn(_SHAPE, quirks="raw-coordinates", **shared),
    }
    limits = {name: 1_000 if run.quick else _LIMITS.get(name, _CPPN_LIMIT) for name in routes}
    costs = {name: cost(classifier, probe, limits[name]) for name, probe in routes.items()}

    def every(name: str) -> int:
        return costs[name].all or limits[name]

    def half(name: str) -> int:
        return costs[name].median or limits[name]

    def took(name: str) -> int:
        count = costs[name].generations
        return limits[name] // 200 if count is None else count

    old = {name: took(f"{name}_2015") for name in ("direct", "cppn")}
    return {
        "direct_over_2015": every("direct") / every("direct_2015"),
        "direct_gradient_over_2015": every("direct_gradient") / every("direct_2015"),
        "cppn_raw_over_normalised": half("cppn_raw") / half("cppn"),
        "paper_2015_generations": float(max(old.values())),
        **{f"paper_2015_generations_{name}": float(count) for name, count in old.items()},
    }, {
        "accuracy": classifier.check(asked.pixels, asked.truth).accuracy,
        "limits": limits,
        **{name: vars(found) for name, found in costs.items()},
    }


def cost(classifier: Classifier, probe: Probe, limit: int) -> Cost:
    """What a route costs.

    Args:
        classifier: Of ten classes.
        probe: With an optimizer whose rows compete in all classes; it goes on for as long as the limit allows.
        limit: Evaluations after which it is given up.
    """
    task = classes(classifier)
    search = replace(probe, budget=Budget(limit)).search(classifier, task)
    state, spent, sure = search.start(), 0, torch.zeros(len(task))
    found: dict[str, int] = {}
    for step in search.walk(state):
        state = step.state
        spent += len(step.query) * (3 if step.query.want == "grad" else 1)
        sure = (-state["best"]["loss"].double()).exp()
        marks = {"median": sure.quantile(0.5), "mean": sure.mean(), "all": sure.min()}
        for name in [name for name, value in marks.items() if value >= _SURE]:
            found.setdefault(name, spent)
            if name == "median":
                found.setdefault("generations", step.turn)
        if spent >= limit:
            break
    shown = search.domain.decode(state["best"]["p"], search.domain.everyone)
    least = judged(classifier, (shown * 255).round().to(torch.uint8), task).min()
    reached = {name: found.get(name) for name in ("median", "mean", "all", "generations")}
    return Cost(**reached, spent=spent, least=float(least))
