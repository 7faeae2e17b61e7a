"""Movies of which three frames of nine show something: whether a picker finds them, and what that is worth."""

from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.data import open_data
from amiss.data.sequences import Sequences
from amiss.data.worlds.digit_movies import digit_movies
from amiss.models import PickedClassifier
from amiss.repro import generator
from amiss.training import KINDS, train

__all__ = ["evenly_spaced", "informative", "picker"]

_FRAMES, _KEEP, _NOISE = 9, 3, 0.7
_SHOWN = 21  # stream of randomness
_GRAY = 128  # what an unrecorded frame is
_STEPS, _LEARN, _TEST = 800, 4, 5  # steps of training; movies of each image that are learned from, and tested on


def picker(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Frames that a picker keeps, and accuracy on new movies: with them, with all, and with evenly spaced ones.

    The three frames that show the digit are drawn by seed, never evenly spaced. All others are noise alone, so that
    an evenly spaced choice is the better the more of the three it hits. A model of its own is trained, as long, for
    each choice that hits as many as any does, and the best of them counts.
    """
    torch.set_num_threads(1)
    shown = informative(run.seed)
    learn = _movies(run, "train", shown, 1 if run.quick else _LEARN)
    test = _movies(run, "test", shown, 1 if run.quick else _TEST)
    picked, model = _accuracy(run, learn, test, keep=_KEEP)
    if not isinstance(model, PickedClassifier):
        raise TypeError("the preset picks frames")
    found = tuple(model.picker.hard().nonzero().flatten().tolist())
    whole, _ = _accuracy(run, learn, test)
    even = evenly_spaced(_FRAMES, _KEEP)
    hits = {choice: len({*choice} & {*shown}) for choice in even}
    tried = [choice for choice in even if hits[choice] == max(hits.values())][: 1 if run.quick else None]
    evenly = {choice: _accuracy(run, _only(learn, choice), _only(test, choice))[0] for choice in tried}
    figures = {
        "found": float(found == shown),
        "frames_kept": float(len(found)),
        "frames_accuracy": picked,
        "frames_accuracy_loss": whole - picked,
        "frames_over_evenly": picked - max(evenly.values()),
    }
    return figures, {
        "shown": shown, "found": found, "all_frames": whole, "movies": len(test),
        "evenly": {" ".join(map(str, choice)): value for choice, value in evenly.items()},
        "evenly_hits": max(hits.values()), "scores": model.picker.scores.tolist(),
    }  # fmt: skip


def informative(seed: int, frames: int = _FRAMES, keep: int = _KEEP) -> tuple[int, ...]:
    """Frames drawn by lot, in order, but never such as are evenly spaced."""
    lots, even = generator(seed, _SHOWN), evenly_spaced(frames, keep)
    while True:
        drawn = tuple(torch.randperm(frames, generator=lots)[:keep].sort().values.tolist())
        if drawn not in even:
            return drawn


def evenly_spaced(frames: int, keep: int) -> list[tuple[int, ...]]:
    """All choices of so many frames with one distance from each to the next."""
    return [choice for choice in combinations(range(frames), keep) if len({b - a for a, b in pairwise(choice)}) <= 1]


def _movies(run: Run, split: str, shown: tuple[int, ...], times: int) -> Sequences:
    """So many movies of each digit of a split; noise differs from movie to movie."""
    images = open_data("digits", split=split, limit=200 if run.quick else None)
    streams = [2 * (16 * run.seed + i) + (split == "test") for i in range(times)]
    parts = [digit_movies(images, _FRAMES, shown, stream, noise=_NOISE) for stream in streams]
    return Sequences.of(
        torch.cat([part.frames for part in parts]), None, torch.cat([part.truth for part in parts]), images.classes
    )


def _only(movies: Sequences, choice: tuple[int, ...]) -> Sequences:
    """The movies with all other frames blank."""
    blank: Tensor = torch.full_like(movies.frames, _GRAY)
    blank[:, list(choice)] = movies.frames[:, list(choice)]
    return Sequences.of(blank, None, movies.truth, movies.classes)


def _accuracy(run: Run, learn: Sequences, test: Sequences, **options: int) -> tuple[float, Any]:
    """Accuracy of a model that is trained on some movies, and the model."""
    preset = KINDS["sequence-classifier"].preset(learn, seed=run.seed, **options)
    training = replace(preset.training, steps=5 if run.quick else _STEPS, epochs=None)
    done = train(replace(preset, training=training), learn, test)
    return done.facts["figures"]["accuracy"], done.model
