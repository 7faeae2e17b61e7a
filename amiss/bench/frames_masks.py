"""Few readings of a scene in patterned light: what learned patterns are worth beside random and Hadamard ones."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.analysis.findings.statistics import auc
from amiss.bench.bench import Run
from amiss.data import Images, open_data
from amiss.models import Illumination, LitCaptioner
from amiss.training import KINDS, Preset, train
from amiss.training.patterns import evidence, patterns_for_class, patterns_for_sentence
from amiss.training.presets.captioner import plain_sentences

__all__ = ["caption", "mask", "small_faces"]

_PATTERNS, _SENSOR = 6, 0.02  # of digits: patterns, and noise of a reading
_FACE_PATTERNS, _FACE_SENSOR = 16, 0.001
_RANDOM = 3  # random lights whose mean counts
_SENTENCES, _OWN = 2, 2  # sentences that get a light of their own, and its patterns

_LIGHTS: Mapping[str, dict[str, Any]] = {
    "learned": {"learned": True},
    "hadamard": {"learned": False, "begin": "hadamard"},
    **{f"random {i}": {"learned": False, "begin": "random"} for i in range(_RANDOM)},
}


def mask(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Accuracy on handwriting read by six patterns: learned, random (the mean of three) and the smoothest Hadamard.

    The classifiers behind them are trained alike, and readings have the same noise in training and in the test. Then
    one pattern for each class, against all other classes: the area under the curve of its reading, beside that of a
    random pattern, whose sign is chosen for it.
    """
    torch.set_num_threads(1)
    learn, test = _digits(run)
    preset = KINDS["classifier"].preset(
        learn, seed=run.seed, epochs=0.2 if run.quick else 25.0, patterns=_PATTERNS, noise=_SENSOR
    )
    right = {}
    for name, light in _LIGHTS.items():
        done = train(_in_light(preset, name, light), learn, test)
        right[name] = done.facts["figures"]["accuracy"]
    best, other = _one_pattern(run, learn, test)
    figures = _gains(right, "mask_gain") | {
        "mask_accuracy": right["learned"], "pattern_auc": fmean(best.values()),
        "pattern_auc_gain": fmean(best.values()) - fmean(other),
    }  # fmt: skip
    return figures, {"accuracy": right, "auc": best, "auc_random": other, "test": len(test)}


def caption(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Sentences about faces, told exactly, by captioners that see sixteen readings: learned, random, Hadamard.

    Then a light of its own for some sentences, two patterns before the same captioner's voice: the area under the
    curve of the sentence's log probability, of images that it is true of against all others, beside that of two
    random patterns whose readers are trained alike.
    """
    torch.set_num_threads(1)
    learn, test = small_faces(run.seed, run.quick)
    told = plain_sentences(test)
    exact, models = {}, dict[str, LitCaptioner]()
    plain = _captioner(learn, run)
    for name, light in _LIGHTS.items():
        model = train(_in_light(plain, name, light), learn).model
        if not isinstance(model, LitCaptioner):
            raise TypeError("the preset builds a captioner in patterned light")
        model.light.train()  # the sensor goes on to be noisy
        said = _noisy(lambda m=model: [text for x in test.images().split(250) for text in m.answer(x)], run.seed)
        exact[name] = fmean(a == b for a, b in zip(said, told, strict=True))
        models[name] = model
    own = _own_light(run, models["learned"], learn, test)
    figures = _gains(exact, "mask_gain_caption") | {
        "mask_caption_exact": exact["learned"],
        "pattern_caption_auc": fmean(row["own"] for row in own.values()),
        "pattern_caption_auc_gain": fmean(row["own"] - row["random"] for row in own.values()),
    }
    return figures, {"exact": exact, "auc": own, "test": len(test)}


def small_faces(seed: int, quick: bool = False) -> tuple[Images, Images]:
    """Drawn faces, gray, of 16 x 16 pixels, with a sentence each: to learn from, and to test on."""
    pair = []
    for split, n in (("train", 200 if quick else 4000), ("test", 100 if quick else 1000)):
        faces = open_data(f"faces:n={n},seed={seed}", split=split, channels=1, limit=n)
        pixels = F.avg_pool2d(faces.images(), 3).mul(255).round().to(torch.uint8)
        pair.append(Images.of(pixels, None, (), table=faces.table, captions=faces.captions))
    return pair[0], pair[1]


def _digits(run: Run) -> tuple[Images, Images]:
    limit = 200 if run.quick else None
    return open_data("digits", split="train", limit=limit), open_data("digits", split="test")


def _in_light(preset: Preset, name: str, light: Mapping[str, Any]) -> Preset:
    """The preset in another light; each random one is drawn with weights of its own."""
    arguments = {**preset.model["arguments"], **light}
    seed = preset.training.seed + 1000 * (int(name.split()[1]) + 1 if " " in name else 0)
    return replace(
        preset, model={**preset.model, "arguments": arguments}, training=replace(preset.training, seed=seed)
    )


def _captioner(learn: Images, run: Run) -> Preset:
    """A small captioner in patterned light."""
    preset = KINDS["captioner"].preset(learn, hidden=64, seed=run.seed)
    told = {
        name: preset.model["arguments"][name] for name in ("words", "channels", "size", "length", "hidden", "cell")
    }
    # Learned patterns begin at random: parts of a face are smaller than what the smoothest patterns part.
    arguments = {**told, "code": 64, "patterns": _FACE_PATTERNS, "noise": _FACE_SENSOR, "begin": "random"}
    steps = 2 if run.quick else 1000
    training = replace(preset.training, steps=steps, batch=32, epochs=None, precision="float32")
    return replace(preset, model={"architecture": "LitCaptioner", "arguments": arguments}, training=training)


def _gains(right: Mapping[str, float], name: str) -> dict[str, float]:
    """What learned patterns gain over random ones (their mean), and over Hadamard's."""
    random = fmean(value for light, value in right.items() if light.startswith("random"))
    return {name: right["learned"] - random, f"{name}_hadamard": right["learned"] - right["hadamard"]}


def _noisy(measure: Any, seed: int) -> Any:
    """What is measured, with the sensor's noise drawn from a seed."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return measure()


def _one_pattern(run: Run, learn: Images, test: Images) -> tuple[dict[str, float], list[float]]:
    """Areas under the curve by one pattern: for each class its own, and for random patterns the mean over classes."""
    classes = range(2 if run.quick else 10)
    best = {}
    for label in classes:
        light = patterns_for_class(
            learn.pixels, learn.truth == label, noise=_SENSOR, steps=20 if run.quick else 400, seed=run.seed
        ).train()
        best[str(label)] = _area(run, light, test.pixels, test.truth == label)
    other = []
    for i in range(_RANDOM):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * (i + 1) + run.seed)
            light = Illumination(1, 8, 1, _SENSOR)
        areas = [_area(run, light, test.pixels, test.truth == label) for label in classes]
        other.append(fmean(max(area, 1 - area) for area in areas))
    return best, other


def _own_light(run: Run, captioner: LitCaptioner, learn: Images, test: Images) -> dict[str, dict[str, float]]:
    """For the commonest sentences the areas under the curve: in light of their own, and in random light."""
    known, asked = plain_sentences(learn), plain_sentences(test)
    rows: dict[str, dict[str, float]] = {}
    for sentence, _ in Counter(known).most_common(1 if run.quick else _SENTENCES):
        wanted = torch.tensor([text == sentence for text in known])
        true = torch.tensor([text == sentence for text in asked])
        rows[sentence] = {}
        for name, learned in {"own": True, "random": False}.items():
            lit = patterns_for_sentence(
                captioner, learn.pixels, wanted, sentence, patterns=_OWN, noise=_FACE_SENSOR, learned=learned,
                steps=2 if run.quick else 400, seed=run.seed,
            )  # fmt: skip
            lit.light.train()
            rows[sentence][name] = _area(run, lit, test.pixels, true, sentence)
    return rows


def _area(run: Run, model: Illumination | LitCaptioner, pixels: Tensor, wanted: Tensor, sentence: str = "") -> float:
    return auc(_noisy(lambda: evidence(model, pixels, sentence), run.seed), wanted)
