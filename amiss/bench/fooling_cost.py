"""What evolution costs beside the network: pictures, children, the archive."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from amiss.bench.bench import Run
from amiss.bench.fooling_imagenet import load_champions, target
from amiss.bench.lenets import lenet
from amiss.classifier import Classifier
from amiss.domain import Domain
from amiss.probe import Probe
from amiss.recipes import classes, fool_cppn, fool_direct
from amiss.repro import fold, uniform
from amiss.spaces import CPPN
from amiss.spaces.cppn import Drawing
from amiss.spaces.graphs import INPUTS
from amiss.standing import begin, stand
from amiss.task import ALL, Answer, Query, State, Task

__all__ = ["cost", "drawn_slowly"]

_KINDS: dict[str, Callable[[float], float]] = {
    "sine": math.sin,
    "sigmoid": lambda s: 2 / (1 + math.exp(-max(min(s, 60.0), -60.0))) - 1,
    "gaussian": lambda s: math.exp(-min(s * s, 700.0)),
    "linear": lambda s: max(-1.0, min(1.0, s / 3)),
}
_CHILDREN = 200


def cost(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """CPU seconds outside the network's forward over those inside, of drawing, and of the archive; one thread."""
    torch.set_num_threads(1)
    rounds, generations = (1, 3) if run.quick else (5, 10)
    large, small = target(run)[0], lenet(run)
    shape = target(run)[1]
    told: dict[str, Any] = {"rounds": rounds, "generations": generations, "children": _CHILDREN}
    for name, classifier, probe, settled in (
        ("128", large, fool_cppn(shape, batch=100, **_options(run)), True),
        ("28", small, fool_cppn((1, 28, 28), batch=200, **_options(run)), False),
        ("28_direct", small, fool_direct((1, 28, 28), batch=200, **_options(run)), False),
    ):
        state = _grown(run, probe, classifier) if settled else None
        told[name] = _overhead(classifier, probe, state, rounds, generations)
    told["draw"] = {str(turns): _drawing(run, turns) for turns in (10, 40)}
    told["add_ms"] = _adding(run, 100 if run.quick else 1000)
    return {
        "evolution_overhead_128": told["128"]["ratio"],
        "evolution_overhead_28": told["28"]["ratio"],
        "evolution_overhead_28_direct": told["28_direct"]["ratio"],
        "render_speedup": min(one["speedup"] for one in told["draw"].values()),
        "render_images_per_second": told["draw"]["10"]["images_per_second"],
        "add_ms": told["add_ms"],
    }, told


class _Timed(nn.Module):
    """A network that adds up the CPU seconds of its passes."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.seconds = network, 0.0

    def forward(self, x: Tensor) -> Tensor:
        began = time.process_time()
        out: Tensor = self.network(x)
        self.seconds += time.process_time() - began
        return out


def _options(run: Run) -> dict[str, Any]:
    return {"generations": 10_000, "children": _CHILDREN, "until": "budget", "seed": run.seed}


def _grown(run: Run, probe: Probe, classifier: Classifier) -> State:
    """A search whose elites are the champions that the part imagenet found: graphs as large as they get."""
    champions = load_champions(run)
    state = probe.search(classifier, classes(classifier)).start()
    loss = -champions.confidence.log()
    best = {**state["best"], "p": champions.p, "loss": loss, "size": torch.zeros_like(loss)}
    pool = torch.ones(len(loss), dtype=torch.bool)
    return {**state, "best": best, "optimizer": {**state["optimizer"], "turn": 400, "pool": pool}}


def _overhead(
    classifier: Classifier, probe: Probe, state: State | None, rounds: int, generations: int
) -> dict[str, Any]:
    """Seconds within the network and outside it, by rounds of some generations each; their median ratio."""
    bare = classifier.network
    timed = _Timed(bare)
    classifier.network = timed
    inside, outside = [], []
    try:
        steps = probe.walk(classifier, classes(classifier), state)
        next(steps)  # warms up
        for _ in range(rounds):
            timed.seconds, began = 0.0, time.process_time()
            for _ in range(generations):
                next(steps)
            spent = time.process_time() - began
            inside.append(timed.seconds)
            outside.append(spent - timed.seconds)
    finally:
        classifier.network = bare
    ratios = [b / a for a, b in zip(inside, outside, strict=True)]
    return {"ratio": statistics.median(ratios), "ratios": ratios, "inside": inside, "outside": outside}


def drawn_slowly(drawing: Drawing, height: int, width: int) -> list[list[float]]:
    """What a graph of one output draws, by a loop over pixels, nodes and connections, as libraries of NEAT do it.

    Args:
        drawing: The graph, in words.
        height: Pixels.
        width: Pixels.

    Returns:
        Gray values in [0, 1], by rows.
    """
    into: dict[str, list[tuple[str, float]]] = {name: [] for name in drawing.nodes}
    for source, to, weight in drawing.edges:
        into[to].append((source, weight))
    nodes = [(name, _KINDS[drawing.nodes[name]], into[name]) for name in _order(into)]
    values: dict[str, float] = {}

    def activate(*inputs: float) -> float:
        values.update(zip(INPUTS, inputs, strict=True))
        for name, kind, links in nodes:
            parts = []
            for source, weight in links:
                parts.append(values[source] * weight)
            values[name] = kind(sum(parts))
        return abs(values["output 0"])

    rows, columns = ([-1 + 2 * i / (n - 1) for i in range(n)] for n in (height, width))
    return [[activate(x, y, math.sqrt(x * x + y * y), 1.0) for x in columns] for y in rows]


def _order(into: dict[str, list[tuple[str, float]]]) -> list[str]:
    """The nodes that the output needs, each after those that feed it."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in into and name not in order:
            for source, _ in into[name]:
                visit(source)
            order.append(name)

    visit("output 0")
    return order


def _drawing(run: Run, turns: int) -> dict[str, float]:
    """Images a second of 28 x 28 pixels, of graphs mutated so many times, beside the loop over pixels."""
    space = CPPN((1, 28, 28))
    key = fold(torch.arange(_CHILDREN), run.seed)
    p = space.start(Task(key))
    for turn in range(turns):
        p = space.vary(p, fold(key, turn), turn)
    repeats, few = (3, 2) if run.quick else (30, 20)
    ours = _median(lambda: space.draw(p), repeats) / _CHILDREN
    drawings = space.describe(p[:few])
    slow = _median(lambda: [drawn_slowly(drawing, 28, 28) for drawing in drawings], 3) / few
    return {"images_per_second": 1 / ours, "loop_images_per_second": 1 / slow, "speedup": slow / ours}


def _adding(run: Run, cells: int) -> float:
    """Milliseconds in which 200 candidates compete in all cells, and the winners are laid in."""
    probe = fool_cppn((1, 28, 28), **_options(run))
    task = Task(torch.arange(cells), target=torch.arange(cells))
    domain = Domain(probe.space, probe.constraint, task, 1)
    state = begin(domain)
    loss = uniform(torch.arange(_CHILDREN), (cells,)) * 10
    p = probe.space.start(Task(torch.arange(_CHILDREN)))
    query, size = Query(p, ALL, "loss"), torch.zeros(_CHILDREN)
    state = stand(state, query, Answer(loss < 0.01, size, loss), domain, "budget", 1)[2]
    fresh = 0.999 * loss.flip(0)
    fresh[:, cells // 10 :] += 0.1  # some win, as they do in a search
    answer = Answer(fresh < 0.01, size, fresh)
    return 1000 * _median(lambda: stand(state, query, answer, domain, "budget", 1), 5 if run.quick else 50)


def _median(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU seconds of a piece of work, after one run to warm up."""
    work()
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return statistics.median(spent)
