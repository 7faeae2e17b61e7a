"""What a report tells of an audit of rejection, from its record, which somebody else may have written."""

from collections.abc import Mapping
from typing import Any

from amiss.analysis.rejection import ADAPTIVE, DETECTORS, KINDS
from amiss.audit.encodings import ENCODINGS, Evolution
from amiss.audit.evolution_tables import Table
from amiss.audit.figures import percent
from amiss.audit.rejections import in_words

__all__ = [
    "Record",
    "bypass_table",
    "is_record",
    "rejection_figures",
    "rejection_known",
    "rejection_table",
    "rejection_words",
]

Record = dict[str, Any]
"""The record of an audit of rejection: JSON values of known kinds."""

_FIGURES = ("accepted", "auroc", "fpr95")
_NATURAL, _NOISE = "natural", "uniform noise"
_MOST = 10_000  # rows, and counts of digits that a page can show
_SHORT = {_NOISE: "noise", "gradient + L2": "gradient_l2"}


def is_record(said: Any) -> bool:
    """Whether JSON values are a record: "rows", and "bypasses" and "bypassed" where there are any, of known kinds."""
    if not isinstance(said, dict):
        return False
    rows, searches, past = said.get("rows"), said.get("bypasses", []), said.get("bypassed", [])
    if not all(isinstance(part, list) and len(part) <= _MOST for part in (rows, searches, past)) or not rows:
        return False
    return all(map(_is_row, rows)) and all(map(_is_bypass, searches)) and all(isinstance(x, str) for x in past)


def rejection_words(said: Record) -> str:
    """In words: which rule lets the fewest champions pass, which lets all of them, and what noise would have told.

    Args:
        said: A record.
    """
    let = {name: _passed(said, name, ENCODINGS) for name in dict.fromkeys(row["detector"] for row in said["rows"])}
    shares = {name: k / n for name, (k, n) in let.items() if n}
    if not shares:
        return "The model was sure of no champion, so that none could be rejected."
    text = in_words(shares, max(n for _, n in let.values()), "champion")
    noise = {name: k / n for name in shares for k, n in [_passed(said, name, (_NOISE,))] if n}
    gaps = {name: shares[name] - share for name, share in noise.items()}
    if gaps and gaps[far := max(gaps, key=gaps.__getitem__)] > 0:
        text += f" Noise is no stand-in for them: {far} rejects {percent(1 - noise[far])} of uniform noise, and "
        text += f"{percent(1 - shares[far])} of the champions."
    return text


def rejection_table(said: Any) -> Table | None:
    """What rules of rejection let pass, from the record of an audit of rejection; None where it is none.

    Args:
        said: JSON values, which somebody else may have written: "rows" with detector, kind, n, and accepted, auroc
            and fpr95, each of value, low and high.
    """
    if not is_record(said):
        return None
    past = said.get("bypassed", [])
    notes = [f"Got past for every class by a search against the rule itself: {', '.join(past)}."] if past else []
    if not said.get("bypasses"):
        notes.append(
            "No rule was searched against. What a rule rejects here was not made to get past it; a rule that holds "
            "may yet be got past (--adaptive)."
        )
    if isinstance(said.get("left_out"), dict):
        notes += [f"{name} was left out: {why}." for name, why in said["left_out"].items()]
    blind = said.get("ignored") if isinstance(said.get("ignored"), dict) else {}
    unseen = [f"{name} {percent(share)}" for name, share in blind.items() if _is_share(share) and share > 0]
    if unseen:
        notes.append(
            "Of the directions of features, those in which natural images do not differ, such as dead units, are not "
            f"looked at by a rule: {', '.join(unseen)}. Nonsense that wakes them is let pass."
        )
    notes.append("Champions of one run descend from each other; each different picture counts once.")
    return {
        "title": "What would reject it",
        "text": f"{rejection_words(said)} Rules tell natural images from others, each with the threshold that lets "
        "95 % of natural images pass: what they let pass of each kind, and how well their scores tell the two apart. "
        "Natural images beside others of their kind are the control.",
        "head": ["Rule", "Images", "Number", "Let pass", "AUROC", "FPR95"],
        "rows": [
            [row["detector"], row["kind"], row["n"], *(_figure(row[name]) for name in _FIGURES)]
            for row in said["rows"]
        ],
        "note": " ".join(notes),
    }


def bypass_table(said: Any) -> Table | None:
    """What it cost to get past each rule, from the record of an audit of rejection; None where none was searched.

    Args:
        said: As for `rejection_table`.
    """
    if not is_record(said) or not said.get("bypasses"):
        return None
    rows = []
    for one in said["bypasses"]:
        cost = sorted(k for k in one["evaluations"] if k is not None)
        first = f"{cost[0]:,} to {cost[-1]:,}" if cost else "none"
        rows.append([one["detector"], one["search"], f"{sum(one['met'])} of {len(one['met'])}", first, one["spent"]])
    return {
        "title": "What it takes to get past each rule",
        "text": "A search that knows the rule wants images that the model is sure of and that the rule lets pass. It "
        "asks for scores alone where it evolves.",
        "head": ["Rule", "Search", "Classes got past for", "After evaluations", "Evaluations in all"],
        "rows": rows,
        "note": "Classes that were not got past for may need a longer search.",
    }


def rejection_figures(said: Any) -> dict[str, float]:
    """The figures of an audit of rejection by the names that gates use: shares rejected, and rules got past.

    Args:
        said: As for `rejection_table`; what is none has no figures.
    """
    if not is_record(said):
        return {}
    rows = [
        row for row in said["rows"] if row["detector"] in DETECTORS and row["kind"] in (*KINDS, *ENCODINGS, ADAPTIVE)
    ]
    figures = {_name(row["detector"], row["kind"]): 1 - float(row["accepted"]["value"]) for row in rows}
    return figures | ({"rules_bypassed": float(len(said["bypassed"]))} if said.get("bypasses") else {})


def rejection_known(evolution: Evolution) -> dict[str, str]:
    """Every figure of rejection that the experiment can have, each with the reason why it may come out without it."""
    if not evolution.rejection:
        return {}
    kinds = [_NOISE, *evolution.encodings, *(["gradient + L2", ADAPTIVE] if evolution.adaptive else [])]
    why = "no rule of this name could be fitted, or there were no such images"
    known = {_name(rule, kind): why for rule in DETECTORS for kind in kinds}
    return known | ({"rules_bypassed": "no rule could be fitted"} if evolution.adaptive else {})


def _name(rule: str, kind: str) -> str:
    return f"rejected.{rule.replace(' ', '_')}.{_SHORT.get(kind, kind)}"


def _passed(said: Record, rule: str, kinds: tuple[str, ...]) -> tuple[int, int]:
    """How many images of some kinds a rule lets pass, and how many there are."""
    rows = [row for row in said["rows"] if row["detector"] == rule and row["kind"] in kinds]
    return sum(round(row["accepted"]["value"] * row["n"]) for row in rows), sum(row["n"] for row in rows)


def _figure(one: Mapping[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.2f}\u2013{one['high']:.2f})"


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("detector", "kind")):
        return False
    return _is_count(row.get("n")) and all(_is_figure(row.get(name)) for name in _FIGURES)


def _is_bypass(one: Any) -> bool:
    if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in ("detector", "search")):
        return False
    met, cost = one.get("met"), one.get("evaluations")
    if not (isinstance(met, list) and isinstance(cost, list) and len(met) <= _MOST and _is_count(one.get("spent"))):
        return False
    return all(isinstance(x, bool) for x in met) and all(x is None or _is_count(x) for x in cost)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


def _is_figure(one: Any) -> bool:
    return isinstance(one, dict) and all(_is_share(one.get(name)) for name in ("value", "low", "high"))


def _is_share(value: Any) -> bool:
    # NaN is in no interval.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
