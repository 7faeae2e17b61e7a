"""Presets about labels: how little breaks a right answer."""

from typing import Literal

from amiss.constraints import L2, Linf
from amiss.errors import ContractError, UsageError
from amiss.optimizers import DDN, LBFGSB, Adam, DeepFool, Linearized, Momentum, Optimizer, Sign, Square, Then, Weigh
from amiss.optimizers.gradient import Schedule
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file, wanted
from amiss.spaces import Pixels

__all__ = ["cw", "ddn", "deepfool", "fgsm", "label_opt", "pgd", "square"]

_LEVELS = 10  # sign steps, each of a gray level, that go before a search for changes that may be finer
_SURE = 100  # and where a confidence is to be reached, which takes more of them


@enter("images", "goodfellow2015")
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
    return Probe(Pixels(), wanted(target, margin), on_file(Linf(eps), levels), Sign(eps), budget=Budget(1), seed=seed)


@enter("images", "madry2018")
def pgd(
    eps: float | None,
    steps: int = 40,
    *,
    norm: Literal["linf", "l2"] = "linf",
    step: float | None = None,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    confidence: float | None = None,
    until: Literal["met", "budget"] = "met",
    climb: Literal["margin", "odds"] = "margin",
    restarts: int = 1,
    schedule: Schedule = "constant",
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
        confidence: Softmax probability that the target must reach, in place of the margin.
        until: "budget" goes on after a success.
        climb: "margin": what is missing of it falls, which ends where it is met. "odds": the log-odds of success
            rise, in which all classes pull; their gradient has the direction of the cross-entropy's, and does not
            vanish where the classifier is very sure.
        restarts: Starts a sample: the image itself, and random points of the ball, ever further from it. Each costs
            as much as the first.
        schedule: How the length of a step goes over the steps: "constant", "linear" or "cosine" down to 0.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        ContractError: Neither a radius nor the length of a step.
        UsageError: A norm, a loss or a schedule of another name, a radius below 0 or in units of 0..255, no step or
            start, or a confidence without a target.

    References:
        Madry, Makelov, Schmidt, Tsipras and Vladu (2018), towards deep learning models resistant to adversarial
        attacks, eq. 2.2.
    """
    if climb not in ("margin", "odds"):
        raise UsageError(
            "There is no such thing to climb.",
            slug="recipe-climb",
            seen=f"climb={climb!r}",
            needed="'margin' (what is missing of it falls) or 'odds' (the log-odds of success rise)",
            hint="pgd(8 / 255, climb='odds')",
        )
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
    constraint = on_file(Linf(eps) if norm == "linf" else L2(eps), levels)
    of: Literal["odds", "value"] = "odds" if climb == "odds" else "value"
    spread = 0.0 if restarts == 1 else step if eps is None else eps
    optimizer: Optimizer = Sign(step, restarts=restarts, spread=spread, schedule=schedule, of=of)
    if norm == "l2":
        optimizer = Momentum(step, 0.0, "l2", restarts=restarts, spread=spread, schedule=schedule, of=of)
    return Probe(Pixels(), wanted(target, margin, confidence), constraint, optimizer, until, budget, seed, batch)


@enter("images", "andriushchenko2020")
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
    constraint, budget = on_file(Linf(eps), levels), Budget(queries, queries)
    return Probe(Pixels(), wanted(target, margin), constraint, Square(eps, share), "met", budget, seed, batch)


@enter("images", "rony2019")
def ddn(
    *,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    steps: int = 50,
    gamma: float = 0.1,
    starts: int = 3,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """The smallest change that flips a label, in the Euclidean norm: direction and length taken apart.

    Args:
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        steps: Turns a sample; the last six need no gradient.
        gamma: By how much the length changes in a turn, in (0, 1).
        starts: How many starts race over the first part of the turns, each a pass a turn: one along the log-odds of
            success, the others on the nearest linearized boundaries. The best one goes on.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Rony, Hafemann, Oliveira et al. (2019), decoupling direction and norm for efficient gradient-based L2
        adversarial attacks and defenses, algorithm 1.
    """
    search, constraint = DDN(gamma, starts=starts), on_file(L2(), levels)
    return Probe(Pixels(), wanted(target, margin), constraint, search, "budget", Budget(steps), seed, batch)


@enter("images", "moosavi2016")
def deepfool(
    *,
    margin: float = 0.05,
    steps: int = 50,
    among: int = 5,
    rounds: int = 10,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """Over the nearest linearized boundary until the answer is another, and then back to that boundary.

    Args:
        margin: How far some other logit must be ahead.
        steps: Steps over a boundary that a sample may take; most need three.
        among: Classes to choose the boundary from, those that are least behind; each costs a backward pass a step.
        rounds: Steps that make a success smaller; six bisections follow.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Moosavi-Dezfooli, Fawzi and Frossard (2016), DeepFool, algorithm 2; the way back is not theirs.
    """
    back = Linearized(rounds=rounds)
    search, updates = Then(DeepFool(among=among), back, steps), steps + 1 + rounds + back.halvings
    budget = Budget(updates)
    return Probe(Pixels(), wanted(None, margin), on_file(L2(), levels), search, "budget", budget, seed, batch)


@enter("images", "szegedy2014")
def label_opt(
    *,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    confidence: float | None = None,
    rounds: int = 9,
    steps: int = 20,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """The smallest change that flips a label, in the Euclidean norm: L-BFGS in a box, and a search over its factor.

    Such a change may be finer than the gray levels of a file, and rounding then takes all of it back. So where images
    are rounded, sign steps of one level go before until the label is flipped, and what is smaller takes their place.

    Args:
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        confidence: Softmax probability that the target must reach, in place of the margin.
        rounds: Factors of the penalty that are tried.
        steps: Steps of L-BFGS with each of them.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        UsageError: A confidence without a target, or one outside (0, 1).

    References:
        Szegedy, Zaremba, Sutskever et al. (2014), intriguing properties of neural networks, section 4.1.
    """
    constraint, updates = on_file(L2(weight=1.0), levels), rounds * (steps + 1)
    search: Optimizer = Weigh(LBFGSB(), rounds, steps)
    if levels is not None:
        before = _LEVELS if confidence is None else _SURE
        search, updates = Then(Sign(1 / (levels - 1)), search, before), updates + before
    goal, budget = wanted(target, margin, confidence), Budget(updates)
    return Probe(Pixels(), goal, constraint, search, "budget", budget, seed, batch)


@enter("images", "carlini2017")
def cw(
    *,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    confidence: float | None = None,
    rounds: int = 5,
    steps: int = 60,
    lr: float = 0.02,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """The smallest change that flips a label, in the Euclidean norm: Adam, and a search over the penalty's factor.

    Args:
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        confidence: Softmax probability that the target must reach, in place of the margin.
        rounds: Factors of the penalty that are tried.
        steps: Steps of Adam with each of them.
        lr: Step size of Adam, in pixel values of [0, 1].
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        UsageError: A confidence without a target, or one outside (0, 1).

    References:
        Carlini and Wagner (2017), towards evaluating the robustness of neural networks, section 6.1. Their images
        are a hyperbolic tangent of what is searched, and theirs is the factor of the label's loss; here images are
        clipped after each step, and the factor is that of the change.
    """
    goal, budget = wanted(target, margin, confidence), Budget(rounds * (steps + 1))
    search = Weigh(Adam(lr), rounds, steps)
    return Probe(Pixels(), goal, on_file(L2(weight=1.0), levels), search, "budget", budget, seed, batch)
