"""The trust flags of a study: what its result, and a few searches more, say about its figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.probe import Probe
from amiss.reading import Pace
from amiss.repro import fold
from amiss.result import Outcome, Result, Status
from amiss.trust.controls import Unfit, doubled, huge, rival, shuffled
from amiss.trust.flags import Flag, found, unmeasured
from amiss.trust.kinds import KINDS
from amiss.trust.measuring import Progress, attempt, sample, seeded
from amiss.trust.steadiness import SLUGS as STEADY
from amiss.trust.steadiness import steadiness
from amiss.trust.verify import Verified

__all__ = ["after", "tallied"]

_DRAWS = 5  # random changes of an image
_LENGTHS = (1, 1 / 4, 1 / 16)  # of the steps with eps = 1: those that cross the whole box may step over a class
_FEWEST = 2  # images that a rival must break: one may be luck
_STOOD: tuple[Status, ...] = ("exhausted", "stuck", "unreachable", "no-gradient")


@dataclass(frozen=True)
class _Study:
    """A probe, whom it asked, and what came of it."""

    probe: Probe
    classifier: Classifier
    result: Result
    seed: int

    def rows(self, wanted: Callable[[Status], bool]) -> Tensor:
        """At most 32 samples whose outcome is wanted, drawn over the classes."""
        there = torch.tensor([i for i, o in enumerate(self.result.outcomes) if wanted(o.status)], dtype=torch.int64)
        label = self.result.task.label
        return there[sample(None if label is None else label.cpu()[there], len(there), self.seed)]

    def met(self, probe: Probe, rows: Tensor) -> Tensor:
        """Which of the samples another probe meets [k]."""
        task = self.result.task
        return probe.run(self.classifier, task.rows(rows.to(task.key.device))).met


def after(
    probe: Probe,
    classifier: Classifier,
    result: Result,
    *,
    claimed: int | None = None,
    verified: Tensor | Verified | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Flag, ...]:
    """Measure what could make a study's figures untrue. No bad model makes this raise; its flags say so.

    Each measurement looks at no more than 32 samples, drawn over the classes. Asking them again costs 5 passes and
    8 of one image; random changes cost 5 images a sample; the attack with eps = 1 as many steps as the study, and up
    to thrice as many for what it leaves standing. Where samples were left standing, each costs the same attack twice
    as long, and 200 queries of the Square attack.

    Args:
        probe: What searched.
        classifier: Who was asked; left as it was.
        result: What came of it.
        claimed: Successes before their files were read; those of `result` where left out.
        verified: Whether each success holds in its file [n], or what `verify` found.
        seed: Of the draws, of the Square attack, and of torch's global randomness while this runs.
        progress: Told how far it is.

    Returns:
        One flag a kind, in the order of `KINDS`.

    References:
        Carlini et al. (2019), on evaluating adversarial robustness; Athalye, Carlini and Wagner (2018), obfuscated
        gradients give a false sense of security, section 3.1; Pintor et al. (2022), indicators of attack failure.
    """
    tell = progress or (lambda *_: None)
    study = _Study(probe, classifier, result, seed)
    measures: dict[str, Callable[[], list[Flag]]] = {
        "eight-bit": lambda: [_eight_bit(result, claimed, verified)],
        "not-finite": lambda: [_not_finite(result.outcomes)],
        "random-direction": lambda: [_random(study)],
        "black-box-better": lambda: [_standing(study, "black-box-better", lambda: rival(probe, seed))],
        "not-converged": lambda: [_standing(study, "not-converged", lambda: doubled(probe))],
        "eps-huge": lambda: [_huge(study)],
    }
    flags: list[Flag] = []
    with seeded(classifier.device, seed):
        few = result.images[sample(None, len(result), seed)]
        asked_again = attempt(STEADY, lambda: steadiness(classifier, few, Pace(probe.batch)))
        unsteady = [f"{flag.title}, so two searches cannot be compared." for flag in asked_again if flag.fired]
        for slug, measure in measures.items():
            tell("Measuring trust", len(flags), len(measures))
            compared = slug != "not-finite"
            flags += [unmeasured(slug, unsteady[0])] if unsteady and compared else attempt([slug], measure)
    return tuple(flags)


def tallied(outcomes: Sequence[Outcome], claimed: int) -> tuple[Flag, ...]:
    """The flags `eight-bit` and `not-finite` of a study whose files were read; nothing is asked of the classifier.

    Args:
        outcomes: How its samples ended; a success that its file does not hold is none.
        claimed: Successes before their files were read.
    """
    k = sum(o.met for o in outcomes)
    kept = _kept(k, claimed) if claimed else unmeasured("eight-bit", "There is no success to save.")
    return kept, _not_finite(outcomes)


def _eight_bit(result: Result, claimed: int | None, verified: Tensor | Verified | None) -> Flag:
    if verified is None:
        return unmeasured("eight-bit", "No file was written.")
    n = int(result.met.sum()) if claimed is None else claimed
    if not n:
        return unmeasured("eight-bit", "There is no success to save.")
    held = verified.held & result.met if isinstance(verified, Verified) else verified
    return _kept(int(held.sum()), n)


def _kept(k: int, n: int) -> Flag:
    return found("eight-bit", k < n, k / n, f"{k:,} of {n:,} claimed successes hold in their files")


def _not_finite(outcomes: Sequence[Outcome]) -> Flag:
    if not outcomes:
        return unmeasured("not-finite", "There was nothing to search for.")
    k = sum(o.status == "not-finite" for o in outcomes)
    return found("not-finite", k > 0, k, f"{k:,} of {len(outcomes):,} searches")


def _random(study: _Study) -> Flag:
    """Ask how often a random change, as large as the one that was found, would have done."""
    slug, p = "random-direction", study.result.p
    if not isinstance(p, Tensor) or study.result.task.image is None:
        return unmeasured(slug, "There is no image that was changed, or no tensor that changes it.")
    rows = study.rows(lambda status: status == "met")
    if not len(rows):
        return unmeasured(slug, "There is no success to compare with.")
    met = sum(_by_chance(study, p, part) for part in rows.split(study.probe.batch))
    n = _DRAWS * len(rows)
    words = f"{met} of {n} random changes, {_DRAWS} for each of {len(rows)} successes"
    return found(slug, met / n > KINDS[slug].limit, met / n, words)


def _by_chance(study: _Study, p: Tensor, rows: Tensor) -> int:
    """How many random changes meet the objective, of some draws for each sample."""
    task = study.result.task.rows(rows.to(study.result.task.key.device))
    domain = study.probe.search(study.classifier, task).domain
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - as the result's own
    change = p[rows.to(p.device)].to(start.device) - start
    met = 0
    for draw in range(_DRAWS):
        moved = shuffled(change, domain.bounds(domain.everyone), fold(fold(domain.task.key, study.seed), draw))
        with torch.no_grad():
            images = domain.decode(domain.project(start + moved, domain.everyone), domain.everyone)
        met += int(study.probe.judge(study.classifier, task, images)[1].sum())
    return met


def _standing(study: _Study, slug: str, other: Callable[[], Probe]) -> Flag:
    """Let another probe have a go at the images that were left standing."""
    try:
        probe = other()
    except Unfit as why:
        return unmeasured(slug, str(why))
    ends = [o.status for o in study.result.outcomes]
    stood = sum(status in _STOOD for status in ends)
    attacked = stood + ends.count("met")  # the others count neither as broken nor as robust
    if not attacked:
        return unmeasured(slug, "No attack came to an end.")
    if not stood:
        return found(slug, False, 0.0, "no image was left standing")
    rows = study.rows(_STOOD.__contains__)
    k = int(study.met(probe, rows).sum())
    # What counts is how far the figure of the study would move, not how many of a few last images fall.
    moved = k / len(rows) * stood / attacked
    words = f"{k} of {len(rows)} images that were left standing are broken: {moved:.1%} of all that were attacked"
    return found(slug, moved > KINDS[slug].limit and k >= _FEWEST, moved, words)


def _huge(study: _Study) -> Flag:
    try:
        probes = [huge(study.probe, length) for length in _LENGTHS]
    except Unfit as why:
        return unmeasured("eps-huge", str(why))
    rows = study.rows(lambda status: status == "met" or status == "not-finite" or status in _STOOD)
    if not len(rows):
        return unmeasured("eps-huge", "There was nothing to attack.")
    left = rows
    for probe in probes:
        if len(left):
            left = left[~study.met(probe, left)]
    k = len(rows) - len(left)
    return found("eps-huge", k < len(rows), k / len(rows), f"{k} of {len(rows)} images are broken with eps = 1")
