"""Tasks whose best answers are known: order, memory, both directions, and labels that hang together."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.data.text import open_text
from amiss.data.worlds.tasks import Labeled, chained, echo, next_symbol, parity
from amiss.models import LabelSequence, Recurrent, build
from amiss.repro import generator
from amiss.training import KINDS, TrainingRecipe, fit, train
from amiss.training.losses import LabelLoss
from amiss.training.measures.forgetting import gradients_back, growth, spectral_matrix

__all__ = ["conditional", "directions", "eigen", "hello", "labels", "learned"]

_LEARN, _TEST, _LOTS = 1, 2, 3  # streams of randomness
_RADII = (0.5, 0.9, 1.0, 1.1)


def hello(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The smallest text, learned anew in 20 runs (2 if quick): the share that continues "h" by "ello", greedily."""
    torch.set_num_threads(1)
    text, runs = open_text("hello"), 2 if run.quick else 20
    written = []
    for i in range(runs):
        model: Any = train(KINDS["text"].preset(text, hidden=16, seed=20 * run.seed + i), text).model
        written.append(model.write("h", length=4, top_k=1)[0])
    return {"hello_exact": sum(line == "hello" for line in written) / runs}, {"written": written}


def labels(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Labels of frames that need memory: running parity, and an echo after eight frames; accuracy on new rows."""
    torch.set_num_threads(1)
    tasks: dict[str, Callable[[int, torch.Generator], Labeled]] = {
        "parity": lambda n, lots: parity(n, 20, lots),
        "echo": lambda n, lots: echo(n, 30, 8, lots),
    }
    found = {}
    for name, task in tasks.items():
        model, test = learned(run, task, hidden=32, steps=2500)
        found[f"{name}_accuracy"] = _right(model.label(test.frames), test.labels)
    return found, {"rows": len(test.labels)}


def directions(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Symbols labeled by the next one: accuracy but for the last frame, in both directions and in one."""
    torch.set_num_threads(1)
    found = {}
    for name, both in {"bidirectional": True, "one_direction": False}.items():
        model, test = learned(run, lambda n, lots: next_symbol(n, 12, lots), steps=400, bidirectional=both)
        found[f"{name}_accuracy"] = _right(model.label(test.frames)[:, :-1], test.labels[:, :-1])
    return found, {"rows": len(test.labels)}


def conditional(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """What feedback is worth: nats a frame that labels before are worth, as a share of what they tell at best.

    No two neighboring labels are equal, and frames show labels through noise. What the label before tells beyond all
    frames so far is computed for the test rows by Bayes' rule. `feedback_gain` is the gain of the model with feedback
    over the one without, divided by that, and the error how far it is from 1. The raw counts tell how often a model
    with feedback is right with true labels before, and with its own.
    """
    torch.set_num_threads(1)
    nats, raw = {}, {}
    for name, feedback in {"alone": False, "fed": True}.items():
        model, test = learned(run, lambda n, lots: chained(n, 12, lots), steps=1200, hidden=32, feedback=feedback)
        with torch.no_grad():
            nats[name] = -float(model.log_probs(test.labels, test.frames).double().mean())
            raw[f"{name}_right_after_true"] = _right(model(test.labels, test.frames).argmax(1), test.labels)
        raw[f"{name}_right_after_own"] = _right(model.label(test.frames), test.labels)
    assert test.information is not None  # noqa: S101 - this task knows it
    best = float(test.information.mean())
    gain = (nats["alone"] - nats["fed"]) / best
    return {"feedback_gain": gain, "feedback_gain_error": abs(gain - 1)}, {"nats": nats, "information": best, **raw}


def eigen(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Gradients through a linear network against its spectral radius: the worst relative error of the fitted slope.

    The slope of log norm, a step, is to be log radius; of radius 1 the error is that of a slope of 0, per step.
    """
    slopes = {}
    for radius in _RADII:
        net = Recurrent(1, 24, "rnn").double()
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
            net.weights(0).back.copy_(spectral_matrix(24, radius, generator(run.seed, _LOTS)))
        x = torch.zeros(1, 60, 1, dtype=torch.float64)
        slopes[radius] = growth(gradients_back(net, x, run.seed))
    errors = [abs(slope - math.log(r)) / (abs(math.log(r)) or 1) for r, slope in slopes.items()]
    return {"eigen_slope_error": max(errors)}, {"slopes": {str(r): slope for r, slope in slopes.items()}}


def learned(
    run: Run, task: Callable[[int, torch.Generator], Labeled], steps: int, **arguments: Any
) -> tuple[LabelSequence, Labeled]:
    """A model of labels, trained on rows of a task, and rows that it has not seen."""
    data = task(200 if run.quick else 10_000, generator(run.seed, _LEARN))
    recipe = {"inputs": data.frames.shape[2], "classes": data.classes, **arguments}
    model = build({"architecture": "LabelSequence", "arguments": recipe}, seed=run.seed)
    assert isinstance(model, LabelSequence)  # noqa: S101 - the recipe names it
    training = TrainingRecipe(
        steps=5 if run.quick else steps, batch=64, rate=5e-3, clip=1.0, schedule="one-cycle", seed=run.seed
    )
    fit(model, LabelLoss(), {"frames": data.frames, "labels": data.labels}, training)
    return model.eval(), task(100 if run.quick else 2000, generator(run.seed, _TEST))


def _right(said: Tensor, true: Tensor) -> float:
    return float((said == true).double().mean())
