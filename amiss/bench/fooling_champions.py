"""What evolved champions show: whether related classes are alike, whether runs repeat, and what genes carry."""

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.champions import (
    Ablation,
    Lineage,
    Mantel,
    ablate,
    compressed,
    confidence,
    confusion_distance,
    descent,
    follow,
    imagenet_distance,
    kindred,
    lineage_distance,
    lines,
    mantel,
    picture_distance,
    relate,
    repeated,
    spectral_slope,
    switches,
)
from amiss.bench.bench import Run
from amiss.bench.fooling_imagenet import load_champions, target
from amiss.bench.lenets import digits
from amiss.bench.mobilenets import MOBILENETS, photographs
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.recipes import classes, fool_cppn
from amiss.spaces import CPPN
from amiss.trust import wilson

__all__ = ["champions"]

_CHILDREN, _EVALUATIONS = 200, 20_000  # of each further evolution
_SEEDS = (1000, 2000)  # what is added to theirs
_SUREST = 100
_ANIMALS = 398  # classes of ImageNet, the first ones


def champions(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The champions of the part imagenet, beside those of two shorter evolutions with other seeds.

    `related_p` says whether champions of classes of one narrow kind, each in another run, are nearer to each other in
    their pixels than champions of any two classes, each class counting once (`kindred`), on the mean over the three
    pairs of runs. The statistic was chosen on seeds 10 to 12. `related_p_order` is the older one, Mantel's test on
    the same distances: whether the order of all labels' distances is theirs. The tests below are Mantel's too.

    It is told across runs because in one run a likeness says little: an individual may hold many cells
    (`related_p_all` counts it as often), and where each holds one (`related_p_distinct`) they still descend from each
    other, and a child is like its parent whatever takes it for what. Two runs have no ancestor in common: what is
    alike in them is not alike by descent. Three runs are the fewest of which the chance in the picture of a class can
    be averaged out in part.

    `related_p_animals` and `related_p_things` ask within the two halves of the table alone: whether likeness goes
    further than that between animals and things. None of them tells why champions are alike: classes of a kind are
    about equally hard as well. `repeated_p` says whether runs come to like champions of the same class.

    `ablation_max` is the most that a single gene of the surest champions costs, and `ablation_share` the share of
    them with a gene that costs more than 0.5.
    """
    torch.set_num_threads(1)
    first = load_champions(run)
    classifier, shape = target(run)
    images, every = first.images, torch.arange(len(first.p))
    space, lineages = _others(run, classifier, shape)
    runs = [images, *(_drawn(space, lineage) for lineage in lineages)]
    sure = [confidence(classifier, x, every) for x in runs]
    far = confusion_distance(classifier, digits(run, "test")) if run.quick else imagenet_distance()
    draws = 99 if run.quick else 999

    def related(rows: Tensor = every) -> Mantel:
        return mantel(both[rows][:, rows], far[rows][:, rows], draws, run.seed)

    across = torch.stack([picture_distance(one, other) for one, other in combinations(runs, 2)]).mean(0)
    both, alone = (across + across.T) / 2, relate(images, sure[0], far, permutations=draws, seed=run.seed)
    tests = {"_order": related(), "_all": alone.every, "_distinct": alone.distinct}
    if not run.quick:
        tests |= {"_animals": related(every[:_ANIMALS]), "_things": related(every[_ANIMALS:])}
    # Without a table of kinds the tenth of the pairs that is most confused are relatives.
    close = kindred(both, far <= (far[far > 0].quantile(0.1) if run.quick else 0), draws, run.seed)
    again = repeated(across, draws, run.seed)
    surest = sure[0].argsort(descending=True)[:_SUREST].tolist()
    told = [ablate(classifier, space, first.p[i], i) for i in surest]
    costly, goals = [float(one.fall.max()) for one in told], switches(lineages[0].captures)
    return {
        "related_p": close.p,
        **{f"related_p{name}": test.p for name, test in tests.items()},
        "repeated_p": again.p,
        "ablation_max": max(costly),
        "ablation_share": sum(cost > 0.5 for cost in costly) / len(costly),
        "goals_switched": goals.share,
    }, {
        "related": {"kindred": vars(close), **{name.removeprefix("_"): vars(test) for name, test in tests.items()}},
        "repeated": vars(again),
        "evaluations": {"first": first.evaluations, "others": _evaluations(run)},
        "median": [float(part.median()) for part in sure],
        "ablation": _genes(told),
        "lineage": _lineage(lineages[0], picture_distance(runs[1]), far, run),
        "look": _looks({"champions": images, **({} if run.quick else {"photographs": _natural(run)})}),
    }


def _others(run: Run, classifier: Classifier, shape: tuple[int, int, int]) -> tuple[CPPN, list[Lineage]]:
    """Evolutions with other seeds, their lineages kept, and their space."""
    options: dict[str, Any] = {"generations": _evaluations(run) // _CHILDREN - 1, "until": "budget", "batch": 100}
    probes = [fool_cppn(shape, seed=run.seed + added, **options) for added in _SEEDS]
    space = probes[0].space
    assert isinstance(space, CPPN)  # noqa: S101 - it is the recipe's
    return space, [follow(probe.walk(classifier, classes(classifier))) for probe in probes]


def _drawn(space: CPPN, lineage: Lineage) -> Tensor:
    """The champions of an evolution as files hold them."""
    p = lineage.p[torch.searchsorted(lineage.individual, lineage.holder)]
    return torch.cat([to_bytes(space.draw(part)) for part in p.split(100)])


def _evaluations(run: Run) -> int:
    return 2_000 if run.quick else _EVALUATIONS


def _genes(told: list[Ablation]) -> dict[str, Any]:
    """Raw counts of what genes cost."""
    falls, worst = torch.cat([one.fall for one in told]), [one.order[0] for one in told]
    costly = sum(bool((one.fall > 0.5).any()) for one in told)
    return {
        "champions": len(told),
        "least_confidence": min(one.before for one in told),
        "genes": len(falls),
        "with_gene_above_half": costly,
        "interval": wilson(costly, len(told)),
        "costliest_is_node": sum(one.genes[i].kind == "node" for one, i in zip(told, worst, strict=True)),
        "genes_above_half": float((falls > 0.5).double().mean()),
        "genes_that_cost_nothing": float((falls == 0).double().mean()),
        "surer_without": float((falls < -0.01).double().mean()),
    }


def _lineage(lineage: Lineage, apart: Tensor, far: Tensor, run: Run) -> dict[str, Any]:
    """Who descends from whom in one of the further evolutions, and whether related classes do."""
    spread, goals = descent(lineage), switches(lineage.captures)
    lineages = lineage_distance([line[:, 2] for line in lines(lineage.captures, lineage.holder)])
    n = 99 if run.quick else 199
    return {
        "captures": goals.captures,
        "switched": goals.switched,
        "founders": spread.founders,
        "cells_of_the_widest_founder": int(spread.cells[spread.generation == 0].max()),
        "individuals_that_hold_cells": len(lineage.holder.unique()),
        "lineages_of_related_classes": vars(mantel(lineages, far, n, run.seed)),
        "pictures_of_related_lineages": vars(mantel(apart, lineages, n, run.seed)),
    }


def _looks(sets: dict[str, Tensor]) -> dict[str, Any]:
    """Medians of two proxies of regularity."""
    return {
        name: {"bits": float(compressed(x).median()), "slope": float(spectral_slope(x).median())}
        for name, x in sets.items()
    }


def _natural(run: Run) -> Tensor:
    return photographs(run, MOBILENETS["v1-0.25"].size).pixels
