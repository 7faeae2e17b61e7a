"""Gates: figures that a run must reach, as one writes them on a command line, and how the run did."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf, isclose, isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from amiss.disk import Disk
from amiss.errors import UsageError

__all__ = ["Figures", "Gate", "Verdict", "judge", "junit", "parse", "refuse_unknown", "to_json"]

Figures = Mapping[str, float | str]
"""Figures by name: a number, or the words why there is none. A radius follows "@": "robust_accuracy@8/255"."""

_SIGNS = {">=": "at least", "<=": "at most", "==": "exactly", ">": "more than", "<": "less than"}
_DECIMAL = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NUMBER = rf"{_DECIMAL}(?:/{_DECIMAL})?"
_GATE = re.compile(
    rf"([A-Za-z][A-Za-z0-9_.-]*) *(?:@ *({_NUMBER}))? *({'|'.join(_SIGNS)}) *([+-]?{_NUMBER})", re.ASCII
)
_NEAR = 1e-6
"""Radii closer than this are one: 0.0313725 is 8/255. A gray level is 4,000 times as far."""

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Gate:
    """A bound that a figure must keep.

    Attributes:
        name: Name of the figure, without its radius.
        at: Its radius, in pixel values of [0, 1]; None where it has none.
        sign: One of >=, <=, >, < and ==.
        bound: The number on the right.
        text: The gate as it was written.
    """

    name: str
    at: float | None
    sign: str
    bound: float
    text: str

    def __str__(self) -> str:
        """The gate as it was written."""
        return self.text

    def holds(self, value: float) -> bool:
        """Whether a finite value keeps the bound; numbers that differ by less than one part in 1e9 are equal."""
        if isclose(value, self.bound, rel_tol=1e-9):
            return "=" in self.sign
        return (">" if value > self.bound else "<") in self.sign


@dataclass(frozen=True)
class Verdict:
    """How a run did at a gate.

    Attributes:
        gate: The gate.
        value: The figure that was measured; None where there is none.
        met: Whether the gate is met. A figure that was not measured meets nothing.
        why: Why it is not met, in words; empty where it is.
    """

    gate: Gate
    value: float | None
    met: bool
    why: str


def parse(text: str) -> Gate:
    """Read a gate: a figure, a sign, a number. Radius and number are decimals or fractions: 0.4, 8/255, 1e-3.

    Args:
        text: Such as "mistakes_repaired>=0.9" or "robust_accuracy@8/255 >= 0.4".

    Raises:
        UsageError: It cannot be read so.
    """
    found = _GATE.fullmatch(text.strip())
    numbers = [] if found is None else [_number(part) for part in found.group(2, 4) if part]
    if found is None or not all(map(isfinite, numbers)):
        bare = re.fullmatch(r"[\w.@/-]*", text.strip()) is not None
        raise UsageError(
            "A gate cannot be read.",
            slug="gate-text",
            seen=repr(text),
            needed="a figure, one of " + " ".join(_SIGNS) + ", and a finite number: a decimal or a fraction",
            why="without quotes, a shell takes > and what follows for a file to write" if bare else "",
            hint='--require "mistakes_repaired>=0.9" or --require "robust_accuracy@8/255>=0.4", with the quotes.',
        )
    return Gate(found[1], numbers[0] if found[2] else None, found[3], numbers[-1], text.strip())


def refuse_unknown(gates: Iterable[Gate], names: Iterable[str]) -> None:
    """Refuse a gate whose figure is none of these names. To be asked before any work is done.

    Raises:
        UsageError: There is no such figure, or not at this radius.
    """
    names = tuple(names)
    for gate in gates:
        _key(gate, names)


def judge(gates: Iterable[Gate], figures: Figures) -> tuple[Verdict, ...]:
    """Hold figures against gates.

    Args:
        gates: What must hold.
        figures: What was measured, and why the rest of what is known was not. Radii compare as numbers.

    Returns:
        One verdict a gate, in their order.

    Raises:
        UsageError: A gate's figure is not among them.
    """
    gates = tuple(gates)
    return tuple(_verdict(gate, figures[_key(gate, tuple(figures))]) for gate in gates)


def to_json(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Verdicts as a record holds them: text, value, met, why."""
    return [{"text": v.gate.text, "value": v.value, "met": v.met, "why": v.why} for v in verdicts]


def junit(verdicts: Iterable[Verdict], flags: Iterable[Mapping[str, Any]], path: Path | str) -> Path:
    """Write gates and trust flags as JUnit XML: one test case each, in two suites.

    A gate that is not met is a failure, and so is a flag that fired, with its consequence and remedy. What was
    not measured of the flags is skipped.

    Args:
        verdicts: How the run did at its gates.
        flags: The flags of its record.
        path: The file; its folder is made where it is missing.

    Returns:
        The path of the file.

    Raises:
        DataError: The file cannot be written.
    """
    cases = [_gate_case(verdict) for verdict in verdicts], [_flag_case(flag) for flag in flags]
    root = ElementTree.Element("testsuites", {"name": "amiss", **_counts([*cases[0], *cases[1]])})
    for name, suite in zip(("gates", "flags"), cases, strict=True):
        ElementTree.SubElement(root, "testsuite", {"name": name, **_counts(suite)}).extend(suite)
    ElementTree.indent(root)
    path = Path(path)
    Disk().write(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    return path


def _number(text: str) -> float:
    """A decimal or a fraction of two; what is divided by 0 is infinite."""
    above, _, below = text.partition("/")
    divisor = float(below or 1)
    return float(above) / divisor if divisor else inf


def _split(name: str) -> tuple[str, float | None]:
    """A figure's name and its radius, if it has one."""
    stem, _, at = name.partition("@")
    return (stem, _number(at)) if re.fullmatch(_NUMBER, at) else (name, None)


def _key(gate: Gate, names: Sequence[str]) -> str:
    """The name of a gate's figure as the figures have it."""
    known = {name: _split(name) for name in names}
    there = {name: at for name, (stem, at) in known.items() if stem == gate.name}
    if gate.at is None and gate.name in there:
        return gate.name
    radii = {name: abs(at - gate.at) for name, at in there.items() if at is not None and gate.at is not None}
    if radii and min(radii.values()) < _NEAR:
        return min(radii, key=lambda name: radii[name])
    near = (
        list(there)
        or get_close_matches(gate.name, names, 3)
        or get_close_matches(gate.name, [stem for stem, _ in known.values()], 3)
    )
    raise UsageError(
        f"This run has no figure {gate.name!r}." if not there else f"This run has no such radius of {gate.name!r}.",
        slug="gate-unknown",
        seen=gate.text,
        needed=f"one of: {', '.join(names)}",
        why="a radius that is not attacked, or none where one is needed" if there else "a typing mistake",
        hint=f"Did you mean {' or '.join(dict.fromkeys(near))}?" if near else "Choose one of them.",
    )


def _verdict(gate: Gate, value: float | str) -> Verdict:
    if isinstance(value, str):
        return Verdict(gate, None, False, f"not measured: {value}")
    if not isfinite(value):
        return Verdict(gate, None, False, "not measured: not a finite number")
    met = gate.holds(value)
    why = "" if met else f"{value:.10g}, where {_SIGNS[gate.sign]} {gate.bound:.10g} is needed"
    return Verdict(gate, value, met, why)


def _gate_case(verdict: Verdict) -> ElementTree.Element:
    case = _case("gates", verdict.gate.text)
    if not verdict.met:
        _said(case, "failure", verdict.why, verdict.why)
    return case


def _flag_case(flag: Mapping[str, Any]) -> ElementTree.Element:
    case = _case("flags", str(flag.get("slug", "unnamed")))
    if flag.get("state") == "fired":
        rows = {"Measured": "measured", "Threshold": "threshold", "Consequence": "consequence", "Remedy": "remedy"}
        text = "\n".join(f"{row}: {flag[name]}" for row, name in rows.items() if flag.get(name))
        _said(case, "failure", f"{flag.get('title', '')}: {flag.get('measured', '')}", text)
    elif flag.get("state") != "clear":
        _said(case, "skipped", str(flag.get("measured", "")), "")
    return case


def _case(suite: str, name: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", {"classname": f"amiss.{suite}", "name": _clean(name)})


def _said(case: ElementTree.Element, kind: str, message: str, text: str) -> None:
    ElementTree.SubElement(case, kind, {"message": _clean(message)}).text = _clean(text) or None


def _counts(cases: Sequence[ElementTree.Element]) -> dict[str, str]:
    """The attributes by which readers of such files count, for one suite or for all."""
    failed, skipped = (sum(case.find(kind) is not None for case in cases) for kind in ("failure", "skipped"))
    return {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}


def _clean(text: str) -> str:
    """Text without what XML has no place for, such as control characters; its markup is escaped on writing."""
    return _NO_XML.sub("", text)
