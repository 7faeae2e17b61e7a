"""The card of a run: what a model card can take over of a report, as Markdown with metrics in its front matter."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from amiss.data.guards import readable

__all__ = ["card"]

Record = Mapping[str, Any]

_MARKUP = re.compile(r"([\\`*_\[\]<>|#&~!])")
_HALVES = " further along it", " less far along it"  # whom an effect measured by the logit is about
_VERDICTS = {
    "misuse": "claimed: used more than the truth follows it",
    "use": "not claimed: used, no misuse detected",
    "none": "not claimed: not shown to be used",
}


def card(record: Record) -> str:
    """The card of a run.

    Args:
        record: What its report is built from.

    Returns:
        YAML front matter in the form of a model index, then sections in Markdown. Names that somebody else chose
        are text in both, never markup.
    """
    parts = [
        ("Intended use", _use(record)),
        ("Data", _data(record)),
        ("What was probed", _probed(record)),
        ("Findings", _findings(record)),
        ("What this does not show", _limits(record)),
        ("Trust flags", _flags(record)),
        ("Versions", [f"- {_text(name)}: {_text(value)}" for name, value in (record.get("versions") or {}).items()]),
    ]
    lines = ["---", *_front(record), "---", "", f"# {_text(record['title'])}", "", _text(record["sentence"]), ""]
    for title, body in parts:
        lines += [f"## {title}", "", *(body or ["Nothing was recorded."]), ""]
    return "\n".join(lines)


def _front(record: Record) -> Iterator[str]:
    """A model index: one entry a figure. What is quoted here is JSON, which YAML reads as text."""
    yield "tags: [image-classification, audit, amiss]"
    yield "model-index:"
    yield f"- name: {_quoted(record.get('model') or 'not named')}"
    yield "  results:"
    yield "  - task: {type: image-classification}"
    yield "    dataset:"
    yield f"      name: {_quoted(record.get('data') or 'not named')}"
    yield "      type: images"
    if data := (record.get("fingerprints") or {}).get("data"):
        yield f"      revision: {_quoted(data)}"
    figures = record.get("figures") or {}
    yield "    metrics:" if figures else "    metrics: []"
    for name, value in figures.items():
        yield f"    - {{type: {_quoted(name)}, value: {json.dumps(value)}}}"


def _use(record: Record) -> list[str]:
    return [
        f"For those who train, review or release {_text(record.get('model') or 'the model')}: where it goes wrong on "
        "these data, and what its answers rest on. It is no certificate: an image that was not probed may fail in "
        "ways that are not told here. Names of changes are hypotheses about a direction of a decoder, not facts "
        "about people."
    ]


def _data(record: Record) -> list[str]:
    counts = record.get("counts") or {}
    lines = [f"- {_text(record.get('data') or 'not named')}"]
    lines += [f"- {_text(name)}: {value:,}" for name, value in counts.items()]
    return lines + [
        f"- fingerprint of the {_text(k)}: {_text(v)}" for k, v in (record.get("fingerprints") or {}).items()
    ]


def _probed(record: Record) -> list[str]:
    lines = []
    for method in record.get("methods") or []:
        lines.append(
            f"- {_text(method['name'])}. {_text(method.get('text') or '')} {_text(method.get('reference') or '')}"
        )
    for name, tally in (record.get("outcomes") or {}).items():
        ended = ", ".join(f"{n:,} {_text(outcome)}" for outcome, n in tally.items())
        lines.append(f"- {_text(name)} ended: {ended or 'nothing was searched'}.")
    if verified := record.get("verified"):
        lines.append(f"- Judged again from the bytes on disk: {verified['held']:,} of {verified['claimed']:,} held.")
    if command := record.get("command"):
        lines.append(f"- Repeat it by: {_code(command)} (seed {record.get('seed')})")
    return lines


def _findings(record: Record) -> list[str]:
    lines = list(_accuracies(record))
    found = record.get("findings")
    if not found:
        return [*lines, "What the mistakes have in common was not looked for in this run."]
    lines += [_text(found.get("sentence") or ""), ""]
    for finding in [*found.get("claims", []), *found.get("tested", [])]:
        lines += [*_finding(finding), ""]
    few = [f"{_text(row['true'])} called {_text(row['predicted'])} ({row['mistakes']:,})" for row in found["too_few"]]
    if few:
        lines.append(f"Too few mistakes, below {found['needed']}: {', '.join(few)}.")
    return lines


def _accuracies(record: Record) -> Iterator[str]:
    curve = record.get("robustness")
    if not curve:
        return
    for i, share in enumerate(curve["accuracy"]):
        within, low, high = (curve.get("names") or curve["epsilons"])[i], curve["low"][i], curve["high"][i]
        yield f"- accuracy within {within}: {share:.1%} ({low:.1%} to {high:.1%}, n = {curve['n']:,})"
    yield ""


def _finding(finding: Record) -> Iterator[str]:
    title = f"{_text(finding['name'])} (suggested name)" if finding.get("name") else "A change without a name"
    yield f"### {title}: {_text(finding['true'])} called {_text(finding['predicted'])}"
    yield ""
    verdict = _VERDICTS.get(finding["verdict"], _text(finding["verdict"]))
    yield f"{_text(finding.get('says') or '')} Verdict: {verdict}."
    yield ""
    wald, bar = _number(finding["wald"], ".1f"), format(finding["wald_bar"], "g")
    answers, truth = (_number(finding[name], ".2f") for name in ("auc_prediction", "auc_truth"))
    yield f"- {finding['mistakes']:,} mistakes; tested on {finding['tested']:,} images"
    yield f"- Wald z {wald}, where a claim needs {bar} or lower"
    yield f"- AUC of the position with the answers {answers}, with the truth {truth}"
    for effect in finding.get("effects") or []:
        yield f"- at length {_number(effect['length'], '.2g')}: {_effect(effect)}{_control(effect.get('control'))}"
    if measured := finding.get("measured"):
        yield f"- until it reads like real images of the other half: {_effect(measured, *_HALVES)}"
    if (seen := finding.get("seen")) and seen["share"] is not None:
        yield f"- what real images of the other half suggest: {_share(seen)} of right answers would be wrong there"
    if redrawn := finding.get("truth"):
        yield f"- the same images in truth, {_text(redrawn['what'])}: {_effect(redrawn, *_HALVES)}"


def _effect(effect: Record, upper: str = "", lower: str = "") -> str:
    breaks, repairs = _share(effect["breaks"]), _share(effect["repairs"])
    return f"breaks {breaks} of right answers{upper}, repairs {repairs} of mistakes{lower}"


def _control(control: Record | None) -> str:
    if control is None or control["mean"] is None:
        return ""
    return f"; {control['n']} other directions break {control['mean']:.0%}, at most {control['most']:.0%}"


def _share(share: Record) -> str:
    if share["share"] is None:
        return "none, where nothing was there to ask,"
    return f"{share['share']:.0%} ({share['low']:.0%} to {share['high']:.0%}, n = {share['n']:,})"


def _number(value: float | None, form: str) -> str:
    return "not measured" if value is None else format(value, form)


def _limits(record: Record) -> list[str]:
    general = [
        "- A search that found nothing proves nothing: a stronger one may find what it missed.",
        "- Accuracy under attack is an upper bound of the true robustness.",
    ]
    return [f"- {_text(text)}" for text in (record.get("findings") or {}).get("limits", [])] + general


def _flags(record: Record) -> list[str]:
    flags = record.get("flags") or []
    lines = [
        f"- **fired**: {_text(flag['title'])}. {_text(flag['measured'])}. {_text(flag['consequence'])}"
        for flag in flags
        if flag["state"] == "fired"
    ]
    for state in ("clear", "not measured"):
        if slugs := [_text(flag["slug"]) for flag in flags if flag["state"] == state]:
            lines.append(f"- {state}: {', '.join(slugs)}")
    return lines


def _quoted(text: object) -> str:
    return json.dumps(readable(str(text)))


def _code(value: object) -> str:
    """A command on one line, to be copied as it stands; in words where it holds what could end the code."""
    line = "".join(c if c.isprintable() else " " for c in readable(str(value))).strip()
    return _text(line) if set(line) & set("`<>") else f"`{line}`"


def _text(value: object) -> str:
    """Text on one line, with nothing in it that Markdown would take for markup."""
    line = "".join(c if c.isprintable() else " " for c in readable(str(value)))
    return _MARKUP.sub(r"\\\1", line).strip()
