"""Movies of cells whose lineage is told before a marker tells it, movies of digits, and signals with a burst."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from amiss.analysis.findings.statistics import auc, logistic
from amiss.bench.bench import Run
from amiss.bench.sequences_drawn import marker_svg
from amiss.data import open_data
from amiss.data.sequences import Sequences
from amiss.data.worlds.cell_movies import sample_cells
from amiss.data.worlds.digit_movies import digit_movies
from amiss.data.worlds.signals import RATE, sample_signals
from amiss.repro import generator
from amiss.training import train
from amiss.training.presets.sequences import sequence_classifier_for, sequence_logits

__all__ = ["Bin", "bins", "intervals", "movies", "signals"]

_FAMILIES, _QUICK = (300, 400), (8, 12)  # to learn from, to test
_EDGES = (0, 8, 16, 24, 32, 40)  # frames before the marker
_FEWEST = 4  # frames that a cell must have been seen in
_DRAWS, _REDRAW = 200, 3  # resamples of an interval, stream of randomness
_BANDS = (1, 4, 8, 13, 20, 30, 45, 64)  # Hz

Bin = tuple[Tensor, Tensor]
"""Which cells were alive in a stretch of time before the marker, and how many frames of each were seen by its end."""


def movies(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The lineage of cells of new families, told from their frames before the marker.

    Two classifiers learn the same movies with the same numbers beside them (a cell's last step). One judges frames by
    themselves, the other reads them in their order, by a recurrent network in both directions. A cell's score is the
    mean over its frames. No family of the test is one that anybody learned from; intervals redraw families. "Gone"
    means gone for either of two: the classifier that knows the order, shown movies without it, and one that learned
    from movies without it.
    """
    torch.set_num_threads(1)
    families = _QUICK if run.quick else _FAMILIES
    learned, asked = (sample_cells(n, 2 * run.seed + i) for i, n in enumerate(families))
    known, drawn = _seen(learned.movies(), learned.before_marker()), asked.movies()
    test, left = _seen(drawn, asked.before_marker()), asked.before_marker()
    nets = {
        "frame": _fitted(known, run, hidden=0),
        "movie": _fitted(known, run, hidden=32),
        "shuffled": _fitted(known.shuffled(run.seed + 1), run, hidden=32),
    }
    shape, motion = (odds[left >= _FEWEST] for odds in asked.log_odds(left))
    mixed = test.shuffled(run.seed)
    scores = {
        "frame": _score(nets["frame"], test),
        "movie": _score(nets["movie"], test),
        "movie on shuffled frames": _score(nets["movie"], mixed),
        "learned and asked on shuffled frames": _score(nets["shuffled"], mixed),
        "known: shape": shape,
        "known: motion": motion,
        "known: both": shape + motion,
    }
    told = {name: auc(score, test.truth) for name, score in scores.items()}
    gone = max(told["movie on shuffled frames"], told["learned and asked on shuffled frames"])
    curve: list[dict[str, Any]] = []
    for near, far, (rows, frames) in bins(left, asked.lengths):
        part = drawn.pick(rows).cut(frames)
        here = {name: _score(nets[name], part) for name in ("frame", "movie")}
        seen = torch.ones_like(left).index_put((rows,), frames)
        here["known"] = torch.stack(asked.log_odds(seen)).sum(0)[rows]
        curve.append(
            {"from": near, "to": far, "cells": len(part), **{name: auc(s, part.truth) for name, s in here.items()},
             "intervals": intervals(here, part, run.seed)}
        )  # fmt: skip
    (run.place / "movies.svg").write_text(marker_svg(curve), encoding="utf-8")
    figures = {
        "frame_auc": told["frame"],
        "movie_auc": told["movie"],
        "movie_auc_gain": told["movie"] - told["frame"],
        "movie_auc_gain_shuffled": gone - told["frame"],
        "marker_curve_slope": _slope(
            [(row["from"] + row["to"]) / 2 for row in curve], [row["movie"] for row in curve]
        ),
    }
    digits, counts = _digits(run)
    return figures | digits, {
        "cells": {"learned": len(known), "test": len(test), "families": families},
        "auc": told, "intervals": intervals(scores, test, run.seed), "curve": curve, "digits": counts,
    }  # fmt: skip


def bins(left: Tensor, lengths: Tensor) -> list[tuple[int, int, Bin]]:
    """Stretches of time before the marker, and what had been seen of each cell by the end of each.

    A cell counts in a stretch when it was alive there and had been seen in enough frames; it is judged by all of its
    frames up to the end of the stretch, or up to its division where that came first.

    Args:
        left: Frames from each cell's first to the marker [n].
        lengths: Frames of each cell's life [n].

    Returns:
        Near and far edge in frames before the marker, and rows [m] with frames [m]; the stretch at the marker first.
    """
    found = []
    for near, far in pairwise(_EDGES):
        frames = torch.minimum(lengths, left - near)
        rows = ((frames >= _FEWEST) & (left - frames < far)).nonzero().flatten()
        found.append((near, far, (rows, frames[rows])))
    return found


def signals(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Whether a burst in one noisy channel is of a slow rhythm or a fast one, by the recurrent classifier of cells.

    Beside it stands logistic regression on the logs of the power in seven bands of the whole signal.
    """
    torch.set_num_threads(1)
    counts = (200, 200) if run.quick else (3000, 2000)
    learned, test = (sample_signals(n, 2 * run.seed + i).joined(8) for i, n in enumerate(counts))
    scores = {
        cell: _score(_fitted(learned, run, hidden=32, cell=cell, steps=800), test)
        for cell in (("gru",) if run.quick else ("gru", "lstm", "rnn"))
    }
    told = {name: auc(score, test.truth) for name, score in scores.items()}
    features, asked = (_power(x.frames.flatten(1)) for x in (learned, test))
    middle, spread = features.mean(0), features.std(0)
    weights = logistic((features - middle) / spread, learned.truth)[0]
    powers = weights[0] + ((asked - middle) / spread) @ weights[1:]
    return {"eeg_auc": told["gru"], "eeg_auc_of_band_powers": auc(powers, test.truth)}, {
        "auc": told, "learned": len(learned), "test": len(test),
    }  # fmt: skip


def _digits(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Accuracy on movies of digits of which three frames in nine show more than noise; chance is 0.1."""
    images, asked = (
        open_data("digits", split=split, limit=100 if run.quick else None) for split in ("train", "test")
    )
    often = torch.arange(len(images)).repeat(1 if run.quick else 6)  # each digit behind noise of its own, six times
    learned, test = digit_movies(images.pick(often), seed=2 * run.seed), digit_movies(asked, seed=2 * run.seed + 1)
    right = {}
    for name, hidden in (("frame", 0), ("movie", 32)):
        logits = sequence_logits(_fitted(learned, run, hidden=hidden, steps=1500), test)
        right[name] = float((logits.argmax(1) == test.truth).double().mean())
    return {"digit_movie_accuracy": right["movie"], "digit_frame_accuracy": right["frame"]}, {
        "learned": len(learned), "test": len(test), "chance": 0.1,
    }  # fmt: skip


def _seen(drawn: Sequences, left: Tensor) -> Sequences:
    """What was seen of cells before the marker, where that is enough to score them."""
    rows = left >= _FEWEST  # no life is shorter than this
    return drawn.pick(rows).cut(left[rows])


def _fitted(data: Sequences, run: Run, steps: int = 500, **options: Any) -> nn.Module:
    """A classifier of sequences that has learned."""
    preset = sequence_classifier_for(data, seed=run.seed, **options)
    training = replace(preset.training, steps=3 if run.quick else steps, epochs=None)
    return train(replace(preset, training=training), data).model.eval()


def _score(net: nn.Module, data: Sequences) -> Tensor:
    """Log-odds [n] of the second class."""
    logits = sequence_logits(net, data)
    return logits[:, 1] - logits[:, 0]


def intervals(scores: Mapping[str, Tensor], data: Sequences, seed: int) -> dict[str, list[float]]:
    """95 % intervals of the areas under the curve, and of what each is above the first, over families drawn anew."""
    family = data.table["family"]
    ids = family.unique()
    members = [(family == i).nonzero().flatten() for i in ids.tolist()]
    lots = torch.randint(len(ids), (_DRAWS, len(ids)), generator=generator(seed, _REDRAW))
    first, values = next(iter(scores)), []
    for draw in lots.tolist():
        rows = torch.cat([members[i] for i in draw])
        here = {name: auc(score[rows], data.truth[rows]) for name, score in scores.items()}
        values.append([*here.values(), *(value - here[first] for value in here.values())])
    names = [*scores, *(f"{name} - {first}" for name in scores)]
    ends = torch.tensor(values, dtype=torch.float64).nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64), 0)
    return {name: ends[:, i].tolist() for i, name in enumerate(names) if name != f"{first} - {first}"}


def _slope(distance: list[float], area: list[float]) -> float:
    """How much the area under the curve rises with every ten frames nearer to the marker, by least squares."""
    x, y = torch.tensor(distance, dtype=torch.float64), torch.tensor(area, dtype=torch.float64)
    x = x - x.mean()
    return float(-10 * (x * (y - y.mean())).sum() / x.square().sum())


def _power(x: Tensor) -> Tensor:
    """Log of the power of signals [n, T] in seven bands."""
    spectrum = torch.fft.rfft(x * torch.hann_window(x.shape[1])).abs().square()
    hertz = torch.fft.rfftfreq(x.shape[1], 1 / RATE)
    parts = [spectrum[:, (hertz >= low) & (hertz < high)].sum(1) for low, high in pairwise(_BANDS)]
    return torch.stack(parts, 1).log().double()
