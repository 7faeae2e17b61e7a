"""Presets that ask and never climb: labels or losses alone, for models that give no gradient."""

from typing import Literal

from amiss.constraints import L2, Linf
from amiss.optimizers import Adam, Estimated, HopSkipJump, Momentum
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file, wanted
from amiss.spaces import Pixels

__all__ = ["hop_skip_jump", "nes", "spsa"]


@enter("images", "chen2020")
def hop_skip_jump(
    queries: int = 2400,
    *,
    norm: Literal["l2", "linf"] = "l2",
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    rows: int = 100,
    seed: int = 0,
    batch: int = 32,
    levels: int | None = 256,
) -> Probe:
    """The smallest change that flips a label, found from labels alone, along the boundary.

    Of a model that gives its label alone the margin is of no account: every label is certain.

    Args:
        queries: Images shown to the network for each sample; the image itself is the first.
        norm: "l2" makes the change small in the Euclidean norm, "linf" its largest pixel.
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label. A
            task's guides, images of the wanted class, are where the search begins.
        margin: How far the wanted logit must be ahead, where there are logits.
        rows: Queries of the first estimate of the boundary's normal.
        seed: Of the probe.
        batch: Samples that are searched for together, and rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Chen, Jordan and Wainwright (2020), HopSkipJumpAttack: a query-efficient decision-based attack.
    """
    constraint, budget = on_file(L2() if norm == "l2" else Linf(), levels), Budget(queries, queries)
    return Probe(Pixels(), wanted(target, margin), constraint, HopSkipJump(norm, rows), "budget", budget, seed, batch)


@enter("images", "ilyas2018")
def nes(
    eps: float,
    queries: int = 1000,
    *,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    pairs: int = 25,
    sigma: float = 0.02,
    seed: int = 0,
    batch: int = 16,
    levels: int | None = 256,
) -> Probe:
    """Sign steps with momentum along gradients that Gaussian pairs estimate, stopped at the first success.

    Args:
        eps: L_inf radius, in pixel values of [0, 1].
        queries: Images shown to the network for each sample; the image itself is the first.
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        pairs: Directions an estimate, two queries each.
        sigma: How far from the image is looked, in pixel values of [0, 1].
        seed: Of the probe.
        batch: Samples that are searched for together, and rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Ilyas, Engstrom, Athalye and Lin (2018), black-box adversarial attacks with limited queries and information,
        algorithm 1.
    """
    steps = _steps(queries, pairs)
    search = Estimated(Momentum(2.5 * eps / steps, 0.9), "gaussian", pairs, sigma)
    budget = Budget(steps, queries)
    return Probe(Pixels(), wanted(target, margin), on_file(Linf(eps), levels), search, "met", budget, seed, batch)


@enter("images", "uesato2018", "spall1992")
def spsa(
    eps: float,
    queries: int = 1000,
    *,
    target: int | str | Literal["task"] | None = None,
    margin: float = 0.05,
    pairs: int = 25,
    sigma: float = 0.02,
    seed: int = 0,
    batch: int = 16,
    levels: int | None = 256,
) -> Probe:
    """Steps of Adam along gradients that pairs of random signs estimate, stopped at the first success.

    Args:
        eps: L_inf radius, in pixel values of [0, 1].
        queries: Images shown to the network for each sample; the image itself is the first.
        target: A class to become, or "task" for each sample's own target; left out, anything but the true label.
        margin: How far the wanted logit must be ahead.
        pairs: Directions an estimate, two queries each.
        sigma: How far from the image is looked, in pixel values of [0, 1].
        seed: Of the probe.
        batch: Samples that are searched for together, and rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Uesato, O'Donoghue, van den Oord and Kohli (2018), adversarial risk and the dangers of evaluating against weak
        attacks, algorithm 1; Spall (1992), multivariate stochastic approximation using a simultaneous perturbation
        gradient approximation.
    """
    steps = _steps(queries, pairs)
    search = Estimated(Adam(2.5 * eps / steps), "rademacher", pairs, sigma)
    budget = Budget(steps, queries)
    return Probe(Pixels(), wanted(target, margin), on_file(Linf(eps), levels), search, "met", budget, seed, batch)


def _steps(queries: int, pairs: int) -> int:
    """Estimates that the queries allow, and one look after the last; one at the least."""
    return max(1, (queries - 1) // (2 * pairs + 1))
