"""No iguana, and the network is sure that it is one: from noise, and from photographs with as little as can be."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.trade import TradeOff, trade_off
from amiss.bench.bench import Run
from amiss.bench.lenets import digits, lenet
from amiss.bench.mobilenets import MOBILENETS, mobilenet, photographs
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.recipes import label_opt, pgd
from amiss.report.trade import Curve, write_trade_off
from amiss.repro import fold, generator, uniform
from amiss.task import Task

__all__ = ["iguana"]

Measured = tuple[dict[str, float], dict[str, Any]]

_NETWORK, _TARGET, _CAT = "v1-0.25", "common_iguana", "Egyptian_cat"
_PHOTOGRAPHS, _NOISES, _EACH = 20, 5, 2  # photographs, images of noise, and digits of each class
_NOISE = 0.999  # is asked for from noise
_CONFIDENCES = (0.5, 0.9, 0.99, 0.999)
_IS, _EVEN = 0.99, 1e-5  # the confidence from which on a photograph counts, up to the noise of float32
_RADII = {"iguana": (1, 2, 4, 8, 16), "digit": (16, 32, 48, 64, 96)}  # gray levels
_STEPS, _NEARLY, _PICTURED = 60, 0.99999, 4


@dataclass(frozen=True)
class _Scene:
    """Who is asked, and what is to become what.

    Attributes:
        name: Of its figures.
        classifier: The network.
        task: Images, each with a target.
        noise: Images of noise, each with a target.
    """

    name: str
    classifier: Classifier
    task: Task
    noise: Task


def iguana(run: Run) -> Measured:
    """MobileNetV1 0.25 and a network of MNIST: noise and photographs that become a class, and what that costs.

    Five images of noise, of digits one for each class, climb until the class is sure. Nineteen photographs that the
    network names rightly, and a cat, become an iguana; two digits of each class become the next one: by the smallest
    change at each of four confidences, and within each of five radii. Confidences are read from 8-bit images. A page
    with the curves is left in the run's folder. If quick, digits alone.

    Raises:
        Skip: There is no MNIST, or none of the photographs and weights.
    """
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    told: dict[str, Any] = {}
    curves: list[Curve] = []
    for scene in [_drawn(run)] if run.quick else [_photographed(run), _drawn(run)]:
        began = time.process_time()
        confidences, radii = (part[:2] if run.quick else part for part in (_CONFIDENCES, _RADII[scene.name]))
        noise = trade_off(lambda _: _climb(run.seed), [_NOISE], scene.classifier, scene.noise)
        least = trade_off(lambda c: _least(c, run), confidences, scene.classifier, scene.task)
        within = trade_off(lambda level: _within(level, run.seed), radii, scene.classifier, scene.task)
        asked = confidences[-1] if run.quick else _IS
        sure = least.confidence[confidences.index(asked)] >= asked - _EVEN
        figures[f"{scene.name}_confidence"] = float(noise.confidence.min())
        figures[f"{scene.name}_photographs"] = float(sure.double().mean())
        told[scene.name] = {
            "noise": _told(noise),
            "least": _told(least),
            "within": _told(within),
            "cpu": time.process_time() - began,
        }
        curves += _curves(scene, noise, least, within)
    told["digit"]["nearest"] = _nearest(run, scene, noise)
    write_trade_off(run.place / "iguana.html", "As sure as you like", "What being sure of a class costs.", curves)
    return figures, told


def _climb(seed: int) -> Any:
    """Sign steps that nothing binds."""
    return pgd(None, 100, step=0.01, target="task", confidence=_NOISE, seed=seed)


def _least(confidence: float, run: Run) -> Any:
    """The smallest change for a confidence; if quick, a rough one."""
    rounds, steps = (2, 5) if run.quick else (9, 20)
    return label_opt(target="task", confidence=confidence, rounds=rounds, steps=steps, seed=run.seed)


def _within(level: float, seed: int) -> Any:
    """The surest image within so many gray levels."""
    return pgd(level / 255, _STEPS, target="task", confidence=_NEARLY, schedule="cosine", seed=seed)


def _photographed(run: Run) -> _Scene:
    """The network of photographs, a cat and others that are no iguana."""
    classifier, size = mobilenet(run, _NETWORK), MOBILENETS[_NETWORK].size
    images, names = photographs(run, size), classifier.labels or ()
    target, cat = names.index(_TARGET), names.index(_CAT)
    cats = (images.truth == cat).nonzero().flatten()
    others = _right(classifier, images, run.seed)
    others = others[(images.truth[others] != target) & (images.truth[others] != cat)]
    rows = torch.cat([cats[:1], others[: _PHOTOGRAPHS - 1]])
    noise = _noise(run.seed, torch.full((_NOISES,), target), (3, size, size))
    return _Scene("iguana", classifier, _toward(images, rows, torch.full((len(rows),), target)), noise)


def _drawn(run: Run) -> _Scene:
    """The network of digits and some of each class, each toward the next one."""
    classifier, images = lenet(run), digits(run, "test")
    right, many = _right(classifier, images, run.seed), len(classifier.labels or ())
    each = 1 if run.quick else _EACH
    rows = torch.cat([right[images.truth[right] == label][:each] for label in range(many)])
    noise = _noise(run.seed, torch.arange(many), tuple(images.pixels.shape[1:]))
    return _Scene("digit", classifier, _toward(images, rows, (images.truth[rows] + 1) % many), noise)


def _right(classifier: Classifier, images: Images, seed: int) -> Tensor:
    """Rows of images that the network names rightly, of the first 500, in an order of the seed's."""
    rows = torch.randperm(len(images), generator=generator(seed, 7))[:500]
    said = torch.cat([classifier.predict(images.images(part)) for part in rows.split(100)])
    return rows[said == images.truth[rows]]


def _toward(images: Images, rows: Tensor, target: Tensor) -> Task:
    """Images that are to become their targets."""
    return Task(rows, images.images(rows), images.truth[rows], target)


def _noise(seed: int, target: Tensor, shape: tuple[int, ...]) -> Task:
    """Images of uniform noise on gray levels, that are to become their targets."""
    key = fold(torch.arange(len(target)), seed)
    return Task(key, (uniform(key, shape) * 255).round() / 255, target=target)


def _nearest(run: Run, scene: _Scene, noise: TradeOff) -> dict[str, list[float]]:
    """Euclidean distance to the nearest image of training: of what was noise, and of held-out digits."""
    train = digits(run).images().flatten(1)
    assert scene.task.image is not None  # noqa: S101 - as made
    made = noise.images[0].float() / 255
    return {
        name: torch.cdist(x.flatten(1), train).amin(1).tolist()
        for name, x in (("noise", made), ("digits", scene.task.image))
    }


def _told(trade: TradeOff) -> dict[str, Any]:
    """The counts behind a curve."""
    return {
        "settings": list(trade.settings),
        "confidence": trade.confidence.tolist(),
        "before": trade.before.tolist(),
        "l2": trade.l2.tolist(),
        "gray_levels": (trade.linf * 255).round().int().tolist(),
        "met": trade.met.sum(1).tolist(),
        "medians": trade.medians,
    }


def _curves(scene: _Scene, noise: TradeOff, least: TradeOff, within: TradeOff) -> list[Curve]:
    """What the page shows of a scene."""
    names, label, target = scene.classifier.labels or (), scene.task.label, scene.noise.target
    assert label is not None and target is not None  # noqa: S101, PT018 - as made
    samples = [names[i] for i in label[:_PICTURED].tolist()]
    whats = [f"noise, to become {names[i]}" for i in target[:_PICTURED].tolist()]
    what = _TARGET if scene.name == "iguana" else "the next digit"
    return [
        Curve(
            f"Noise that is called {what if scene.name == 'iguana' else 'each digit'}",
            "Sign steps that nothing binds, from uniform noise until the network is sure.",
            noise,
            [f"{100 * _NOISE:g} %"],
            whats,
        ),
        Curve(
            f"The least change that makes it {what}",
            "For each confidence that was asked for, the smallest change in the Euclidean norm that was found.",
            least,
            [f"{100 * c:g} %" for c in least.settings],
            samples,
        ),
        Curve(
            f"The surest {what} within a radius",
            "For each radius in L_inf, the surest image that sign steps found inside it.",
            within,
            [f"{level:g}/255" for level in within.settings],
            samples,
        ),
    ]
