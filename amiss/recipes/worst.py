"""The preset that finds what any other would: robust accuracy without a knob to turn it up by."""

from typing import Literal

from amiss.constraints import L2, Linf
from amiss.errors import UsageError
from amiss.objectives import Avoid
from amiss.optimizers import APGD, Square, SquareL2, Then
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file
from amiss.spaces import Pixels

__all__ = ["worst_case"]

_MARGIN = (
    1e-3  # in logits: the network is shown what will be saved, so that no more than float noise is to be survived
)
_STEPS, _CLASSES, _QUERIES = (
    100,
    9,
    2000,
)  # of a run of APGD; runs toward single classes; queries of Square at the end


@enter("images", "croce2020", "andriushchenko2020")
def worst_case(
    eps: float,
    *,
    norm: Literal["linf", "l2"] = "linf",
    seed: int = 0,
    batch: int = 256,
    levels: int | None = 256,
) -> Probe:
    """Whether anything within a radius makes the answer wrong: strong attacks one after the other, on what is left.

    Eleven runs of `APGD` climb the margin, the log-odds, and the margin of each of the nine likeliest classes; then
    `Square`, for "l2" `SquareL2`, looks 2,000 times without gradients. What is broken is left alone from then on, so
    a network that withstands little costs little. The share of the images that are right and not met is the robust
    accuracy; it bounds from above what the network withstands.

    Args:
        eps: Radius in the norm, in pixel values of [0, 1].
        norm: "linf" or "l2".
        seed: Of the probe.
        batch: Samples that are searched for together, and rows a pass.
        levels: Gray levels of a file; None leaves images unrounded, as robust accuracy is told elsewhere.

    Raises:
        UsageError: A norm that there is none of.

    References:
        Croce and Hein (2020), reliable evaluation of adversarial robustness with an ensemble of diverse
        parameter-free attacks.
    """
    if norm not in ("linf", "l2"):
        raise UsageError(
            "There is no worst case in this norm.",
            slug="recipe-norm",
            seen=f"norm={norm!r}",
            needed="'linf' (the largest change of a pixel) or 'l2' (the Euclidean length)",
            hint="worst_case(8 / 255) for L_inf, worst_case(0.5, norm='l2') for Euclidean changes.",
        )
    runs = APGD(eps, norm, _STEPS, _CLASSES)
    squares = Square(eps) if norm == "linf" else SquareL2(eps)
    search, budget = Then(runs, squares, runs.turns, "steps"), Budget(runs.turns + _QUERIES)
    constraint = on_file(Linf(eps) if norm == "linf" else L2(eps), levels)
    return Probe(Pixels(), Avoid(_MARGIN), constraint, search, "met", budget, seed, batch)
