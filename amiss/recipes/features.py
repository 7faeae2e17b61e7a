"""Presets about hidden features: images that a layer takes for others, and images found from what a layer keeps."""

from typing import Literal

from amiss.constraints import Constraint, Linf, Quantized, Unconstrained
from amiss.errors import UsageError
from amiss.objectives import Confidence, Invert, Mimic, MimicLinear
from amiss.optimizers import LBFGSB, Adam, Sign, TwoPhase
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file
from amiss.spaces import Pixels

__all__ = ["feature_fgrad", "feature_linear", "feature_opt", "invert", "label_fgrad"]

_HAIR = 1e-6  # of a level, that float arithmetic may lose of a whole number of them


@enter("pairs", "sabour2016", "liu1989", "byrd1995")
def feature_opt(
    layer: str,
    delta: float = 10 / 255,
    steps: int = 70,
    *,
    near: float = 0.5,
    momentum: float = 0.75,
    until: Literal["met", "budget"] = "budget",
    seed: int = 0,
    batch: int = 16,
    levels: int | None = 256,
) -> Probe:
    """Feature adversaries: images near a source that a layer takes for the guide.

    The samples have guides: `images.guided(guides)`.

    Args:
        layer: Name of a layer; "answer" for the logits.
        delta: L_inf radius, in pixel values of [0, 1]. On files it is one level or more.
        steps: Steps a sample.
        near: It is met where the distance to the guide is at most this share of the source's. Below 0.5 an image is
            nearer to its guide than to its source.
        momentum: Share of the sign steps' average gradient that stays, in [0, 1).
        until: "met" stops a sample there; "budget" goes on, nearer to the guide.
        seed: Of the probe.
        batch: Rows a pass. Each holds up to twenty images of its size in memory, for the curvature.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, eq. 1.
    """
    search, constraint = TwoPhase(momentum), _box(delta, levels)
    return Probe(Pixels(), Mimic(layer, near), constraint, search, until, Budget(steps), seed, batch)


@enter("pairs", "sabour2016")
def feature_linear(
    layer: str,
    delta: float = 10 / 255,
    steps: int = 40,
    *,
    near: float = 0.5,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """Feature adversaries of a layer that is linearized at the source: what the linear model of a network is worth.

    The samples have guides: `images.guided(guides)`.

    Args:
        layer: Name of a layer; "answer" for the logits.
        delta: L_inf radius, in pixel values of [0, 1].
        steps: Steps a sample.
        near: It is met where the layer's own distance to the guide is at most this share of the source's.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, section 4
        (feature-linear).
    """
    constraint, objective = on_file(Linf(delta), levels), MimicLinear(layer, near)
    return Probe(Pixels(), objective, constraint, LBFGSB(), "budget", Budget(steps), seed, batch)


@enter("pairs", "sabour2016", "goodfellow2015")
def feature_fgrad(
    layer: str,
    delta: float = 10 / 255,
    *,
    near: float = 0.5,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """One step toward a guide's features, by the sign of the gradient.

    The samples have guides: `images.guided(guides)`. Where the step leads away from the guide, the source stays.

    Args:
        layer: Name of a layer; "answer" for the logits.
        delta: L_inf radius, in pixel values of [0, 1].
        near: It is met where the distance to the guide is at most this share of the source's.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, section 4
        (feature-fgrad); Goodfellow, Shlens and Szegedy (2015), explaining and harnessing adversarial examples,
        section 4 (the step).
    """
    constraint, objective = on_file(Linf(delta), levels), Mimic(layer, near)
    return Probe(Pixels(), objective, constraint, Sign(delta), "met", Budget(1), seed, batch)


@enter("pairs", "sabour2016", "goodfellow2015")
def label_fgrad(
    delta: float = 10 / 255,
    *,
    confidence: float = 0.5,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """One step toward a guide's label, by the sign of the gradient of its cross-entropy.

    The samples have targets: `images.guided(guides)`, or labels to become. Where the step makes the target less
    likely, the source stays.

    Args:
        delta: L_inf radius, in pixel values of [0, 1].
        confidence: It is met where the softmax probability of the target is at least this.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, section 4
        (label-fgrad); Goodfellow, Shlens and Szegedy (2015), explaining and harnessing adversarial examples,
        section 4 (the step).
    """
    constraint, objective = on_file(Linf(delta), levels), Confidence(confidence)
    return Probe(Pixels(), objective, constraint, Sign(delta), "met", Budget(1), seed, batch)


@enter("images", "mahendran2015")
def invert(
    layer: str,
    *,
    near: float = 0.2,
    bright: float = 0.01,
    rough: float = 1.0,
    lr: float = 0.02,
    steps: int = 200,
    spread: float = 0.1,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """Find an image from noise whose features are those of a given image: what a layer keeps.

    Args:
        layer: Name of a layer; "answer" for the logits.
        near: It is met where the features are no further off than this share of their length.
        bright: Weight of the alpha norm, which keeps pixels off the walls of [0, 1].
        rough: Weight of the total variation: more for layers that are far from the image.
        lr: Adam's step size in pixel values.
        steps: Adam's steps a sample.
        spread: Standard deviation of the noise around grey that the search begins with.
        seed: Of the probe, and of the noise.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Mahendran and Vedaldi (2015), understanding deep image representations by inverting them, eq. 1 to 3.
    """
    space, objective = Pixels(anew=True), Invert(layer, near, bright=bright, rough=rough)
    search, constraint = Adam(lr, spread=spread), on_file(Unconstrained(), levels)
    return Probe(space, objective, constraint, search, "budget", Budget(steps), seed, batch)


def _box(delta: float, levels: int | None) -> Constraint:
    """The box of a radius; on files rounded to levels that do not leave it."""
    if levels is None:
        return Linf(delta)
    if 0 < delta * (levels - 1) < 1 - _HAIR:
        raise UsageError(
            "Within this radius an image on file cannot change at all.",
            slug="delta-level",
            seen=f"delta={delta:g}, less than one of {levels} levels",
            needed=f"{1 / (levels - 1):.4g} (one level) or more",
            hint="delta=10 / 255, or levels=None for images that are not rounded.",
        )
    return Linf(delta) & Quantized(levels, within=delta)
