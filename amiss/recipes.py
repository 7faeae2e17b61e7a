"""Presets that papers name: each a probe, in a few lines.

All of them show the network 8-bit images, so that a success is one in the file it is saved to; `levels=None`
leaves images unrounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import L2, Constraint, LatentNorm, Linf, Quantized, Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Avoid, Become, Confidence, Objective
from amiss.optimizers import Adam, Grid, Linearized, Momentum, Optimizer, Segments, Sign, Square, Then
from amiss.probe import Budget, Probe
from amiss.spaces import Latent, Pixels
from amiss.spaces.latent import Codec
from amiss.task import Task

__all__ = ["RECIPES", "Recipe", "classes", "fgsm", "fool_gradient", "lse", "pgd", "square"]

_METRICS: dict[str, Literal["pull-back"] | None] = {"euclidean": None, "pull-back": "pull-back"}

Over = Literal["images", "mistakes", "classes"]
Make = TypeVar("Make", bound=Callable[..., Probe])


@dataclass(frozen=True)
class Recipe:
    """A preset, and what is known of it.

    Attributes:
        make: The function that makes the probe.
        over: What it runs over as a rule: all images, the classifier's mistakes (each wanting its true label), or
            one sample a class.
        cite: Keys of the papers in `amiss.citations`.
    """

    make: Callable[..., Probe]
    over: Over
    cite: tuple[str, ...]


RECIPES: dict[str, Recipe] = {}
"""Every preset by name."""


def _recipe(over: Over, *cite: str) -> Callable[[Make], Make]:
    """Enter a preset under its function's name."""

    def enter(make: Make) -> Make:
        RECIPES[make.__name__] = Recipe(make, over, cite)
        return make

    return enter


@_recipe("images", "goodfellow2015")
def fgsm(
    eps: float,
    *,
    target: int | str | None = None,
    margin: float = 0.05,
    seed: int = 0,
    levels: int | None = 256,
) -> Probe:
    """One step by the sign of the gradient.

    Args:
        eps: L_inf radius, in pixel values of [0, 1].
        target: A class to become; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        seed: Of the probe.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Goodfellow, Shlens and Szegedy (2015), explaining and harnessing adversarial examples, section 4.
    """
    return Probe(Pixels(), _wanted(target, margin), _file(Linf(eps), levels), Sign(eps), budget=Budget(1), seed=seed)


@_recipe("images", "madry2018")
def pgd(
    eps: float | None,
    steps: int = 40,
    *,
    norm: Literal["linf", "l2"] = "linf",
    step: float | None = None,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    until: Literal["met", "budget"] = "met",
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """Projected gradient steps from the image, stopped at the first success.

    Args:
        eps: Radius in the norm, in pixel values of [0, 1]; None leaves the change unbounded.
        steps: Steps a sample.
        norm: "linf" steps by the gradient's sign, "l2" along the gradient.
        step: Length of a step; 2.5 eps / steps where left out.
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        until: "budget" goes on after a success.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Madry, Makelov, Schmidt, Tsipras and Vladu (2018), towards deep learning models resistant to adversarial
        attacks, eq. 2.2.
    """
    if norm not in ("linf", "l2"):
        raise UsageError(
            "There are no such steps.",
            slug="recipe-norm",
            seen=f"norm={norm!r}",
            needed="'linf' (by the gradient's sign) or 'l2' (along the gradient)",
            hint="pgd(8 / 255) for L_inf, pgd(0.5, norm='l2') for Euclidean steps.",
        )
    budget = Budget(steps)
    if step is None:
        if eps is None:
            raise ContractError(
                "Without a radius the length of a step must be given.",
                slug="contract-step",
                seen="eps=None, step=None",
                hint="pgd(None, norm='l2', step=0.1)",
            )
        step = 2.5 * eps / steps
    constraint = _file(Linf(eps) if norm == "linf" else L2(eps), levels)
    optimizer: Optimizer = Sign(step) if norm == "linf" else Momentum(step, 0.0, "l2")
    return Probe(Pixels(), _wanted(target, margin), constraint, optimizer, until, budget, seed, batch)


@_recipe("mistakes", "zoetmulder2018", "lee2015", "moosavi2016", "arvanitidis2018")
def lse(
    decoder: Codec,
    *,
    margin: float = 0.5,
    lr: float = 0.05,
    weight: float = 0.03,
    steps: int = 200,
    minimize: Literal["euclidean", "pull-back"] | Tensor | None = "euclidean",
    restarts: int = 1,
    grid: int | None = None,
    codes: Tensor | None = None,
    labels: Tensor | None = None,
    residual: bool = True,
    until: Literal["met", "budget"] = "met",
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """Latent sympathetic examples: the change along the decoder's manifold that makes a wrong answer right.

    First each answer is flipped by Adam, from no change at all; then the flips are made as small as they can be. The
    samples' targets are their true labels: `images.misclassified(classifier)`.

    Args:
        decoder: Anything with encode and decode, trained on such images.
        margin: How far the true label's logit must be ahead, in logits.
        lr: Adam's step size in code units.
        weight: Penalty on the squared length of the code's change while the answer is not flipped.
        steps: Adam's steps a sample, at the most.
        minimize: What small means. "euclidean": the length of the code's change. "pull-back": the length of the
            change in pixels. A covariance [d, d] of codes: the length in its standard deviations. None: nothing is
            made smaller.
        restarts: Starts of a sample: the first at no change, and where it ends unmet so many around its end, ever
            further off. With until="budget" all of them at once, and the smallest success is kept.
        grid: For codes of two numbers: nodes along each side of a grid within 3 of the origin, which samples that
            Adam leaves unmet are looked up on; from the best node Adam goes on. Those left then are unreachable.
        codes: Codes [m, d] of labeled images. Samples that Adam leaves unmet are tried on the way to the nearest
            ones of their class, and from there once more by Adam.
        labels: The classes [m] of those images.
        residual: x' = x + g(z + eps) - g(z); False shows g(z + eps) itself.
        until: Where Adam stops: "met" at the first flip; "budget" goes on and keeps the smallest.
        seed: Of the restarts.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        UsageError: Another word for `minimize`, or codes without labels.

    References:
        Zoetmulder et al. (2018), latent sympathetic examples.
    """
    if (isinstance(minimize, str) and minimize not in _METRICS) or (codes is None) != (labels is None):
        raise UsageError(
            "A repair cannot be searched for like this.",
            slug="recipe-lse",
            seen=f"minimize={minimize!r}" if isinstance(minimize, str) else "codes without labels, or labels alone",
            needed="minimize='euclidean', 'pull-back', a covariance or None; codes and labels, or neither",
            hint="lse(decoder, minimize='euclidean')",
        )
    metric = _METRICS[minimize] if isinstance(minimize, str) else minimize
    size: Constraint = LatentNorm(weight, scale=metric if isinstance(metric, Tensor) else None)
    starts = Adam(lr, restarts=restarts, spread=1.0 if restarts > 1 else 0.0)
    stages: list[tuple[Optimizer, int]] = [(starts if until == "budget" else Adam(lr), steps)]
    if restarts > 1 and until == "met":
        stages.append((starts, steps))
    if codes is not None and labels is not None:
        stages += [(Segments(codes, labels), 0), (Adam(lr), steps)]
    if grid is not None:
        stages += [(Grid(grid), 0), (Adam(lr), steps)]
    if minimize is not None:
        last = Linearized(metric)
        stages.append((last, last.rounds + last.halvings))
    search = stages[-1][0]
    for i, (stage, updates) in reversed(list(enumerate(stages[:-1]))):
        search = Then(stage, search, updates, "steps" if until == "budget" and i == 0 else "met")
    constraint = _file(L2() & size if metric == "pull-back" else size, levels)
    until = until if minimize is None else "budget"
    budget = Budget(sum(updates for _, updates in stages))
    return Probe(Latent(decoder, residual), Become(margin=margin), constraint, search, until, budget, seed, batch)


@_recipe("images", "andriushchenko2020")
def square(
    eps: float,
    queries: int = 1000,
    *,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    share: float = 0.8,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """Random squares at the bound, stopped at the first success: what can be done to a model without gradients.

    Args:
        eps: L_inf radius, in pixel values of [0, 1].
        queries: Images shown to the network for each sample; the image itself is the first.
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        share: Share of the image that the first squares cover, in (0, 1].
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Andriushchenko, Croce, Flammarion and Hein (2020), square attack: a query-efficient black-box adversarial
        attack via random search, algorithms 1 and 2.
    """
    constraint, budget = _file(Linf(eps), levels), Budget(queries, queries)
    return Probe(Pixels(), _wanted(target, margin), constraint, Square(eps, share), "met", budget, seed, batch)


@_recipe("classes", "nguyen2015")
def fool_gradient(
    shape: Sequence[int],
    *,
    confidence: float = 0.99,
    step: float = 0.01,
    steps: int = 100,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """From a grey image, by the sign of the gradient, to nonsense that the classifier is sure of.

    Run it over `classes(classifier)`: one sample a class.

    Args:
        shape: Shape (C, H, W) of an image.
        confidence: Softmax probability to reach.
        step: How far a pixel moves in one step.
        steps: Steps a class.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled (gradient ascent).
    """
    space, constraint = Pixels(shape), _file(Unconstrained(), levels)
    return Probe(space, Confidence(confidence), constraint, Sign(step), "met", Budget(steps), seed, batch)


def classes(classifier: Classifier, only: Sequence[int] | None = None) -> Task:
    """One sample a class, without images: what fooling probes run over.

    Args:
        classifier: Its labels must be known, by name or from a pass.
        only: The classes wanted, by number; all of them where left out.

    Raises:
        ContractError: The number of classes is not known yet.
        UsageError: A number is none of a class.
    """
    if only is None:
        if classifier.labels is None:
            raise ContractError(
                "The number of classes is not known yet.",
                slug="contract-classes",
                seen="a classifier without labels that has answered nothing so far",
                hint="Classifier(net, labels=[...]), or classifier.check(images, labels) first.",
            )
        only = range(len(classifier.labels))
    n = None if classifier.labels is None else len(classifier.labels)
    if outside := [c for c in only if c < 0 or (n is not None and c >= n)]:
        raise UsageError(
            f"There is no class {outside[0]}.",
            slug="class-unknown",
            seen=f"only={list(only)[:8]}",
            needed="numbers from 0" if n is None else f"numbers from 0 to {n - 1}",
            hint="Give numbers of classes, or leave them out for all.",
        )
    target = torch.tensor(list(only), dtype=torch.int64)
    return Task(key=target, target=target)


def _wanted(target: int | str | None, margin: float) -> Objective:
    if target is None:
        return Avoid(margin)
    return Become(None if target == "task" else target, margin)


def _file(constraint: Constraint, levels: int | None) -> Constraint:
    """The constraint on what a file can hold; inside a ball the rounding must not leave it."""
    bound = getattr(constraint, "eps", None) is not None
    return constraint if levels is None else constraint & Quantized(levels, inward=bound)
