"""What findings are made of: shares with intervals, effects with controls, a finding, and all that was tested."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Control", "Effect", "Finding", "Findings", "Named", "Settings", "Share", "Verdict"]

Verdict = Literal["misuse", "use", "none"]
"""misuse: both gates hold; use: moving along it changes answers, and no misuse was detected; none: neither."""


@dataclass(frozen=True)
class Settings:
    """How findings are looked for.

    Attributes:
        needed: Fewest mistakes of one kind in the discovering half; below that they are too few.
        cohorts: Most kinds of mistake looked at, the most frequent first.
        mistakes: Most mistakes of one kind that are repaired.
        deflations: Most directions looked for in one kind of mistake.
        margin: How far the true label's logit must be ahead in a repair.
        wald: What the Wald statistic of misuse must not exceed. The null is wider than a standard normal one.
        pushed: Most images pushed along a direction.
        controls: Directions between two real codes, half of them the other half's opposites.
        draws: Bootstrap draws.
        extremes: Images at each end that a name is read from.
        batch: Images a pass.
        seed: Of everything drawn.
    """

    needed: int = 20
    cohorts: int = 4
    mistakes: int = 100
    deflations: int = 3
    margin: float = 0.5
    wald: float = -5.0
    pushed: int = 80
    controls: int = 20
    draws: int = 500
    extremes: int = 40
    batch: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Share:
    """A share and its 95 % bootstrap interval.

    Attributes:
        value: In [0, 1]; NaN of nothing.
        low: Lower bound.
        high: Upper bound.
        n: Images it is a share of.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Control:
    """What directions between two real codes of the true class do at the same length.

    Attributes:
        mean: Mean share of right answers that they break.
        most: The largest share that one of them breaks.
        n: Number of directions.
    """

    mean: float
    most: float
    n: int


@dataclass(frozen=True)
class Effect:
    """What moving images along a direction does, at one length.

    Attributes:
        length: Euclidean length of the change in pixels, the same for every image (where steps are equal instead,
            their median).
        breaks: Right answers that become wrong when pushed back along it.
        repairs: Mistakes that become right when pushed along it.
        control: What other directions break at that length; None where they were not asked.
    """

    length: float
    breaks: Share
    repairs: Share
    control: Control | None = None


@dataclass(frozen=True)
class Named:
    """How an attribute of the table goes along with a direction.

    Attributes:
        name: Of the attribute.
        difference: Its mean at the upper end minus that at the lower end, in standard deviations.
        cosine: Whitened cosine between the direction and the attribute's own direction in code space.
        noise: What a difference between two ends of so many images drawn at random seldom exceeds: three standard
            errors.
    """

    name: str
    difference: float
    cosine: float
    noise: float = 0.0

    @property
    def tells(self) -> bool:
        """Whether both readings have one sign, and the ends differ by more than chance would have them."""
        return abs(self.difference) > self.noise and self.difference * self.cosine > 0


@dataclass(frozen=True, eq=False)
class Finding:
    """One direction in code space, from mistakes of one kind, and the evidence about it.

    Attributes:
        true: Class that the mistakes belong to.
        predicted: Class that the model gives them.
        direction: [d], float64, of unit whitened length; along it mistakes become right.
        mistakes: Positions of the repaired mistakes that it was made from, in the discovering half.
        tested: Positions of the images of both classes in the testing half.
        position: Where each tested image lies along it [len(tested)], in standard deviations.
        wald: Wald statistic of the position, given the model's own logit, for the true label; misuse is negative.
        root: The signed root of the likelihood ratio of the same question. It agrees with `wald` where the labels are
            noisy, and goes on growing where the logit nearly decides and Wald's statistic shrinks again; findings
            are ranked by it.
        auc_prediction: How well the position tells the model's answer.
        auc_truth: How well it tells the truth.
        effects: At a third, two thirds and the whole of the natural length, with controls.
        measured: At the step at which images read, in the model's own logit, like real images of the other half;
            None where no step does that.
        step: That step in units of `direction`; NaN where there is none.
        pushed: Positions of the right answers behind `measured.breaks`.
        broken: Which of them broke [len(pushed)].
        seen: Share of right answers that real images of the other half suggest would be wrong there: nothing is
            decoded for it.
        agreement: Whitened cosine with the direction that a linear fit of the logit gives in place of the repairs.
        names: Attributes of the table, the foremost first; empty without a table.
        verdict: What both gates say together.
        part: Whether it is an attribute's own direction, one of those that a mixture was split into.
    """

    true: int
    predicted: int
    direction: Tensor
    mistakes: Tensor
    tested: Tensor
    position: Tensor
    wald: float
    root: float
    auc_prediction: float
    auc_truth: float
    effects: tuple[Effect, ...]
    measured: Effect | None
    step: float
    pushed: Tensor
    broken: Tensor
    seen: Share
    agreement: float
    names: tuple[Named, ...]
    verdict: Verdict
    part: bool = False

    @property
    def name(self) -> str | None:
        """The attribute that both readings of the table put first.

        None without a table, and where the readings differ: in the attribute, in its sign, or because the ends
        differ by no more than chance would have them.
        """
        if not self.names:
            return None
        first, by_cosine = self.names[0], max(self.names, key=lambda named: abs(named.cosine))
        return first.name if first is by_cosine and first.tells else None

    @property
    def length(self) -> float:
        """Natural length of a move in pixels: how far the quarters at the two ends lie apart."""
        return self.effects[-1].length

    def ends(self, n: int = 20) -> tuple[Tensor, Tensor]:
        """Positions of the n tested images furthest along it, and of the n at the other end, both outermost first."""
        order = self.position.argsort(descending=True)
        return self.tested[order[:n]], self.tested[order.flip(0)[:n]]


@dataclass(frozen=True, eq=False)
class Findings:
    """All directions that were tested.

    Attributes:
        tested: Directions with their verdicts; what is claimed comes first, by the strength of the evidence.
        too_few: (true class, predicted class, mistakes) of the kinds with too few mistakes to look at.
        needed: How many would have been enough.
        discover: Positions of the images that directions were made from.
        test: Positions of the images that they were tested on.
        covariance: Of the codes that directions were measured in, by (true, predicted): [d, d].
    """

    tested: tuple[Finding, ...]
    too_few: tuple[tuple[int, int, int], ...]
    needed: int
    discover: Tensor
    test: Tensor
    covariance: dict[tuple[int, int], Tensor]

    @property
    def claims(self) -> tuple[Finding, ...]:
        """What both gates let through."""
        return tuple(finding for finding in self.tested if finding.verdict == "misuse")

    def same(self, one: Finding, other: Finding) -> bool:
        """Whether two directions are one cue, seen from two kinds of mistake."""
        if {one.true, one.predicted} != {other.true, other.predicted}:
            return one.name is not None and one.name == other.name
        # What a code hardly uses says nothing of a direction; its inverse would say everything.
        precision = torch.linalg.pinv(self.covariance[one.true, one.predicted], rtol=1e-6, hermitian=True)
        return abs(float(one.direction @ precision @ other.direction)) > 0.5
