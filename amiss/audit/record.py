"""What an audit found, as plain values and pictures on disk: what a report is built from."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor

from amiss.audit.audit import Audit
from amiss.audit.cases import cases, shown
from amiss.audit.causes import settings_for
from amiss.audit.figures import percent, radius
from amiss.audit.findings import Redraw, findings_record, first_tile, in_short
from amiss.audit.fooling import Fooling
from amiss.audit.frames import class_names, number
from amiss.audit.imposter_pages import imposter_figures, imposter_record, imposter_words
from amiss.audit.imposters import Imposters
from amiss.audit.maps import atlas
from amiss.audit.methods import methods
from amiss.audit.repairs import Repairs
from amiss.audit.walks import Sheet
from amiss.classifier import Classifier
from amiss.repro import versions

__all__ = ["percent", "record", "sentence", "summary"]


def record(
    audit: Audit,
    classifier: Classifier,
    out: Path,
    *,
    model: str,
    data: str,
    command: str,
    judge: str = "",
    redraw: Redraw | None = None,
) -> dict[str, Any]:
    """The audit as JSON values; the pictures it names are written under `out`.

    Args:
        audit: What was found.
        classifier: Who was audited: it names every frame.
        out: Run folder.
        model: How the model is called.
        data: How the data are called.
        command: What makes this record again.
        judge: How the judge is called, if there was one.
        redraw: Draws the same images anew, where they come from a world that can.
    """
    names = class_names(audit.images, classifier)
    claims = _claims(audit)
    counts = {"images": len(audit.images) + len(audit.images.unreadable), "right": int(audit.right.sum())}
    counts |= {"wrong": int((~audit.right).sum()), "unreadable": len(audit.images.unreadable)}
    curve = audit.robustness
    claimed, held = sum(part.claimed for part in claims), sum(int(part.result.met.sum()) for part in claims)
    return {
        "title": f"Audit of {model}",
        "sentence": sentence(audit, names),
        "model": model,
        "data": data,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": audit.plan.seed,
        "command": command,
        "fingerprints": {"model": classifier.fingerprint, "data": audit.images.fingerprint},
        "versions": versions(),
        "figures": summary(audit),
        "tiles": _tiles(audit, names),
        "notices": [{"level": level, "title": title, "text": text} for level, title, text in audit.notices],
        "counts": counts,
        "outcomes": {name: part.result.counts for name, part in audit.repairs.items()},
        "verified": {"claimed": claimed, "held": held},
        "claims": "repairs, fooling images and imposters" if audit.imposters else "repairs and fooling images",
        "flags": [flag.to_json() for flag in audit.flags],
        **_table(audit),
        **_findings(audit, classifier, names, out, redraw),
        "cases": cases(audit, classifier, names, out),
        **_atlas(audit, classifier, out),
        "robustness": None
        if curve is None
        else {
            "epsilons": list(curve.epsilons),
            "names": [radius(eps) for eps in curve.epsilons],
            "accuracy": list(curve.accuracy),
            "low": [low for low, _ in curve.intervals],
            "high": [high for _, high in curve.intervals],
            "n": curve.n,
            "unit": "pixel values in [0, 1]",
            "method": f"PGD in L_inf, {curve.steps} steps, judged after rounding to 8 bits",
        },
        "fooled": [
            {
                "class": names[c],
                "confidence": number(float(audit.fooling.confidence[i])),
                "image": audit.fooling.paths[i],
                "verified": bool(audit.fooling.verified[i]),
                "steps": first if (first := audit.fooling.result.outcomes[i].first) >= 0 else None,
            }
            for i, c in enumerate(audit.fooling.classes)
        ],
        "fooled_note": _fooled_note(audit),
        **_rejected(audit),
        **_imposters(audit, names, out),
        "methods": methods(audit, judge),
        "plan": asdict(audit.plan),
    }


def summary(audit: Audit) -> dict[str, float]:
    """The figures of an audit by name, for gates and benches; those that could not be measured are left out."""
    wrong, n = int((~audit.right).sum()), len(audit.images)
    figures: dict[str, float] = {"images": n, "accuracy": 1 - wrong / n, "mistakes": wrong}
    labels = audit.images.truth
    for name, part in audit.repairs.items():
        slug = {"LSE": "lse", "Pixel PGD": "pixel"}.get(name, "lse_plain")
        if len(audit.mistakes):
            figures[f"{slug}_repaired"] = part.share
        if bool(part.verified.any()):
            figures[f"{slug}_l2"] = part.l2
        agreement = part.agreement(labels[audit.mistakes])
        if agreement is not None:
            figures[f"{slug}_judge_agreement"] = agreement
        if part.judged_before is not None and len(part.judged_before):
            figures["judge_before"] = float((part.judged_before == labels[audit.mistakes]).double().mean())
    if len(audit.mistakes):
        figures["mistakes_repaired"] = audit.repairs[_main(audit)].share
    if audit.judge is not None:
        figures["judge_accuracy"] = audit.judge.accuracy
    if audit.gate is not None:
        figures |= {"decoder_explained": audit.gate.explained, "decoder_agreement": audit.gate.agreement}
    if audit.robustness is not None:
        for eps, share in zip(audit.robustness.epsilons[1:], audit.robustness.accuracy[1:], strict=True):
            figures[f"robust_accuracy@{radius(eps)}"] = share
    if claimed := sum(part.claimed for part in _claims(audit)):
        figures["verified_from_disk"] = sum(int(part.result.met.sum()) for part in _claims(audit)) / claimed
    if audit.imposters is not None:
        figures |= imposter_figures(audit.imposters)
    if audit.findings is not None:
        figures["findings"] = len(audit.findings.claims)
    if audit.rejected is not None:
        figures |= audit.rejected.figures
    figures["classes_fooled"] = int(audit.fooling.verified.sum())
    figures["classes_tried"] = len(audit.fooling.classes)
    return {name: value for name, value in figures.items() if isfinite(value)}


def sentence(audit: Audit, names: tuple[str, ...] = ()) -> str:
    """What was found, in one plain sentence.

    Args:
        audit: What was found.
        names: Of the classes; those of the images where left out.
    """
    figures = summary(audit)
    wrong, n = int(figures["mistakes"]), len(audit.images)
    if not wrong:
        text = f"The model is right on all {n:,} images"
    else:
        text = f"The model is wrong on {wrong:,} of {n:,} images ({wrong / n:.1%})"
    if len(audit.mistakes):
        slug = "lse" if _main(audit) == "LSE" else "pixel"
        text += "; " if slug == "lse" else "; without a decoder to trust, "
        text += f"{percent(figures['mistakes_repaired'])} of {len(audit.mistakes):,} mistakes are put right "
        text += "by a small change along the manifold of such images" if slug == "lse" else "in pixels alone"
        text += f" (median L2 {figures[f'{slug}_l2']:.2f})" if f"{slug}_l2" in figures else ""
    if audit.findings is not None and (cause := in_short(audit.findings, names or audit.images.classes)):
        text += f"; {cause}"
    curve = audit.robustness
    if curve is not None:
        clean, at = curve.accuracy[0], _telling(audit)
        text += f"; on a sample of {curve.n:,} images, " if curve.n < n else "; "
        text += f"changing no pixel by more than {radius(curve.epsilons[at])} takes its accuracy from "
        text += f"{percent(clean)} to {percent(curve.accuracy[at])}"
    fooled, tried = int(figures["classes_fooled"]), int(figures["classes_tried"])
    text += f"; and for {fooled} of {tried} classes some nonsense makes it at least 99% certain" if tried else ""
    if audit.imposters is not None:
        text += f"; {imposter_words(audit.imposters)}"
    return text + "."


def _claims(audit: Audit) -> list[Repairs | Fooling | Imposters]:
    """The parts of an audit of which each success must hold in its file."""
    parts: list[Repairs | Fooling | Imposters] = [*audit.repairs.values(), audit.fooling]
    return parts if audit.imposters is None else [*parts, audit.imposters]


def _main(audit: Audit) -> str:
    """The method whose repairs are the audit's: LSE where it can speak."""
    return "LSE" if "LSE" in audit.repairs else "Pixel PGD"


def _telling(audit: Audit) -> int:
    """The radius to name: the first that halves the accuracy, or else the largest."""
    curve = audit.robustness
    assert curve is not None  # noqa: S101
    halved = [i for i, share in enumerate(curve.accuracy) if i and share <= curve.accuracy[0] / 2]
    return halved[0] if halved else len(curve.accuracy) - 1


def _findings(
    audit: Audit, classifier: Classifier, names: tuple[str, ...], out: Path, redraw: Redraw | None
) -> dict[str, Any]:
    if audit.findings is None or audit.codec is None:
        return {}
    sheet = Sheet(audit.images, audit.predicted, classifier, audit.codec, out, names)
    return {"findings": findings_record(audit.findings, sheet, bar=settings_for(audit.plan).wald, redraw=redraw)}


def _imposters(audit: Audit, names: tuple[str, ...], out: Path) -> dict[str, Any]:
    if audit.imposters is None:
        return {}
    return {"imposters": imposter_record([audit.imposters], audit.images, names, out)}


def _atlas(audit: Audit, classifier: Classifier, out: Path) -> dict[str, Any]:
    first = dict(list(shown(audit).items())[: audit.plan.maps])
    if audit.codec is None or not first:
        return {}
    part, places = audit.repairs["LSE"], {name: int(audit.mistakes[k]) for name, k in first.items()}
    if not isinstance(part.result.p, Tensor) or part.result.p[0].numel() < 2:  # one number spans no plane
        return {}
    return {"atlas": atlas(classifier, audit.codec, audit.images, part, places, out, audit.plan.batch)}


def _tiles(audit: Audit, names: tuple[str, ...]) -> list[dict[str, str]]:
    figures = summary(audit)
    method = _main(audit)
    part = audit.repairs[method]
    k = len(audit.mistakes)
    repaired = {
        "label": "Mistakes repaired",
        "value": percent(part.share) if k else "none",
        "note": f"of {k:,}, {method}",
    }
    size = {
        "label": "Size of a repair",
        "value": f"{part.l2:.2f}" if bool(part.verified.any()) else "none",
        "note": f"median L2 of the change, {method}",
    }
    curve = audit.robustness
    robust = {"label": "Accuracy under attack", "value": "none", "note": "nothing was right to begin with"}
    if curve is not None:
        at = _telling(audit)
        robust["value"] = percent(curve.accuracy[at])
        robust["note"] = (
            f"within {radius(curve.epsilons[at])} in L_inf; {percent(curve.accuracy[0])} untouched, of {curve.n:,}"
        )
    fooled = {
        "label": "Classes fooled",
        "value": f"{figures['classes_fooled']:.0f} of {figures['classes_tried']:.0f}",
        "note": "certain of nonsense at 99% or more",
    }
    found = [] if audit.findings is None else [first_tile(audit.findings, names)]
    return [*found, repaired, size, robust, fooled]


def _table(audit: Audit) -> dict[str, Any]:
    """Error rates in the low and high half of every attribute, where the images bring a table."""
    labels = audit.images.truth
    if not audit.images.table:
        return {}
    wrong, rows = ~audit.right, []
    for name, values in audit.images.table.items():
        high = values > (0.5 if set(values.unique().tolist()) <= {0.0, 1.0} else values.median())
        for c in sorted(Counter(labels.tolist())):
            halves = [wrong[(labels == c) & side].double() for side in (~high, high)]
            if min(map(len, halves)) >= 20:
                low_rate, high_rate = (float(half.mean()) for half in halves)
                rows.append((abs(high_rate - low_rate), name, audit.images.classes[c], low_rate, high_rate))
    rows.sort(key=lambda row: -row[0])
    if not rows:
        return {}
    return {
        "table_title": "Error rate by attribute",
        "table_head": ["Attribute", "True class", "Wrong in the low half", "Wrong in the high half"],
        "table": [[name, cls, percent(low), percent(high)] for _, name, cls, low, high in rows[:6]],
        "table_note": "Counted from the table that came with the images; the six widest gaps.",
    }


def _fooled_note(audit: Audit) -> str:
    part = audit.fooling
    which = (
        "every class"
        if len(part.classes) == part.total
        else f"{len(part.classes)} of {part.total} classes, evenly spaced"
    )
    note = f"Sign steps from grey for {which}; the frame is dashed where confidence stays below 99%."
    return f"{note} What rejects them was not asked: {audit.unasked}." if audit.unasked else note


def _rejected(audit: Audit) -> dict[str, Any]:
    """What rules of rejection let pass, as a table of the section."""
    told = audit.rejected
    if told is None:
        return {}
    left_out = "".join(f" {name} was left out: {why}." for name, why in told.left_out.items())
    table = {
        "title": "What would reject it",
        "text": f"{told.sentence} Rules of rejection were fitted on {told.fitted:,} images, and their thresholds "
        f"told from {told.told:,} others, of which 95 % are let pass. The searches end at a confidence of 99 %, and "
        "against no rule: one that holds here may let surer images pass (amiss run fooling), and be got past.",
        "head": ["Rule", "Let pass", "95 % interval"],
        "rows": [
            [name, f"{percent(one.value)} of {told.n:,}", f"{one.low:.0%} to {one.high:.0%}"]
            for name, one in told.accepted.items()
        ],
        "note": f"Features are those of {told.layer}.{left_out}",
    }
    return {"fooled_table": table}
