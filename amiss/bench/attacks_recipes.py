"""Every recipe about labels on digits, checked from outside: its claims, its bound and its budget."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amiss import recipes
from amiss.audit import substitute
from amiss.bench.bench import Run
from amiss.bench.lenets import digits, lenet
from amiss.bench.outside import Checked, Counter, check
from amiss.classifier import Classifier
from amiss.constraints import L2, Linf, Quantized
from amiss.data import Images
from amiss.objectives import Avoid
from amiss.optimizers import Estimated, Sign, SquareL2
from amiss.probe import Budget, Probe
from amiss.spaces import Pixels
from amiss.task import Task

__all__ = ["Case", "claims"]

Measured = tuple[dict[str, float], dict[str, Any]]

_EPS, _LENGTH = 0.2, 2.0  # radii in L_inf and in L2
_DEEP = 1e3  # a margin that no network has
_ALONE = 3  # samples of each recipe that are searched for once more, each by itself; if quick, one


@dataclass(frozen=True)
class Case:
    """A recipe as it is checked.

    Attributes:
        probe: The recipe with its settings.
        count: Images.
        radius: Radius that no change may leave; None where nothing binds it.
        norm: Of the radius.
        guided: Whether samples bring an image of the wanted class.
        exact: Whether a sample without success must have spent the very budget of queries.
    """

    probe: Probe
    count: int
    radius: float | None = None
    norm: Literal["linf", "l2"] = "linf"
    guided: bool = False
    exact: bool = False


def claims(run: Run) -> Measured:
    """A network of MNIST under every recipe about labels, untargeted and toward the class after the label.

    Each success that is claimed is saved as PNG, read back by itself and shown to the bare network. What a sample
    cost is compared with what the network counted: for the samples together, and for a few of them each alone.

    Raises:
        Skip: There is no MNIST here.
    """
    torch.set_num_threads(1)
    classifier, test = lenet(run), digits(run, "test")
    told: dict[str, Any] = {}
    for name, case in _cases(run).items():
        told[name] = _case(classifier, _task(classifier, test, case), case, 1 if run.quick else _ALONE)
    told["substitute"] = _substitute(run, classifier, test)
    return {
        "false_successes": float(sum(row["false"] for row in told.values())),
        "bound_excess": max(row["excess"] for row in told.values()),
        "budget_errors": float(sum(row["budget_errors"] for row in told.values())),
        "claims_checked": float(sum(row["claimed"] for row in told.values())),
    }, told


def _case(classifier: Classifier, task: Task, case: Case, alone: int) -> dict[str, Any]:
    """One recipe: run, checked from outside, and counted."""
    counter, mine = _counted(classifier)
    began = time.process_time()
    result = case.probe.run(mine, task)
    seconds = time.process_time() - began
    closing = case.probe.objective.cost(None)  # each best attempt is judged once more
    spent = [outcome.queries for outcome in result.outcomes]
    errors = int(counter.forward_rows != sum(spent) + closing * len(task))
    forward, backward = counter.forward_rows, counter.backward_rows
    for i in range(min(alone, len(task))):
        counter.forward_rows = 0
        (outcome,) = case.probe.run(mine, task.rows(torch.tensor([i]))).outcomes
        errors += counter.forward_rows != outcome.queries + closing
    allowed = case.probe.budget.queries
    if allowed is not None:
        short = [case.exact and not outcome.met and outcome.queries < allowed for outcome in result.outcomes]
        errors += sum(over > allowed for over in spent) + sum(short)
    checked = _checked(classifier, case.probe, task, result)
    return {
        **_told(checked, task, case, seconds),
        "budget_errors": errors,
        "queries": sum(spent) / len(task),
        "forward": forward / len(task),
        "backward": backward / len(task),
        "counts": result.counts,
    }


def _told(checked: Checked, task: Task, case: Case, seconds: float) -> dict[str, Any]:
    """The row of a recipe: what is left in the files."""
    size = checked.linf if case.norm == "linf" else checked.l2
    excess = 0.0 if case.radius is None else max(0.0, float(size.max()) - case.radius)
    return {
        "images": len(task),
        "claimed": checked.claimed,
        "false": checked.false,
        "excess": excess,
        "success": (checked.claimed - checked.false) / len(task),
        "l2_median": float(checked.l2.median()),
        "linf_median": float(checked.linf.median()),
        "cpu_ms": 1000 * seconds / len(task),
    }


def _substitute(run: Run, classifier: Classifier, test: Images) -> dict[str, Any]:
    """PGD on a network that learned from the answers alone, judged on the network that gave them."""
    begin, queries, count = (20, 60, 4) if run.quick else (150, 1200, 64)
    counter, mine = _counted(classifier)
    rows = torch.arange(count, count + begin)
    mine.predict(test.images(rows[:1]))  # names its classes
    counter.forward_rows = 0
    began = time.process_time()
    known = substitute(mine, test.images(rows), queries, steps=30 if run.quick else 300, seed=run.seed)
    errors = int(counter.forward_rows != queries) + int(known.queries != queries)
    case = Case(recipes.pgd(_EPS, seed=run.seed), count, _EPS)
    task = _task(classifier, test, case)
    made = replace(case.probe, objective=Avoid(_DEEP)).run(
        known.classifier, task
    )  # as far over as the radius lets it
    seconds = time.process_time() - began
    judged = _Judged(made.images, case.probe.judge(classifier, task, made.images)[1])
    checked = _checked(classifier, case.probe, task, judged)
    told = _told(checked, task, case, seconds)
    return {**told, "budget_errors": errors, "queries": queries, "agreement": list(known.agreement)}


@dataclass(frozen=True)
class _Judged:
    """Images, and whether the network that they were not made on is fooled."""

    images: Tensor
    met: Tensor


def _counted(classifier: Classifier) -> tuple[Counter, Classifier]:
    """The same network behind a counter of its own."""
    assert isinstance(classifier.network, nn.Module)  # noqa: S101 - it was trained here
    mean, std = classifier.preprocessing
    counter = Counter(classifier.network)
    return counter, Classifier(counter, mean=mean, std=std, labels=classifier.labels)


def _checked(classifier: Classifier, probe: Probe, task: Task, found: Any) -> Checked:
    assert isinstance(classifier.network, nn.Module)  # noqa: S101 - it was trained here
    network = classifier.network.eval()
    return check(network, classifier.preprocessing, probe.objective, probe.seed, task, found)


def _task(classifier: Classifier, test: Images, case: Case) -> Task:
    """Held-out images, each with the class after its label as target; if guided, with an image of that class."""
    rows = torch.arange(case.count)
    image, label = test.images(rows), test.truth[rows]
    target = (label + 1) % len(classifier.labels or ())
    task = Task(rows, image, label=label, target=target)
    if not case.guided:
        return task
    many = torch.arange(min(len(test), 400))
    right = (classifier.predict(test.images(many)) == test.truth[many]).nonzero().flatten()
    guides = torch.stack([right[test.truth[right] == t][0] for t in target])
    return replace(task, guide=test.images(guides))


def _cases(run: Run) -> Mapping[str, Case]:
    """The recipes, with fewer images for the dear ones; if quick, with few images and queries."""
    many, some, few = (6, 4, 2) if run.quick else (128, 32, 16)
    asked, hops, turns = (60, 150, 10) if run.quick else (500, 2400, 60)
    steps: dict[str, Any] = {"steps": 10} if run.quick else {}
    rounds: dict[str, Any] = {"rounds": 2, "steps": 5} if run.quick else {}
    near, short = (0.5, 8.0) if run.quick else (_EPS / 2, _LENGTH)  # what withstands these is dear
    seed: dict[str, Any] = {"seed": run.seed}
    there: dict[str, Any] = {"target": "task", **seed}
    linf: dict[str, Any] = {"radius": _EPS}
    l2: dict[str, Any] = {"radius": _LENGTH, "norm": "l2"}
    spent = {**linf, "exact": True}
    windows = Probe(
        Pixels(),
        Avoid(),
        L2(_LENGTH) & Quantized(256, inward=True),
        SquareL2(_LENGTH),
        "met",
        Budget(asked, asked),
        run.seed,
    )
    differences = Probe(
        Pixels(),
        Avoid(),
        Linf(_EPS) & Quantized(256, inward=True),
        Estimated(Sign(_EPS / 4), "coordinates", 20 if run.quick else None),
        "met",
        Budget(4),
        run.seed,
        batch=4,
    )
    r = recipes
    return {
        "fgsm": Case(r.fgsm(_EPS, **seed), many, **linf),
        "fgsm toward": Case(r.fgsm(_EPS, **there), many, **linf),
        "label_fgrad toward": Case(r.label_fgrad(_EPS, **seed), many, **linf),
        "pgd": Case(r.pgd(_EPS, **seed), many, **linf),
        "pgd to the end": Case(r.pgd(_EPS, until="budget", **seed), some, **linf),
        "pgd odds": Case(r.pgd(_EPS, climb="odds", schedule="cosine", **seed), many, **linf),
        "pgd restarts": Case(r.pgd(_EPS / 2, 20, restarts=4, **seed), some, radius=_EPS / 2),
        "pgd l2": Case(r.pgd(_LENGTH, norm="l2", **seed), many, **l2),
        "pgd toward": Case(r.pgd(_EPS, **there), many, **linf),
        "pgd l2 toward": Case(r.pgd(_LENGTH, norm="l2", restarts=2, schedule="linear", **there), some, **l2),
        "pgd sure": Case(r.pgd(_EPS, confidence=0.9, **there), some, **linf),
        "deepfool": Case(r.deepfool(**seed), many),
        "ddn": Case(r.ddn(**steps, **seed), many),
        "ddn toward": Case(r.ddn(**steps, **there), many),
        "cw": Case(r.cw(**rounds, **seed), some),
        "label_opt": Case(r.label_opt(**rounds, **seed), some),
        "label_opt toward": Case(r.label_opt(**rounds, **there), some),
        "label_opt sure": Case(r.label_opt(confidence=0.99, **rounds, **there), some),
        "square": Case(r.square(_EPS, asked, **seed), many, **spent),
        "square toward": Case(r.square(_EPS, asked, **there), some, **spent),
        "square l2": Case(windows, many, **l2, exact=True),
        "nes": Case(r.nes(_EPS, asked, pairs=10, **seed), some, **linf),
        "nes toward": Case(r.nes(_EPS, asked, pairs=10, **there), some, **linf),
        "spsa": Case(r.spsa(_EPS, asked, pairs=10, **seed), some, **linf),
        "spsa toward": Case(r.spsa(_EPS, asked, pairs=10, **there), some, **linf),
        "finite differences": Case(differences, few // 2, **linf),
        "hop_skip_jump": Case(r.hop_skip_jump(hops, **seed), few),
        "hop_skip_jump linf": Case(r.hop_skip_jump(hops, norm="linf", **seed), few),
        "hop_skip_jump toward": Case(r.hop_skip_jump(hops, **there), few, guided=True),
        "worst_case": Case(r.worst_case(near, **seed), few, radius=near),
        "worst_case l2": Case(r.worst_case(short, norm="l2", **seed), few, radius=short, norm="l2"),
        "eot": Case(r.eot(_EPS, turns, views=4, **seed), few, **linf),
        "eot toward": Case(r.eot(2 * _EPS, turns, views=4, **there), few, radius=2 * _EPS),
    }
