"""Where feature adversaries lie among natural images, and where label adversaries do: two worlds, five radii."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.geometry import (
    Geometry,
    Reference,
    geometry,
    nearest_natural,
    read_features,
    read_reference,
    two_sided_auc,
)
from amiss.analysis.pairs import Pairs, draw_pairs
from amiss.bench.bench import Run
from amiss.bench.real_plants import cifar_sprites
from amiss.classifier import Classifier
from amiss.data import Images, sample_faces
from amiss.probe import Probe
from amiss.recipes import feature_fgrad, feature_opt, fgsm, label_opt
from amiss.repro import generator
from amiss.training import classifier_for, load_model, train

__all__ = ["drawn_strangers", "geometry_part", "open_worlds"]

Measured = tuple[dict[str, float], dict[str, Any]]

LAYER = "relu5"
"""The last hidden layer of a SmallCNN, rectified."""

DELTAS = (5, 10, 15, 20, 25)
"""Radii in gray levels of 255."""

_PAIRS, _STEPS, _HIDDEN = 100, 70, 512
_ARMS = ("feature", "label")
_MARKED = ("glasses", "mustache", "beard")  # there or not: eight classes of faces
_BINS = 20


@dataclass(frozen=True)
class World:
    """Images of several classes, and a classifier of them.

    Attributes:
        name: "cifar" or "faces".
        images: What the classifier has learned: natural neighbors, sources and guides come from them.
        classifier: The classifier.
        accuracy: Share of other images that it names correctly.
        delta: The radius of the figures, in gray levels; chosen on other seeds than those reported.
    """

    name: str
    images: Images
    classifier: Classifier
    accuracy: float
    delta: int


def geometry_part(run: Run) -> Measured:
    """Feature adversaries beside label adversaries and single steps, around their guides and their neighbors.

    Both are measured alike. What the figures by Delta L can show:

    - `inlier_auc_feature`, `inlier_auc_label`: two-sided, around the guides. They say whether adversaries can be told
      from the guides' natural neighbors, not on which side: an adversary that is too near the guide counts as well.
    - `..._nearest`: two-sided, around the nearest natural image of the class that adversaries are taken for, as the
      paper reads label adversaries. Whatever lies near that image is told from its neighbors, natural images as well
      (`inlier_auc_guides_nearest`): alone it shows no outlier.
    - `outlier_...`: one-sided, the chance that an adversary lies lower than a natural neighbor: 1 for outliers, near
      0 for what is nearer to the center than they are.
    - `guides`, around their nearest natural images, and `strangers`, other images of the guide's class around the
      guide: natural images in the adversaries' place, which an adversary has to exceed to be unnatural.
    - `told_from_guides_...`: two-sided, adversaries from guides, all around their nearest natural images.
    """
    torch.set_num_threads(1)
    told = {world.name: _measured(world, run) for world in open_worlds(run)}
    figures: dict[str, dict[str, Any]] = {}
    for name, one in told.items():
        feature, label = one["feature_opt"][str(one["delta"])], one["label_opt"]
        figures[name] = {
            "r1": feature["guide"]["r1"],
            **_inliers(one, feature, label),
            "rank_rho_feature": feature["guide"]["rank_rho"],
            "rank_rho_label": label["guide"]["rank_rho"],
            "delta_rank": feature["guide"]["delta_rank"],
            "shared_3": feature["guide"]["shared_3"],
            "overlap_feature": feature["guide"]["overlap"],
            "overlap_label": label["guide"]["overlap"],
        }
    each = figures.values()
    known = {
        f"{figure}_{name}": value
        for name, one in figures.items()
        for figure, value in one.items()
        if value is not None
    }
    rho = {arm: [one[f"rank_rho_{arm}"] for one in each if one[f"rank_rho_{arm}"] is not None] for arm in _ARMS}
    return {
        "inlier_auc_feature": max(one["inlier_auc_feature"] for one in each),
        "inlier_auc_label": min(one["inlier_auc_label"] for one in each),
        **({"rank_rho_feature": min(rho["feature"])} if rho["feature"] else {}),
        **({"rank_rho_label": max(rho["label"])} if rho["label"] else {}),
        "overlap_lower": float(all(one["overlap_feature"] < one["overlap_label"] for one in each)),
        **known,
    }, told


def _inliers(told: Mapping[str, Any], feature: Mapping[str, Any], label: Mapping[str, Any]) -> dict[str, float]:
    """Figures by Delta L of one world: adversaries and controls around either center."""
    at = {
        "feature": feature["guide"],
        "label": label["guide"],
        "strangers": told["strangers"]["guide"],
        "feature_nearest": feature["nearest"],
        "label_nearest": label["nearest"],
        "guides_nearest": told["guides"]["nearest"],
    }
    return {
        **{f"inlier_auc_{name}": found["inlier_auc"] for name, found in at.items()},
        **{f"outlier_{name}": found["outlier"] for name, found in at.items()},
        "told_from_guides_feature": feature["nearest"]["inlier_auc_guides"],
        "told_from_guides_label": label["nearest"]["inlier_auc_guides"],
    }


def open_worlds(run: Run) -> list[World]:
    """The two worlds with their classifiers, trained where their files are not there yet; one small one if quick."""
    if run.quick:
        return [_world(run, "faces", _faces(640, run.seed), _faces(80, run.seed + 1), 4.0, 20)]
    images = cifar_sprites(run.data("cifar10-sprites"))
    learned, other = images.pick(slice(0, 10_000)), images.pick(slice(10_000, None))
    faces = _faces(8000, 2 * run.seed), _faces(1000, 2 * run.seed + 1)
    return [_world(run, "cifar", learned, other, 12.0, 10), _world(run, "faces", *faces, 4.0, 20)]


def _faces(n: int, seed: int) -> Images:
    """Drawn faces of 64 pixels; which of three things they have is their class."""
    faces = sample_faces(n, seed, size=64)
    images = faces.images()
    classes = [" ".join(m for b, m in enumerate(_MARKED) if i >> b & 1) or "bare" for i in range(2 ** len(_MARKED))]
    labels = sum((faces[name].long() << b for b, name in enumerate(_MARKED)), torch.zeros(n, dtype=torch.int64))
    return replace(images, labels=labels, classes=tuple(classes))


def _world(run: Run, name: str, learned: Images, other: Images, epochs: float, delta: int) -> World:
    path = run.place / f"geometry-{name}.safetensors"
    if not path.is_file():
        preset = classifier_for(learned, seed=run.seed, epochs=epochs)
        preset.model["arguments"] |= {"hidden": _HIDDEN, "width": 32 if name == "cifar" else 16}
        train(preset, learned, other).save(path)
    network, facts = load_model(path)
    network.eval().requires_grad_(False)
    classifier = Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])
    return World(name, learned, classifier, facts["figures"]["accuracy"], delta)


def _measured(world: World, run: Run) -> dict[str, Any]:
    classifier, images = world.classifier, world.images
    reference = read_reference(classifier, LAYER, images)
    answers = torch.cat([classifier.predict(images.images(part)) for part in torch.arange(len(images)).split(500)])
    pairs = draw_pairs(images.truth, answers, 8 if run.quick else _PAIRS, run.seed)
    lie = _Beside(classifier, reference, images, pairs, run.seed)
    steps = 20 if run.quick else _STEPS
    deltas = (world.delta,) if run.quick else DELTAS
    told: dict[str, Any] = {"accuracy": world.accuracy, "layer": LAYER, "delta": world.delta, "pairs": len(pairs)}
    told["strangers"] = {"guide": lie.strangers()}
    told["feature_opt"] = {
        str(delta): lie.told(feature_opt(LAYER, delta / 255, steps, seed=run.seed)) for delta in deltas
    }
    rounds, each = (4, 10) if run.quick else (9, 20)
    told["label_opt"] = lie.told(label_opt(target="task", rounds=rounds, steps=each, seed=run.seed))
    told["feature_fgrad"] = lie.told(feature_fgrad(LAYER, world.delta / 255, seed=run.seed))
    told["label_fgrad"] = lie.told(fgsm(world.delta / 255, target="task", seed=run.seed))
    told["guides"] = {"nearest": _numbers(lie.natural)}
    return told


class _Beside:
    """Pairs at one layer, and what geometry says of the adversaries that a probe makes of them."""

    def __init__(self, classifier: Classifier, reference: Reference, images: Images, pairs: Pairs, seed: int) -> None:
        self.classifier, self.reference, self.seed = classifier, reference, seed
        self.shown, guides = images.images(pairs.source), images.images(pairs.guide)
        self.rows = pairs.guide  # the reference is of all images, row by row
        self.own, self.wanted = images.truth[pairs.source], images.truth[pairs.guide]
        self.task = replace(images.task(pairs.source), guide=guides, target=self.wanted)
        self.source, self.guide = (read_features(classifier, reference.layer, x) for x in (self.shown, guides))
        self.natural = self._around_nearest(self.guide, self.wanted)

    def told(self, probe: Probe) -> dict[str, Any]:
        """What a probe made, around the guides, and around the nearest natural images of what it is taken for."""
        result = probe.run(self.classifier, self.task)
        answers = torch.cat([self.classifier.predict(x) for x in result.images.split(250)])
        features = read_features(self.classifier, self.reference.layer, result.images)
        apart = (result.images - self.shown).abs().flatten(1).amax(1)
        guide, near = self._geometry(self.guide, features, self.wanted), self._around_nearest(features, answers)
        # Like with like: a natural image around its own nearest one is nearer, too, than most neighbors are.
        fair = two_sided_auc(near.likelihood, self.natural.likelihood)
        return {
            "label_is_guide": float((answers == self.wanted).double().mean()),
            "label_is_source": float((answers == self.own).double().mean()),
            "linf": round(float(apart.median()) * 255, 2),
            "guide": {**_numbers(guide), "histograms": _histograms(guide)},
            "nearest": {**_numbers(near), "inlier_auc_guides": round(fair, 4)},
        }

    def strangers(self) -> dict[str, Any]:
        """A control: another image of the guide's class in the adversary's place."""
        rows = drawn_strangers(self.reference, self.rows, self.seed)
        others = self.reference.features[rows]
        return _numbers(self._geometry(self.guide, others, self.wanted, others))  # no neighbors of themselves

    def _around_nearest(self, features: Tensor, labels: Tensor) -> Geometry:
        """Around the nearest natural image of a class, the guide aside."""
        center, _ = nearest_natural(self.reference, features, labels, self.guide, self.rows)
        return self._geometry(center, features, labels, self.guide)

    def _geometry(self, center: Tensor, features: Tensor, labels: Tensor, without: Tensor | None = None) -> Geometry:
        return geometry(
            self.reference, self.source, center, features, source_labels=self.own, labels=labels, without=without,
            guide_rows=self.rows, keys=self.task.key, seed=self.seed,
        )  # fmt: skip


def drawn_strangers(reference: Reference, guides: Tensor, seed: int) -> Tensor:
    """For each guide, by its row in the reference [P], the row of another image of its class."""
    rows = []
    for i, guide in enumerate(guides.tolist()):
        own = reference.population(int(reference.labels[guide])).rows
        others = own[own != guide]
        rows.append(others[torch.randint(len(others), (1,), generator=generator(seed, 11, i))])
    return torch.cat(rows)


def _numbers(found: Geometry) -> dict[str, Any]:
    """A geometry in numbers; None where one is undefined, as a correlation of equal ranks is."""
    return {name: None if isnan(value) else round(value, 4) for name, value in found.summary().items()}


def _histograms(found: Geometry) -> Mapping[str, Any]:
    """Counts between even edges that hold all values, natural neighbors' where there are some."""
    groups = {
        "r2": {"adversaries": found.r2},
        "r3": {"adversaries": found.r3},
        "delta_rank": {"adversaries": found.delta_rank},
        "likelihood": {
            "adversaries": found.likelihood, "close": found.likelihood_close, "far": found.likelihood_far,
        },
        "omega": {"adversaries": found.omega, "close": found.omega_close, "far": found.omega_far},
    }  # fmt: skip
    told = {}
    for name, samples in groups.items():
        everything = torch.cat([value.flatten() for value in samples.values()])
        edges = torch.linspace(float(everything.min()), float(everything.max()), _BINS + 1, dtype=torch.float64)
        counts = {k: torch.histogram(value.flatten(), edges).hist.long().tolist() for k, value in samples.items()}
        told[name] = {"edges": [float(f"{edge:.4g}") for edge in edges], **counts}
    return told
