"""The preset of repairs: what would have made a wrong answer right."""

from typing import Literal

from torch import Tensor

from amiss.constraints import L2, Constraint, LatentNorm
from amiss.errors import UsageError
from amiss.objectives import Become
from amiss.optimizers import Adam, Grid, Linearized, Optimizer, Segments, Then
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file
from amiss.spaces import Latent
from amiss.spaces.latent import Codec

__all__ = ["lse"]

_METRICS: dict[str, Literal["pull-back"] | None] = {"euclidean": None, "pull-back": "pull-back"}


@enter("mistakes", "zoetmulder2018", "lee2015", "moosavi2016", "arvanitidis2018")
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
    constraint = on_file(L2() & size if metric == "pull-back" else size, levels)
    until = until if minimize is None else "budget"
    budget = Budget(sum(updates for _, updates in stages))
    return Probe(Latent(decoder, residual), Become(margin=margin), constraint, search, until, budget, seed, batch)
