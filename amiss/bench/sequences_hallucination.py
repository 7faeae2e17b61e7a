"""Hallucination: what models say of frames that show nothing, with their own labels fed back and without."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.sequences_tasks import learned
from amiss.data.worlds.tasks import Labeled, chained
from amiss.repro import generator
from amiss.training.measures.hallucination import answer_above, drawn_labels, hallucination
from amiss.trust import wilson

__all__ = ["hallucinations"]

_SYMBOLS, _LENGTH = 6, 12
_RIGHT = (0.95, 0.97, 0.99)
_DRAW, _NOISE, _REAL = 4, 5, 6  # streams of randomness


def hallucinations(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Shares of inputs without content that a model labels with confidence, in a row that could be true.

    The world has a habit, as languages have: a label is followed by the next one 19 times of 20, and never by itself.
    A fifth of all frames is blank. Both models read all frames, in both directions, and differ in one thing: whether
    the labels that they have given are fed back. Answers are drawn. Each model has a threshold of its own, such that
    on real rows that it has not learned from 95 % of the labels in answers above it are right. Then the input is
    removed: all frames are blank, or show symbols drawn evenly. On other real rows it is checked how often it answers
    at all, and how often rightly; the raw counts have the same for stricter thresholds.
    """
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    raw: dict[str, Any] = {}
    for name, feedback in {"generative": True, "alone": False}.items():
        model, tune = learned(run, _world, steps=1200, hidden=32, feedback=feedback, bidirectional=True)
        said, sure = drawn_labels(model, tune.frames, generator=generator(run.seed, _DRAW))
        held = sure, (said == tune.labels).double().mean(1)
        test = _world(len(tune.labels), generator(run.seed, _REAL))
        symbols = torch.randint(_SYMBOLS, test.labels.shape, generator=generator(run.seed, _NOISE))
        inputs = {
            "real": test.frames,
            "blank": torch.zeros_like(test.frames),
            "noise": F.one_hot(symbols, _SYMBOLS).float(),
        }
        answers = {
            kind: drawn_labels(model, x, generator=generator(run.seed, _DRAW, 1)) for kind, x in inputs.items()
        }
        told = {str(rate): _counted(answers, answer_above(*held, rate), test.labels) for rate in _RIGHT}
        raw[name] = told
        first = told[str(_RIGHT[0])]
        figures[f"hallucination_{name}"] = first["blank"]["hallucinated"][0]
        figures[f"hallucination_noise_{name}"] = first["noise"]["hallucinated"][0]
        figures[f"answered_{name}"] = first["real"]["answered"][0]
    return figures, raw


def _counted(answers: dict[str, tuple[Tensor, Tensor]], above: float, true: Tensor) -> dict[str, Any]:
    """What was answered to each input: shares, each with its interval."""
    told: dict[str, Any] = {}
    for kind, (said, sure) in answers.items():
        h = hallucination(sure, (said[:, 1:] != said[:, :-1]).all(1), above)
        counts = {"answered": h.answered, "plausible": h.plausible, "hallucinated": h.hallucinated}
        told[kind] = {name: (k / h.asked, *wilson(k, h.asked)) for name, k in counts.items()}
    said, sure = answers["real"]
    right = (said == true).double().mean(1)[sure >= above]
    told["real"] = {
        "answered": told["real"]["answered"],
        "right": (float(right.mean()), *wilson(float(right.sum()), len(right))) if len(right) else None,
    }
    return {"above": above if above < math.inf else None, **told}


def _world(n: int, lots: torch.Generator) -> Labeled:
    return chained(n, _LENGTH, lots, symbols=_SYMBOLS, clear=0.9, habit=0.95, blank=0.2)
