"""What a captioner says of scenes that it has not seen, and what it would say without looking."""

from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.weights import learned_once
from amiss.data import Images
from amiss.data.worlds.captions import SCENES, words_of
from amiss.data.worlds.faces import sample_faces
from amiss.data.worlds.scenes import sample_scenes
from amiss.models import Captioner
from amiss.repro import fold, uniform
from amiss.training import train
from amiss.training.measures.captions import bleu, exact, words_right
from amiss.training.presets.captioner import captioner_for, plain_sentences

__all__ = ["SIZE", "captioner", "captions", "faces_captioner", "stream"]

SIZE = 64
"""Side of the scenes."""

_LEARN, _TEST, _FACES, _PORTRAY, _OTHERS, _APART = 1, 2, 3, 4, 5, 6  # streams of a seed
_SCENES, _PORTRAITS = 8000, 4000  # images to learn from
_UNSEEN = 0.1  # of all sentences, never learned from
_BEAM = 5


def captions(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """A captioner of scenes, asked about scenes drawn anew.

    One sentence in ten is never learned from: `caption_exact_unseen` is told on those alone, `caption_exact` on
    scenes as the world draws them. The captioner is asked once more with the features of each image in another
    image's place: what is left is to be what the commonest sentence scores, the best that can be said blindly.
    """
    torch.set_num_threads(1)
    model = captioner(run)
    scenes = sample_scenes(200 if run.quick else 2000, stream(run, _TEST), SIZE)
    test, unseen = scenes.images(), _unseen(scenes.labels, run)
    right = plain_sentences(test)
    said, wide = _said(model, test), _said(model, test, _BEAM)
    others = _said(model, test.pick(_others(len(test), run)))
    counted = Counter(right)
    learned = sample_scenes(300 if run.quick else _SCENES, stream(run, _LEARN), SIZE).labels
    common = " ".join(words_of(SCENES.say(Counter(map(tuple, learned.tolist())).most_common(1)[0][0])))
    prior = counted[common] / len(right)
    blind = exact(others, right)
    new = [(a, b) for a, b, held in zip(said, right, unseen.tolist(), strict=True) if held]
    faces = sample_faces(20 if run.quick else 1000, stream(run, _PORTRAY), size=SIZE).images()
    portrayed, named = _said(faces_captioner(run), faces), plain_sentences(faces)
    figures = {
        "caption_exact": exact(said, right),
        "caption_exact_unseen": sum(a == b for a, b in new) / len(new),
        "caption_exact_beam": exact(wide, right),
        "caption_token_accuracy": words_right(said, right),
        "caption_bleu": bleu(said, right),
        "caption_exact_shuffled": blind,
        "caption_prior_exact": prior,
        "caption_over_prior": blind - prior,
        "caption_exact_faces": exact(portrayed, named),
    }
    raw = {
        "scenes": len(right),
        "unseen": len(new),
        "sentences": len(counted),
        "beam_differs": sum(a != b for a, b in zip(said, wide, strict=True)),
        "shuffled": {"words": words_right(others, right), "bleu": bleu(others, right)},
        "same_sentence": _same(counted),
        "wrong": [pair for pair in zip(right, said, strict=True) if pair[0] != pair[1]][:8],
        "faces": {"images": len(named), "sentences": len(set(named)), "words": words_right(portrayed, named)},
    }
    return figures, raw


def captioner(run: Run) -> Captioner:
    """The captioner of scenes, of a seed."""
    scenes = sample_scenes(300 if run.quick else _SCENES, stream(run, _LEARN), SIZE)
    return _trained(run, "scenes", scenes.pick(~_unseen(scenes.labels, run)).images())


def faces_captioner(run: Run) -> Captioner:
    """The captioner of drawn faces, of a seed."""
    n = 60 if run.quick else _PORTRAITS
    return _trained(run, "faces", sample_faces(n, stream(run, _FACES), size=SIZE).images())


def _trained(run: Run, name: str, images: Images) -> Captioner:
    """A captioner trained once."""
    preset = captioner_for(images, seed=run.seed)
    if run.quick:
        preset = replace(preset, training=replace(preset.training, steps=2))
    path = run.place / f"captioner-{name}.safetensors"
    model = learned_once(path, preset, lambda recipe, _: train(recipe, images))[0]
    assert isinstance(model, Captioner)  # noqa: S101 - it was saved as one
    return model


def stream(run: Run, purpose: int) -> int:
    """A seed for each purpose."""
    return int(fold(fold(torch.zeros((), dtype=torch.int64), run.seed), purpose)) & 0x7FFFFFFF


def _unseen(labels: Tensor, run: Run) -> Tensor:
    """Which rows [n, 5] mean a sentence that is never learned from [n], bool: by lots of the sentence."""
    key = torch.full((len(labels),), stream(run, _APART))
    for column in labels.unbind(1):
        key = fold(key, column)
    return uniform(key, (1,))[:, 0] < _UNSEEN


def _others(n: int, run: Run) -> Tensor:
    """For each of n images another one [n]: a turn of a random order, so that none keeps its place."""
    order = uniform(fold(torch.arange(n), stream(run, _OTHERS)), (1,))[:, 0].argsort()
    others = torch.empty(n, dtype=torch.int64)
    others[order] = order.roll(1)
    return others


def _said(model: Captioner, images: Images, width: int = 1) -> list[str]:
    """What the captioner says of images."""
    rows = torch.arange(len(images)).split(250)
    return [sentence for part in rows for sentence in model.answer(images.pick(part).images(), width)]


def _same(counted: Counter[str]) -> float:
    """The chance that two different images have the same sentence."""
    n = counted.total()
    return sum(k * (k - 1) for k in counted.values()) / (n * (n - 1))
