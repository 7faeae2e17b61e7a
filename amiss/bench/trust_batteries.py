"""Every recipe, each of its nouns, and a third party's probe against the public batteries."""

import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from amiss import recipes
from amiss.bench.bench import Run, Skip
from amiss.probe import Probe
from amiss.task import Task
from amiss.testing import (
    BatteryError,
    Verdict,
    check_constraint,
    check_objective,
    check_optimizer,
    check_probe,
    check_space,
)
from amiss.testing.batteries import defaults

__all__ = ["batteries"]

_EXAMPLE = Path("examples/third_party_probe.py")


def batteries(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Count the laws that break; a recipe without a case here counts as one."""
    torch.set_num_threads(1)
    broken: dict[str, list[str]] = {}
    held = 0
    for name, check in _checks(run.seed):
        try:
            held += sum(verdict.passed is True for verdict in check())
        except BatteryError as error:
            broken[name] = list(error.failed)
    missing = sorted(set(recipes.RECIPES) - set(_probes()))
    failures = sum(map(len, broken.values())) + len(missing)
    return {"battery_failures": float(failures)}, {"held": held, "broken": broken, "missing": missing}


def _probes() -> dict[str, tuple[Probe, Task | None]]:
    """Each recipe in the linear world, with the samples that it needs where images are not what it starts from."""
    classes = Task(torch.arange(3), target=torch.tensor([0, 1, 0]))
    return {
        "fgsm": (recipes.fgsm(0.05), None),
        "pgd": (recipes.pgd(0.05, 10), None),
        "lse": (recipes.lse(defaults.WORLD.codec), None),
        "square": (recipes.square(0.05), None),
        "hop_skip_jump": (recipes.hop_skip_jump(60, rows=10), None),
        "worst_case": (recipes.worst_case(0.05), None),
        "eot": (recipes.eot(0.3, 10, views=3), None),
        "nes": (recipes.nes(0.05, 100, pairs=4), None),
        "spsa": (recipes.spsa(0.05, 100, pairs=4), None),
        "ddn": (recipes.ddn(), None),
        "cw": (recipes.cw(), None),
        "deepfool": (recipes.deepfool(), None),
        "label_opt": (recipes.label_opt(), None),
        "feature_opt": (recipes.feature_opt("linear", 0.1), None),
        "feature_linear": (recipes.feature_linear("linear", 0.1), None),
        "feature_fgrad": (recipes.feature_fgrad("linear", 0.05, near=0.9), None),
        "label_fgrad": (recipes.label_fgrad(0.05), None),
        "invert": (recipes.invert("linear"), None),
        "fool_direct": (recipes.fool_direct((1, 8, 8), children=20), classes),
        "fool_cppn": (recipes.fool_cppn((1, 8, 8), children=20), classes),
        "fool_ascent": (recipes.fool_ascent((1, 8, 8), confidence=0.9, steps=60), classes),
        "fool_gradient": (recipes.fool_gradient((1, 8, 8), confidence=0.9, step=0.05), classes),
    }


def _checks(seed: int) -> Iterator[tuple[str, Callable[[], tuple[Verdict, ...]]]]:
    for name, (made, task) in _probes().items():
        probe = replace(made, seed=seed)
        yield name, partial(check_probe, probe, None, task)
        yield f"{name}: space", partial(check_space, probe.space, task)
        yield f"{name}: objective", partial(check_objective, probe.objective)
        yield f"{name}: optimizer", partial(check_optimizer, probe.optimizer, probe, None, task)
        yield f"{name}: constraint", partial(check_constraint, probe.constraint)
    if not _EXAMPLE.is_file():
        raise Skip("the example of a third party's probe lies beside the package, in a checkout")
    yield "third party", partial(check_probe, replace(runpy.run_path(str(_EXAMPLE))["PROBE"], seed=seed))
