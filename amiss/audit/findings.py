"""Findings as plain values, sentences and pictures on disk: what the first page of a report is built from."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.findings import Effect, Finding, Findings, Share
from amiss.audit.frames import number
from amiss.audit.walks import Sheet
from amiss.trust.interval import wilson

__all__ = ["Redraw", "called", "finding_id", "findings_record", "first_tile", "in_short"]

Redraw = Callable[[str, bool, Tensor], Tensor | None]
"""Of worlds that can be drawn anew: the images at given positions, uint8 [k, C, H, W], with an attribute moved into
its upper (True) or lower half; those that are there already stay. None where no such attribute can be redrawn."""

_STRIPS = 5
_ENDS = 20
_AVERAGED = 32


def findings_record(findings: Findings, sheet: Sheet, *, bar: float, redraw: Redraw | None = None) -> dict[str, Any]:
    """The findings as JSON values; the pictures they name are written under the run folder.

    Args:
        findings: All directions that were tested.
        sheet: Images, answers, classifier, decoder and folder.
        bar: What the Wald statistic of a claim must not exceed.
        redraw: Draws the same images anew, where they come from a world that can.
    """
    rows = [_finding(finding, findings, i, sheet, bar, redraw) for i, finding in enumerate(findings.tested)]
    names = sheet.names
    for i, row in enumerate(rows):
        row["says"] += _again(findings, i, names)
    return {
        "claims": [row for row in rows if row["verdict"] == "misuse"],
        "tested": [row for row in rows if row["verdict"] != "misuse"],
        "too_few": [{"true": names[t], "predicted": names[p], "mistakes": n} for t, p, n in findings.too_few],
        "needed": findings.needed,
        "discover": len(findings.discover),
        "test": len(findings.test),
        "sentence": _sentence(findings, names),
        "limits": _limits(findings),
    }


def in_short(findings: Findings, names: tuple[str, ...]) -> str:
    """What was found, as the end of a sentence that says how often the classifier is wrong."""
    if not findings.claims:
        return ""
    first = findings.claims[0]
    return f"the cue best shown to be misused is {called(first)}, which it takes for {names[first.true]}"


def first_tile(findings: Findings, names: tuple[str, ...]) -> dict[str, str]:
    """The first finding as one of the figures of the first page."""
    tested = f"{len(findings.tested)} {'direction' if len(findings.tested) == 1 else 'directions'} tested"
    if not findings.claims:
        note = f"{tested}; that is no proof that there is none" if findings.tested else "too few mistakes of any kind"
        return {"label": "Misused cue", "value": "none found", "note": note}
    first = findings.claims[0]
    return {"label": "Misused cue", "value": called(first), "note": f"taken for {names[first.true]}; {tested}"}


def finding_id(finding: Finding, place: int) -> str:
    """What a finding is known by, fit for a file: its classes and its place among all that was tested."""
    return f"{finding.true}-{finding.predicted}-{place}"


def called(finding: Finding) -> str:
    """The change along a direction in words: more or less of what the table calls it."""
    if finding.name is None:
        return "a change without a name"
    return f"{'more' if finding.names[0].difference > 0 else 'less'} {finding.name}"


def _finding(
    finding: Finding, findings: Findings, place: int, sheet: Sheet, bar: float, redraw: Redraw | None
) -> dict[str, Any]:
    images, names = sheet.images, sheet.names
    kind = (images.truth == finding.true) & (sheet.predicted == finding.predicted)
    where = {int(i): number(float(at)) for i, at in zip(finding.tested, finding.position, strict=True)}
    mistakes = kind.nonzero().flatten().tolist()
    fresh = [i for i in findings.test.tolist() if bool(kind[i])]
    name = finding_id(finding, place)
    folder = f"findings/{name}"
    upper, lower = finding.ends(_ENDS)
    measured = finding.measured
    drawn = isfinite(finding.length) and bool(finding.direction.isfinite().all())
    return {
        "id": name,
        "name": None if finding.name is None else called(finding),
        "suggested": True,
        "true": names[finding.true],
        "predicted": names[finding.predicted],
        "verdict": finding.verdict,
        "says": _says(finding, names),
        "mistakes": len(mistakes),
        "tested": len(finding.tested),
        "wald": number(finding.wald),
        "wald_bar": bar,
        "auc_prediction": number(finding.auc_prediction),
        "auc_truth": number(finding.auc_truth),
        "length": number(finding.length),
        "effects": [_effect(effect) for effect in finding.effects],
        "measured": None if measured is None else _effect(measured),
        "seen": _share(finding.seen),
        "cross_check": number(finding.agreement),
        "names": [
            {"name": one.name, "difference": number(one.difference), "cosine": number(one.cosine)}
            for one in finding.names
        ],
        "truth": _truth(finding, sheet, redraw),
        "mean_change": sheet.mean(fresh[:_AVERAGED], finding.direction, finding.length, f"{folder}/mean.png")
        if fresh and drawn
        else None,
        "strips": [sheet.strip(i, finding.direction, finding.length, folder) for i in _examples(finding, fresh)]
        if drawn
        else [],
        "top": [sheet.about(int(i)) for i in upper],
        "bottom": [sheet.about(int(i)) for i in lower],
        "cases": [{"id": images.ids[i], "name": images.names[i], "position": where.get(i)} for i in mistakes],
    }


def _examples(finding: Finding, fresh: list[int]) -> list[int]:
    """Tested images to walk: mistakes, which it should put right, and right answers, which it should break."""
    right = [int(i) for i in finding.pushed]
    few = min(len(right), _STRIPS - min(len(fresh), 3))
    return fresh[: _STRIPS - few] + right[:few]


def _truth(finding: Finding, sheet: Sheet, redraw: Redraw | None) -> dict[str, Any] | None:
    """What the model says of the images behind `measured`, drawn anew with the named attribute in its other half."""
    if redraw is None or finding.name is None or finding.measured is None:
        return None
    upward = finding.names[0].difference > 0
    true = sheet.images.truth[finding.tested] == finding.true
    rows, position = finding.tested[true], finding.position[true]
    lower = rows[position <= position.median()]
    back = redraw(finding.name, not upward, finding.pushed)
    on = redraw(finding.name, upward, lower[sheet.predicted[lower] == finding.predicted])
    if back is None or on is None:
        return None
    broken, repaired = _answers(back, sheet) != finding.true, _answers(on, sheet) == finding.true
    return {"what": f"{finding.name} redrawn", "breaks": _counted(broken), "repairs": _counted(repaired)}


def _answers(pixels: Tensor, sheet: Sheet) -> Tensor:
    if not len(pixels):
        return torch.zeros(0, dtype=torch.int64)
    return torch.cat([sheet.classifier.predict(part.float() / 255).cpu() for part in pixels.split(256)])


def _counted(hit: Tensor) -> dict[str, Any]:
    k, n = int(hit.sum()), len(hit)
    low, high = wilson(k, n)
    return {"share": k / n if n else None, "low": low, "high": high, "n": n}


def _effect(effect: Effect) -> dict[str, Any]:
    control = effect.control
    return {
        "length": number(effect.length),
        "breaks": _share(effect.breaks),
        "repairs": _share(effect.repairs),
        "control": None
        if control is None
        else {"mean": number(control.mean), "most": number(control.most), "n": control.n},
    }


def _share(share: Share) -> dict[str, Any]:
    return {"share": number(share.value), "low": number(share.low), "high": number(share.high), "n": share.n}


def _says(finding: Finding, names: tuple[str, ...]) -> str:
    cue = called(finding) if finding.name else "this change"
    if finding.verdict == "misuse":
        broken = number((finding.measured or finding.effects[-1]).breaks.value)
        whom = "the right answers further along it" if finding.measured else "right answers"
        share = "" if broken is None else f". Pushed back along it, {broken:.0%} of {whom} break"
        return f"The model takes {cue} for {names[finding.true]}, though the truth follows it less{share}."
    if finding.verdict == "use":
        return f"The model uses {cue} for {names[finding.true]}; no misuse was detected."
    return "It was not shown that moving along it changes more answers than any other direction does."


def _again(findings: Findings, place: int, names: tuple[str, ...]) -> str:
    """Where a claim shows a cue that one before it has shown: from which mistakes."""
    one = findings.tested[place]
    for other in findings.tested[:place]:
        if one.verdict == other.verdict == "misuse" and findings.same(one, other):
            return f" It looks like the cue that {names[other.true]!r} called {names[other.predicted]!r} shows, too."
    return ""


def _sentence(findings: Findings, names: tuple[str, ...]) -> str:
    if findings.claims:
        first = findings.claims[0]
        return (
            f"The change best shown to be misused is {called(first)}: it puts {names[first.true]!r} called "
            f"{names[first.predicted]!r} right, and the truth follows it less than the model does."
        )
    if findings.tested:
        return "No finding: nothing that many mistakes have in common was shown to be misused."
    return "Too few mistakes of any one kind to look for what they have in common."


def _limits(findings: Findings) -> list[str]:
    return [
        "Where the labeled images share a shortcut with the training images, nothing here can show it: the truth "
        "then follows what the model follows.",
        "What the decoder cannot draw cannot be found.",
        f"Kinds of mistakes with fewer than {findings.needed} in the discovering part are not looked into.",
        "A cue that the model uses too little, or rightly, is not claimed, and several cues may share one direction.",
        "A name is a hypothesis about a direction of the decoder, read from a table or from images; it is no fact "
        "about people.",
    ]
