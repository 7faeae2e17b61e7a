"""Nine rules of rejection fitted on natural images, from one pass of the classifier over them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.rejection.features import (
    KNN,
    FeatureNorm,
    Mahalanobis,
    Natural,
    RelativeMahalanobis,
    ViM,
    pooled,
)
from amiss.analysis.rejection.logits import ODIN, Energy, MaxLogit, MaxSoftmax
from amiss.classifier import Classifier
from amiss.errors import DataError, ModelError, UsageError
from amiss.objectives import Rule
from amiss.task import reaches

__all__ = ["DETECTORS", "Detectors", "fit_detectors", "read_natural"]

_LOGITS: tuple[type[Rule], ...] = (MaxSoftmax, MaxLogit, Energy, ODIN)
_FITTED: Mapping[str, Callable[[Natural], Rule]] = {
    one.name: one.fit for one in (Mahalanobis, RelativeMahalanobis, KNN, ViM, FeatureNorm)
}

_FLAT = 1e-4  # a spread of the energy, beside that of the logits, which rounding alone can bring about

DETECTORS: tuple[str, ...] = (*(one.name for one in _LOGITS), *_FITTED)
"""Names of the nine detectors."""


@dataclass(frozen=True)
class Detectors:
    """Rules that are ready to score images.

    Attributes:
        rules: Those that this classifier allows, in the order of `DETECTORS`.
        left_out: Why each of the others is not among them, by name.
    """

    rules: tuple[Rule, ...]
    left_out: Mapping[str, str]


def fit_detectors(
    classifier: Classifier,
    layer: str | None,
    images: Tensor,
    labels: Tensor,
    *,
    only: tuple[str, ...] = DETECTORS,
    batch: int = 256,
) -> Detectors:
    """Fit the nine detectors on natural images.

    Args:
        classifier: Who is asked. One that gives no features (an ONNX file, a function) has the rules of logits
            alone, one that gives no gradient has no ODIN, one that gives log-probabilities has no energy and no ViM.
        layer: The layer whose features are read, as a rule the last hidden one; None for rules of logits alone.
        images: Natural images [N, C, H, W] in [0, 1], as a rule some of those of training.
        labels: Their true labels [N].
        only: Names of the detectors wanted.
        batch: Images a pass.

    Raises:
        DataError: No images, or another number of labels.
        LayerError: The classifier has no such layer.
        ModelError: It tells labels alone, or its features or logits are not finite.
        UsageError: A name that is none of a detector.
    """
    if strange := [name for name in only if name not in DETECTORS]:
        raise UsageError(
            f"There is no detector {strange[0]!r}.",
            slug="rejection-detector",
            seen=f"only={list(only)}",
            needed=f"names out of {', '.join(DETECTORS)}",
            hint="Leave them out for all nine; OwnRule(score) brings one of your own.",
        )
    if not reaches(classifier.gives, "loss"):
        raise ModelError(
            "Rejection is told from logits, and this classifier tells its labels alone.",
            slug="rejection-logits",
            seen=f"a classifier that gives {classifier.gives!r}",
            needed="logits [N, classes]",
            hint="Return the logits [N, classes], or audit your own score with OwnRule(score).",
        )
    hidden = layer if len(classifier.layers) > 1 else None
    reading = [name for name in _FITTED if name in only]
    left_out: dict[str, str] = {}
    rules: list[Rule] = [one() for one in _LOGITS if one.name in only]
    if not reaches(classifier.gives, "grad") and ODIN.name in only:
        rules = [rule for rule in rules if rule.name != ODIN.name]
        left_out[ODIN.name] = "it steps along a gradient, and the classifier gives none"
    if hidden is None:
        why = "no layer was named" if layer is None else "the classifier gives none"
        left_out |= dict.fromkeys(reading, f"it reads features, and {why}")
        reading = []
    if reading or Energy.name in only:
        natural = read_natural(classifier, hidden or "answer", images, labels, batch)
        blind = {name: why for name, why in _blind(natural.logits).items() if name in only}
        left_out = {**blind, **left_out}
        rules = [rule for rule in rules if rule.name not in blind]
        rules += [_FITTED[name](natural) for name in reading if name not in blind]
    return Detectors(tuple(rules), left_out)


def _blind(logits: Tensor) -> dict[str, str]:
    """Rules of energy that these logits [N, m] of natural images leave nothing to tell by, and why."""
    if float(logits.logsumexp(1).std(correction=0)) <= _FLAT * float(logits.std(correction=0)):
        same = "the energy is the same for all natural images, as that of log-probabilities is"
        return {Energy.name: same, ViM.name: same}
    if float(logits.amax(1).mean()) <= 0:
        return {ViM.name: "its virtual logit is as high as the highest logits, and those are not above 0 on average"}
    return {}


@torch.no_grad()
def read_natural(classifier: Classifier, layer: str, images: Tensor, labels: Tensor, batch: int = 256) -> Natural:
    """Features and logits of natural images, in one pass.

    Args:
        classifier: Who is asked.
        layer: Name of a layer.
        images: [N, C, H, W] in [0, 1].
        labels: True labels [N].
        batch: Images a pass.

    Raises:
        DataError: No images, or another number of labels.
        LayerError: The classifier has no such layer.
        ModelError: Features or logits that are not finite.
    """
    if not len(images) or len(images) != len(labels):
        raise DataError(
            "Detectors are fitted on natural images, each with one label.",
            slug="data-lengths" if len(images) else "data-empty",
            seen=f"{len(images)} images, {len(labels)} labels",
            needed="one label for each of one image or more",
            hint="Give images [N, C, H, W] in [0, 1] and labels [N], as a rule some of those of training.",
        )
    seen = [classifier.outputs(part, (layer, "answer")) for part in images.split(batch)]
    features = torch.cat([pooled(one[layer]) for one in seen])
    logits = torch.cat([one["answer"].double() for one in seen])
    for what, values in (("features", features), ("logits", logits)):
        if not bool(values.isfinite().all()):
            raise ModelError(
                f"The classifier's {what} of natural images are not finite.",
                slug="rejection-not-finite",
                seen=f"NaN or infinity for {int((~values.isfinite()).any(1).sum())} of {len(values)} images",
                why="NaN in the weights, or a layer that overflows",
                hint="Choose another layer, or look for NaN: any(p.isnan().any() for p in net.parameters())",
            )
    return Natural(layer, features, logits, labels.to(features.device))
