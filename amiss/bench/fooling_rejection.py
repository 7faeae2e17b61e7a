"""What rejects nonsense: nine detectors of a LeNet, six kinds of nonsense, and what getting past each costs."""

from typing import Any

import torch

from amiss.analysis.rejection import EVOLVING, Rejection, audit_rejection, fit_detectors, make_nonsense
from amiss.bench.bench import Run
from amiss.bench.lenets import digits, lenet
from amiss.repro import generator

__all__ = ["rejection", "tell_bypasses"]

_FITTED, _HELD = 5000, 4000


def rejection(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """LeNet of digits at its last hidden layer: detectors fitted on training images, judged on test images.

    A detector is bypassed where, for every class, evolution found an image of 256 gray levels that it lets pass and
    that the network is sure of at .99. It evolves graphs, asks for scores alone, and may show as many images against
    each detector. What a search along the gradient got past, with the weights, is told beside it.
    """
    torch.set_num_threads(1)
    classifier, learned, other = lenet(run), digits(run), digits(run, "test")
    rows = torch.randperm(len(learned), generator=generator(run.seed, 24))[:_FITTED]
    held = torch.randperm(len(other), generator=generator(run.seed, 25))[:_HELD]
    found = fit_detectors(classifier, "relu3", learned.images(rows), learned.truth[rows])
    small: dict[str, Any] = (
        {"generations": 10, "children": 40} if run.quick else {"generations": 200, "children": 200}
    )
    shape = tuple(learned.pixels.shape[1:])
    nonsense = make_nonsense(
        classifier, shape, each=1 if run.quick else 5, steps=30 if run.quick else 300, seed=run.seed, **small
    )
    told = audit_rejection(
        classifier, found.rules, other.images(held), nonsense, searches=("cppn", "gradient"), seed=run.seed,
        steps=60 if run.quick else 300, left_out=found.left_out, **small,
    )  # fmt: skip
    figures = {
        "noise_msp_auroc": told.row("msp", "uniform noise").auroc.value,
        "cppn_msp_auroc": told.row("msp", "cppn").auroc.value,
        "detectors_bypassed": float(len(told.bypassed)),
        "detectors_bypassed_gradient": float(len(told.bypassed_by("gradient"))),
        "bypass_evaluations": float(max(one.spent for one in told.bypasses if one.search == "cppn")),
        "cppn_accepted_least": min(told.row(name, "cppn").accepted.value for name in told.detectors),
    }
    allowed = (small["generations"] + 1) * small["children"]
    return figures, {**told.record, "images_allowed": allowed, **tell_bypasses(told)}


def tell_bypasses(told: Rejection) -> dict[str, Any]:
    """What each search got past, and what holds against evolution.

    Args:
        told: With searches.

    Returns:
        As JSON values "classes_bypassed" (for each detector and search the number of classes, and all evaluations),
        "held" (for each detector that evolution did not get past, the classes left and the evaluations that it took
        to learn so), and "bypassed_by_gradient".
    """
    by_class: dict[str, dict[str, dict[str, int]]] = {}
    held = {}
    for one in told.bypasses:
        counts = {"classes": sum(one.met), "evaluations": one.spent}
        by_class.setdefault(one.detector, {})[one.search] = counts
        if one.search in EVOLVING and one.detector not in told.bypassed:
            held[one.detector] = {"classes": len(one.met) - sum(one.met), "evaluations": one.spent}
    gradient = list(told.bypassed_by("gradient"))
    return {"classes_bypassed": by_class, "held": held, "bypassed_by_gradient": gradient}
