"""The two gates of a finding: misuse on labeled images, and the effect of moving images along it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.findings.moving import Mover
from amiss.analysis.findings.statistics import bootstrap, difference, likelihood, logistic
from amiss.analysis.findings.values import Control, Effect, Settings, Share
from amiss.repro import generator

__all__ = ["Measured", "controls", "effects", "measure", "misuse", "natural_length"]

_BISECTIONS = 10
_FURTHEST = 6.0  # whitened standard deviations: no image lies further out


@dataclass(frozen=True)
class Measured:
    """The effect at the step at which images read like real images of the other half.

    Attributes:
        effect: None where no step does that.
        step: In units of the direction.
        pushed: Positions of the right answers that were pushed.
        broken: Which of them broke.
        seen: What real images of the other half suggest.
    """

    effect: Effect | None
    step: float
    pushed: Tensor
    broken: Tensor
    seen: Share


def misuse(position: Tensor, known: Tensor, gap: Tensor, truth: Tensor) -> tuple[float, float]:
    """Does the truth still depend on the position, given the model's own logit? Misuse is negative.

    Args:
        position: Along the direction [n].
        known: Positions along directions found before [n, k].
        gap: The model's logit of the true class over its rival's [n].
        truth: Whether each is of the true class [n].

    Returns:
        The Wald statistic, and the signed root of the likelihood ratio.

    References:
        Hauck and Donner (1977), Wald's test as applied to hypotheses in logit analysis: why the first may shrink as
        the evidence grows.
    """
    features = torch.cat([position[:, None], gap[:, None], known], 1)
    features = (features - features.mean(0)) / features.std(0).clamp_min(1e-12)
    fit, statistics = logistic(features, truth)
    without, _ = logistic(features[:, 1:], truth)
    gained = 2 * (likelihood(features, truth, fit) - likelihood(features[:, 1:], truth, without))
    return float(statistics[1]), math.copysign(max(gained, 0.0) ** 0.5, float(fit[1]))


def natural_length(mover: Mover, rows: Tensor, direction: Tensor, position: Tensor, settings: Settings) -> float:
    """How far the quarters at the two ends lie apart, in pixels: the median over images moved that far.

    Args:
        mover: Moves images.
        rows: Positions of the tested images [n].
        direction: Of unit whitened length [d].
        position: Where they lie along it [n], in its own units.
        settings: How many are moved.
    """
    low, high = torch.quantile(position, torch.tensor([0.25, 0.75], dtype=position.dtype))
    apart = float(position[position >= high].mean() - position[position <= low].mean())
    few = rows[torch.linspace(0, len(rows) - 1, min(len(rows), settings.pushed)).long()]
    return float(mover.by_steps(few, direction, -apart)[1].median())


def effects(
    mover: Mover,
    right: Tensor,
    wrong: Tensor,
    direction: Tensor,
    others: Tensor,
    length: float,
    settings: Settings,
) -> tuple[Effect, ...]:
    """Push right answers back and mistakes forth, at a third, two thirds and the whole of a length.

    Args:
        mover: Moves images.
        right: Positions of right answers.
        wrong: Positions of mistakes.
        direction: [d].
        others: Directions that it must beat [m, d].
        length: The longest, in pixels.
        settings: How many images.
    """
    right, wrong = _some(right, settings, 1), _some(wrong, settings, 2)
    lengths = [share * length for share in (1 / 3, 2 / 3, 1.0)]
    breaks = mover.by_lengths(right, -direction[None], lengths)[0] <= 0
    repairs = mover.by_lengths(wrong, direction[None], lengths)[0] > 0
    beside = (mover.by_lengths(right, others, lengths) <= 0).double().mean(2)
    return tuple(
        Effect(
            far,
            bootstrap(breaks[i], settings.seed, settings.draws),
            bootstrap(repairs[i], settings.seed, settings.draws),
            Control(float(beside[:, i].mean()), float(beside[:, i].max()), len(beside)) if len(beside) else None,
        )
        for i, far in enumerate(lengths)
    )


def controls(codes: Tensor, settings: Settings) -> Tensor:
    """Differences of two real codes drawn by the seed, both ways round [settings.controls, d].

    Args:
        codes: Of images of one class [n, d]: what varies between them leaves the truth as it is.
        settings: How many.
    """
    pairs = torch.randint(len(codes), (settings.controls // 2, 2), generator=generator(settings.seed, 5))
    between = codes[pairs[:, 0]] - codes[pairs[:, 1]]
    return torch.cat([between, -between])


def measure(
    mover: Mover,
    rows: Tensor,
    gap: Tensor,
    direction: Tensor,
    position: Tensor,
    settings: Settings,
) -> Measured:
    """The effect on images of the true class, at the step at which the model reads them as it reads real ones.

    Those of the upper half of the direction are pushed back until their mean logit falls by what lies between the
    two halves of real images. A decoder that draws a change too faintly, or too strongly, is thereby made up for.

    Args:
        mover: Moves images.
        rows: Positions of the true class's tested images [n].
        gap: The model's logit of it over its rival's [n].
        direction: Of unit whitened length [d].
        position: Where they lie along it [n].
        settings: How many are moved.
    """
    upper = position > position.median()
    wrong = gap <= 0
    seen = difference(wrong[~upper], wrong[upper], settings.seed, settings.draws)
    apart = float(gap[upper].mean() - gap[~upper].mean()) if bool(upper.any()) else 0.0
    few = _some(rows[upper], settings, 3)
    own = gap[torch.searchsorted(rows, few)]

    def fall(step: float) -> float:
        return float((own - mover.by_steps(few, direction, -step)[0]).mean())

    none = torch.zeros(0, dtype=torch.int64)
    if not len(few) or apart <= 0 or fall(_FURTHEST) < apart:
        return Measured(None, float("nan"), none, none.bool(), seen)
    low, high = 0.0, _FURTHEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if fall(middle) < apart else (low, middle)
    step = (low + high) / 2
    right, mistakes = _some(rows[upper & ~wrong], settings, 4, 3), _some(rows[~upper & wrong], settings, 5)
    pushed, lengths = mover.by_steps(right, direction, -step)
    repaired = mover.by_steps(mistakes, direction, step)[0] > 0 if len(mistakes) else none.bool()
    breaks = bootstrap(pushed <= 0, settings.seed, settings.draws)
    repairs = bootstrap(repaired, settings.seed, settings.draws)
    length = float(lengths.median()) if len(lengths) else float("nan")
    return Measured(Effect(length, breaks, repairs), step, right, pushed <= 0, seen)


def _some(rows: Tensor, settings: Settings, stream: int, times: int = 1) -> Tensor:
    """At most so many of the rows, drawn by the seed, in order."""
    if len(rows) <= times * settings.pushed:
        return rows
    order = torch.randperm(len(rows), generator=generator(settings.seed, 6, stream))
    return rows[order[: times * settings.pushed].sort().values]
