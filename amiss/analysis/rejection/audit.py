"""The audit of rejection: what share of nonsense each rule lets pass, and what it costs to get past it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.rejection.bypass import EVOLVING, SEARCHES, Bypass, Search, bypass, require_searches
from amiss.analysis.rejection.features import Mahalanobis, RelativeMahalanobis
from amiss.analysis.rejection.scoring import Scores, score_images
from amiss.analysis.rejection.telling import Figure, accepted_share, auroc, false_positives, threshold_at
from amiss.classifier import Classifier
from amiss.errors import DataError, UsageError
from amiss.objectives import Accepted, Rule
from amiss.repro import generator
from amiss.task import Task, reaches

__all__ = ["ADAPTIVE", "Rejection", "Row", "audit_rejection", "calibrate"]

ADAPTIVE = "adaptive"
"""The kind of nonsense that was made against the very rule that judges it."""

_NATURAL = "natural"


@dataclass(frozen=True)
class Row:
    """What one rule makes of one kind of images.

    Attributes:
        detector: Name of the rule.
        kind: What the images are: a kind of nonsense, "adaptive", or "natural" for the control: the natural images
            judged, beside those that thresholds are told from.
        n: How many they are.
        sure: How many of them the classifier is sure of, in one class or another.
        accepted: The share that the rule lets pass, at the threshold that lets natural images pass at 95 %.
        auroc: The chance that a natural image scores higher than one of these.
        fpr95: The share let pass where 95 % of the natural images judged are.
    """

    detector: str
    kind: str
    n: int
    sure: int
    accepted: Figure
    auroc: Figure
    fpr95: Figure


@dataclass(frozen=True)
class Rejection:
    """What rejects nonsense, and what does not.

    Attributes:
        rows: One a rule and a kind of images.
        bypasses: One a rule and a search against it.
        thresholds: The least score that each rule lets pass, by its name.
        left_out: Why a rule is not in the table, by its name.
        ignored: The share of directions of features that a rule does not look at, such as dead units, by its name;
            for rules that tell it.
        calibrated: Natural images that the thresholds are told from.
        judged: Natural images that the rows are told from.
        share: Of natural images that are to be let pass.
        confidence: The probability that counts as sure.
    """

    rows: tuple[Row, ...]
    bypasses: tuple[Bypass, ...]
    thresholds: Mapping[str, float]
    left_out: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, float] = field(default_factory=dict)
    calibrated: int = 0
    judged: int = 0
    share: float = 0.95
    confidence: float = 0.99

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the rules, in the order of the table."""
        return tuple(self.thresholds)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of images, in the order of the table."""
        return tuple(dict.fromkeys(row.kind for row in self.rows))

    @property
    def bypassed(self) -> tuple[str, ...]:
        """The rules that evolution got past for every class, from scores alone."""
        return self.bypassed_by(*EVOLVING)

    def bypassed_by(self, *searches: Search) -> tuple[str, ...]:
        """The rules that some of these searches got past, for every class.

        Args:
            searches: Out of `SEARCHES`: by "gradient" alone, the rules that a search with the weights got past.
        """
        won: dict[str, list[bool]] = {}
        for one in self.bypasses:
            if one.search in searches:
                before = won.get(one.detector, [False] * len(one.met))
                won[one.detector] = [a or b for a, b in zip(before, one.met, strict=True)]
        return tuple(name for name in self.detectors if all(won.get(name, [False])))

    def row(self, detector: str, kind: str) -> Row:
        """The row of a rule and a kind of images.

        Raises:
            KeyError: There is none.
        """
        for row in self.rows:
            if (row.detector, row.kind) == (detector, kind):
                return row
        raise KeyError((detector, kind))

    def __repr__(self) -> str:
        """The shares let pass as a table, a rule a row."""
        head = ["let pass", *self.kinds]
        let = {(row.detector, row.kind): f"{row.accepted.value:.2f}" for row in self.rows}
        lines = [head, *([name, *(let.get((name, kind), "-") for kind in self.kinds)] for name in self.detectors)]
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(line, wide, strict=True)).rstrip() for line in lines]
        past = ", ".join(self.bypassed) or "none"
        return "\n".join([*table, *([f"bypassed for every class: {past}"] if self.bypasses else [])])

    @property
    def record(self) -> dict[str, Any]:
        """Everything but the images, as plain values that JSON can hold.

        Keys are the attributes' names and "bypassed", by evolution. A row is a mapping of its fields, each figure one
        of value, low and high; a bypass a mapping of its fields without the images.
        """
        told = ("detector", "search", "met", "evaluations", "spent")
        return {
            "rows": [asdict(row) for row in self.rows],
            "bypasses": [{name: _plain(getattr(one, name)) for name in told} for one in self.bypasses],
            "bypassed": list(self.bypassed),
            "thresholds": dict(self.thresholds),
            "left_out": dict(self.left_out),
            "ignored": dict(self.ignored),
            "calibrated": self.calibrated,
            "judged": self.judged,
            "share": self.share,
            "confidence": self.confidence,
        }


def calibrate(rule: Rule, natural: Tensor, share: float = 0.95) -> Accepted:
    """The rule with the threshold that lets natural images pass, and their spread.

    The spread is how far the median lies above the threshold; where scores are saturated, their standard deviation.

    Args:
        rule: The rule.
        natural: Its scores of natural images that it was not fitted on [n].
        share: Of them to be let pass.

    Raises:
        DataError: Too few scores, or one that is not finite.
    """
    threshold = threshold_at(natural, share)
    spreads = float(natural.double().median()) - threshold, float(natural.double().std()), 1.0
    return Accepted(rule, threshold, next(spread for spread in spreads if spread > 0))


def audit_rejection(
    classifier: Classifier,
    rules: Sequence[Rule],
    natural: Tensor,
    nonsense: Mapping[str, Tensor],
    *,
    searches: Sequence[Search] = SEARCHES,
    share: float = 0.95,
    confidence: float = 0.99,
    generations: int = 200,
    children: int = 200,
    steps: int = 300,
    task: Task | None = None,
    seed: int = 0,
    batch: int = 100,
    left_out: Mapping[str, str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Rejection:
    """Show every rule nonsense, and search for nonsense that passes it.

    Natural images are split in two by chance: thresholds are told from the one half, areas under curves from the
    other.

    Args:
        classifier: Who is sure of the nonsense.
        rules: Rules that are fitted already, by `fit_detectors`, or one's own.
        natural: Natural images that no rule was fitted on [N, C, H, W] in [0, 1], a few hundred or more.
        nonsense: Images [n, C, H, W] by kind, such as those of `make_nonsense`.
        searches: How each rule is attacked, out of `SEARCHES`; "gradient" where there is one. () does not attack.
        share: Of natural images to be let pass.
        confidence: Softmax probability that counts as sure.
        generations: Of an evolution, after the first.
        children: Images a generation.
        steps: Of a gradient search.
        task: The classes wanted, one sample each, from `classes`; all of them where left out.
        seed: Of the split, the searches and the intervals.
        batch: Images a pass.
        left_out: Why other rules are not among them, to be told with the table.
        progress: Called with what is done next.

    Raises:
        DataError: Too few natural images, or a score of one that is not finite.
        ModelError: A rule of one's own that gives no score for each image.
        UsageError: Two rules of one name, a search that is none, or nonsense called "natural" or "adaptive".
    """
    require_searches(searches)
    if reserved := [kind for kind in (_NATURAL, ADAPTIVE) if kind in nonsense]:
        raise UsageError(
            f"No kind of nonsense can be called {reserved[0]!r}.",
            slug="rejection-kind",
            seen=f"nonsense of the kinds {', '.join(map(repr, nonsense))}",
            needed=f"other names than {_NATURAL!r} and {ADAPTIVE!r}, which the table has rows of itself",
            hint="Call it by how it was made, such as 'evolved'.",
        )
    half = len(natural) // 2
    order = torch.randperm(len(natural), generator=generator(seed, 23))
    scores, sure = score_images(classifier, rules, natural[order], batch)
    _require_finite(scores)
    gates = {rule.name: calibrate(rule, scores[rule.name][:half], share) for rule in rules}
    real = {name: score[half:] for name, score in scores.items()}

    def told(kind: str, found: Scores, sure: Tensor, beside: Scores) -> list[Row]:
        count = int((sure >= confidence).sum())
        return [
            Row(
                name, kind, len(s), count, accepted_share(s, gates[name].threshold), auroc(beside[name], s),
                false_positives(beside[name], s, share, seed=seed),
            )
            for name, s in found.items()
            if len(s)
        ]  # fmt: skip

    rows = told(_NATURAL, real, sure[half:], {name: score[:half] for name, score in scores.items()})
    for kind, images in nonsense.items():
        rows += told(kind, *score_images(classifier, rules, images, batch), real)
    bypasses = []
    for rule in rules:
        against = []
        for search in searches:
            if search == "gradient" and not (rule.gives == "jacobian" and reaches(classifier.gives, "grad")):
                continue
            if progress is not None:
                progress(f"{rule.name}, {search}")
            against.append(
                bypass(
                    classifier, gates[rule.name], tuple(natural.shape[1:]), search, confidence=confidence,
                    generations=generations, children=children, steps=steps, task=task, seed=seed, batch=batch,
                )
            )  # fmt: skip
        if against:
            made = torch.cat([one.images for one in against])
            rows += told(ADAPTIVE, *score_images(classifier, [rule], made, batch), real)
        bypasses += against
    thresholds = {name: gate.threshold for name, gate in gates.items()}
    ignored = {rule.name: rule.ignored for rule in rules if isinstance(rule, Mahalanobis | RelativeMahalanobis)}
    return Rejection(
        tuple(rows), tuple(bypasses), thresholds, dict(left_out or {}), ignored, half, len(natural) - half, share,
        confidence,
    )  # fmt: skip


def _require_finite(scores: Scores) -> None:
    """Refuse scores of natural images that would rank as the most or the least natural without being numbers."""
    for name, score in scores.items():
        if broken := int((~score.isfinite()).sum()):
            raise DataError(
                f"The rule {name!r} scores natural images by what is not finite.",
                slug="rejection-scores",
                seen=f"NaN or infinity for {broken} of {len(score)} natural images",
                needed="a finite number for each",
                hint="Look at the images where it is: ~torch.isfinite(score(images)).",
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
