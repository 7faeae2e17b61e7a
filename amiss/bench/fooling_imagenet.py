"""Nonsense for a network of 1000 classes: evolved pictures, evolved pixels, and pixels by gradient."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run, Skip
from amiss.bench.lenets import lenet
from amiss.bench.mobilenets import MOBILENETS, mobilenet
from amiss.classifier import Classifier
from amiss.objectives import Confidence
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fool_cppn, fool_direct, fool_gradient
from amiss.search import Search
from amiss.task import State, Task
from amiss.tensorfile import read_tensors, write_tensors

__all__ = ["CHAMPIONS", "GRADIENT", "Champions", "evolve", "imagenet", "judged", "load_champions", "target"]

CHAMPIONS, GRADIENT = "champions.safetensors", "gradient.safetensors"
"""Files of what was found, evolved pictures and images by gradient, in the run's folder, for other parts."""

_CHILDREN, _BATCH = 200, 100
_MARKS = (1_000, 5_000, 10_000, 25_000, 50_000, 100_000)
_BUDGETS = {"100k": 100, "120k": 120}  # evaluations a class on the average, of which a gradient costs three
_STEPS, _DONE = 100, 0.9999  # of a class at most, and where it ends: what it leaves of the budget goes to the others


@dataclass(frozen=True)
class Champions:
    """One image a class, in the order of the classes.

    Attributes:
        images: As files hold them [m, C, H, W], uint8.
        confidence: Softmax probability of its class, as the network says of those bytes [m].
        evaluations: Images shown to the network to find them all; a gradient counts as three.
        p: Genomes of the pictures [m, 444]; empty where the images are all there is.
    """

    images: Tensor
    confidence: Tensor
    evaluations: int
    p: Tensor


def imagenet(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """MobileNetV1 0.25: CPPN and pixels evolved with 100,000 evaluations, and as many and 120,000 by gradient."""
    torch.set_num_threads(1)
    classifier, shape = target(run)
    generations = (2_000 if run.quick else _MARKS[-1]) // _CHILDREN - 1
    options: dict[str, Any] = {"generations": generations, "children": _CHILDREN, "until": "budget"}
    options |= {"seed": run.seed, "batch": _BATCH}
    pictures, told = evolve(classifier, fool_cppn(shape, **options))
    _save(run, CHAMPIONS, pictures)
    blind, told_blind = evolve(classifier, fool_direct(shape, **options))
    climbed = _climb(classifier, fool_gradient(shape, seed=run.seed, batch=_BATCH))
    _save(run, GRADIENT, climbed["120k"])
    median = {"cppn": pictures, "blind": blind, "direct": climbed["100k"]}
    figures = {f"imagenet_{name}_100k": float(found.confidence.median()) for name, found in median.items()}
    return {
        **figures,
        "imagenet_direct_99": _sure(climbed["120k"]),
        "cppn_above_blind": float(figures["imagenet_cppn_100k"] > figures["imagenet_blind_100k"]),
    }, {
        "classes": len(pictures.confidence),
        "cppn": {**told, **_summary(pictures)},
        "blind": {**told_blind, **_summary(blind)},
        "direct": {name: _summary(found) for name, found in climbed.items()},
    }


def load_champions(run: Run, name: str = CHAMPIONS) -> Champions:
    """What the part imagenet found.

    Args:
        run: Of the same seed.
        name: `CHAMPIONS` for evolved pictures, `GRADIENT` for images by gradient.

    Raises:
        Skip: That part has not run yet.
    """
    if not (run.place / name).is_file():
        raise Skip("the part imagenet comes first")
    tensors, about = read_tensors(run.place / name)
    return Champions(tensors["images"], tensors["confidence"], about["evaluations"], tensors["p"])


def target(run: Run) -> tuple[Classifier, tuple[int, int, int]]:
    """Who is fooled, and the shape of the images; if quick, a network of digits.

    Raises:
        Skip: There are no examples or no weights here.
    """
    if run.quick:
        return lenet(run), (1, 28, 28)
    size = MOBILENETS["v1-0.25"].size
    return mobilenet(run, "v1-0.25"), (3, size, size)


def evolve(
    classifier: Classifier, probe: Probe, state: State | None = None, keep: Callable[[State], None] | None = None
) -> tuple[Champions, dict[str, Any]]:
    """Evolve one champion a class, and note how far the median had come on the way.

    Args:
        classifier: Who is asked.
        probe: With an optimizer whose rows compete in all classes.
        state: Where to go on from.
        keep: Is told the state after each generation.

    Returns:
        The champions, and the median confidence of all classes after so many evaluations.
    """
    task = classes(classifier)
    search = probe.search(classifier, task)
    state, medians = search.start() if state is None else state, {}
    for step in search.walk(state):
        state, spent = step.state, int(step.state["queries"].max())
        if spent in _MARKS:
            medians[str(spent)] = float((-state["best"]["loss"]).exp().median())
        if keep is not None:
            keep(state)
    best = state["best"]["p"]
    shown = [search.domain.decode(best[rows], rows) for rows in torch.arange(len(task)).split(_BATCH)]
    images = _bytes(torch.cat(shown))
    spent = int(state["queries"].max())
    return Champions(images, judged(classifier, images, task), spent, best), {"medians": medians}


def judged(classifier: Classifier, images: Tensor, task: Task) -> Tensor:
    """Softmax probability of each image's own class [m], of images as files hold them.

    Args:
        classifier: Who is asked.
        images: One a class [m, C, H, W], uint8.
        task: The classes.
    """
    assert task.target is not None  # noqa: S101 - classes have targets
    with torch.no_grad():
        logits = torch.cat([classifier.outputs(x.float() / 255)["answer"] for x in images.split(_BATCH)])
    return logits.softmax(1).gather(1, task.target[:, None])[:, 0]


def _climb(classifier: Classifier, probe: Probe) -> dict[str, Champions]:
    """The best images that each budget pays for along the gradient; who is done leaves the rest to the others."""
    probe = replace(probe, objective=Confidence(_DONE), budget=Budget(_STEPS))
    task, found = classes(classifier), {name: list[Tensor]() for name in _BUDGETS}
    costs = dict.fromkeys(_BUDGETS, 0)
    for rows in torch.arange(len(task)).split(_BATCH):
        search = probe.search(classifier, task.rows(rows))
        state, spent, left = search.start(), 0, dict(_BUDGETS)
        for step in search.walk(state):
            assert step.query.owner is not None  # noqa: S101 - gradients are of rows that are owned
            cost = 3 * int((step.query.owner >= 0).sum())
            for name in [name for name, each in left.items() if spent + cost > each * len(rows)]:
                found[name].append(_standing(search, state))
                costs[name] += spent
                del left[name]
            if not left:
                break
            state, spent = step.state, spent + cost
        for name in left:
            found[name].append(_standing(search, state))
            costs[name] += spent
    told = {}
    for name, parts in found.items():
        images = torch.cat(parts)
        told[name] = Champions(images, judged(classifier, images, task), costs[name], torch.zeros(len(task), 0))
    return told


def _standing(search: Search, state: State) -> Tensor:
    """The best images so far, as files hold them."""
    return _bytes(search.domain.decode(state["best"]["p"], search.domain.everyone))


def _save(run: Run, name: str, found: Champions) -> None:
    tensors = {"images": found.images, "confidence": found.confidence, "p": found.p}
    write_tensors(run.place / name, tensors, {"evaluations": found.evaluations, "seed": run.seed})


def _summary(found: Champions) -> Mapping[str, float]:
    """Raw counts and the spread of confidences."""
    p = found.confidence
    return {
        "evaluations": found.evaluations,
        "n": len(p),
        "at_least_99": int((p >= 0.99).sum()),
        "mean": float(p.mean()),
        "median": float(p.median()),
        "lowest": float(p.min()),
    }


def _sure(found: Champions) -> float:
    return float((found.confidence >= 0.99).double().mean())


def _bytes(images: Tensor) -> Tensor:
    return (images * 255).round().to(torch.uint8)
