"""Findings: is a planted shortcut named, with its true effect; and is nothing claimed where there is none?"""

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

import torch

from amiss.analysis.findings import Finding, Findings, Settings, Whitening, attribute_direction, find, halves
from amiss.bench.bench import Bar, Bench, Run
from amiss.bench.findings_worlds import World, faces_world, mirrored

__all__ = ["BENCH"]

Measured = tuple[dict[str, float], dict[str, Any]]

_COUNTS = (20, 50, 100)  # mistakes that a name is read from


def strong(run: Run) -> Measured:
    """A shortcut of rho .8: its name, its direction, its effect beside the redrawn truth, and how many it takes."""
    world = faces_world(run, 0.8)
    found = _found(run, world)
    counted = {} if run.quick else _by_counts(run, world)
    return {}, {**_told(world, found), **_effect(world, found), "named_by_mistakes": counted}


def weaker(run: Run) -> Measured:
    """A shortcut of rho .6."""
    world = faces_world(run, 0.6)
    found = _found(run, world)
    return {}, {**_told(world, found), **_effect(world, found)}


def none(run: Run) -> Measured:
    """No shortcut: whatever is claimed is false."""
    world = faces_world(run, 0.0)
    return {}, _told(world, _found(run, world))


def two(run: Run) -> Measured:
    """Two shortcuts of rho .8 at once."""
    world = faces_world(run, 0.8, two=True)
    return {}, _told(world, _found(run, world))


def _found(run: Run, world: World) -> Findings:
    torch.set_num_threads(1)
    settings = Settings(seed=run.seed)
    if run.quick:
        settings = replace(settings, pushed=20, controls=4, mistakes=60, deflations=1)
    return find(world.classifier, world.decoder, world.test, settings=settings)


def _told(world: World, found: Findings) -> dict[str, Any]:
    """What was claimed and tested, with the cosine of the first claim with the truth."""
    labels = world.test.truth
    answers = torch.cat([world.classifier.predict(x) for x in world.test.images().split(250)])
    # A part of a mixture is the attribute's own direction: its cosine would say nothing of what was found.
    first = next((finding for finding in found.claims if not finding.part), None)
    return {
        "plants": list(world.plants),
        "accuracy": float((answers == labels).double().mean()),
        "claims": [finding.name for finding in found.claims],
        "tested": [_row(finding) for finding in found.tested],
        "cosine": 0.0 if first is None else _cosine(world, first),
    }


def _row(finding: Finding) -> dict[str, Any]:
    last = finding.effects[-1]
    assert last.control is not None  # noqa: S101 - the gate has asked them
    return {
        "kind": [finding.true, finding.predicted],
        "verdict": finding.verdict,
        "name": finding.name,
        "wald": finding.wald,
        "root": finding.root,
        "part": finding.part,
        "auc": [finding.auc_prediction, finding.auc_truth],
        "breaks": [last.breaks.low, last.breaks.value, last.control.mean, last.control.most],
        "seen": finding.seen.value,
        "agreement": finding.agreement,
    }


def _cosine(world: World, finding: Finding) -> float:
    """Whitened cosine with the mean code difference of real faces with and without the plant."""
    with torch.no_grad():
        codes = torch.cat([world.decoder.encode(x) for x in world.test.images().split(250)]).double()
    own = attribute_direction(codes, world.test.table[world.plants[0]])
    assert own is not None  # noqa: S101 - half of the faces have it
    return abs(Whitening.of(codes).cosine(finding.direction, own))


def _effect(world: World, found: Findings) -> dict[str, Any]:
    """Right answers that the first claim breaks, beside those that break when the same faces are drawn anew."""
    plant = world.plants[0]
    first = next((finding for finding in found.claims if finding.name == plant), None)
    if first is None or first.measured is None:
        return {"effect_error": 1.0}
    upper = world.test.table[plant] > 0.5
    named = next(one for one in first.names if one.name == plant)
    # Only faces whose plant lies on the direction's upper side: those that redrawing changes the same way round.
    fits = upper[first.pushed] == (named.difference > 0)
    rows, broken = first.pushed[fits], first.broken[fits]
    with torch.no_grad():
        logits = world.classifier.outputs(mirrored(world, rows, plant))["answer"]
    truth = float((logits[:, first.true] <= logits[:, first.predicted]).double().mean())
    moved = float(broken.double().mean())
    return {
        "effect": moved,
        "effect_truth": truth,
        "effect_seen": first.seen.value,
        "effect_faces": len(rows),
        "effect_error": abs(moved - truth),
        "seen_error": abs(first.seen.value - truth),
    }


def _by_counts(run: Run, world: World) -> dict[str, bool]:
    """Whether the plant is named from so many mistakes, the discovering half shrunk in proportion."""
    first, labels = halves(world.test), world.test.truth
    answers = torch.cat([world.classifier.predict(x) for x in world.test.images().split(250)])
    wrong = first & (answers != labels)
    kinds = {label: (wrong & (labels == label)).nonzero().flatten() for label in (0, 1)}
    label, mistakes = max(kinds.items(), key=lambda kind: len(kind[1]))
    light = Settings(seed=run.seed, pushed=8, controls=2, deflations=1, cohorts=1)
    named = {}
    for n in _COUNTS:
        if n > len(mistakes):
            continue
        # A stretch of the discovering half that holds n such mistakes, and all of the testing half.
        last = int(mistakes[n - 1])
        kept = (~first) | (torch.arange(len(labels)) <= last)
        part = world.test.pick(kept)
        settings = replace(light, mistakes=n, needed=min(n, int(((first & kept) & wrong).sum())))
        found = find(world.classifier, world.decoder, part, settings=settings, discover=first[kept])
        one = next((finding for finding in found.tested if finding.true == label), None)
        named[str(n)] = one is not None and one.name == world.plants[0]
    return named


def merged(raw: Mapping[str, Any]) -> dict[str, float]:
    """One value of all seeds: shares, means and counts.

    Args:
        raw: What the parts measured, by seed.
    """

    def of(part: str) -> list[dict[str, Any]]:
        return [parts[part]["raw"] for parts in raw.values() if part in parts]

    strong_ones, weak_ones, free, pairs = of("strong"), of("weaker"), of("none"), of("two")
    figures: dict[str, float] = {}
    if both := [*strong_ones, *weak_ones]:
        figures["plant_first"] = fmean(one["claims"][:1] == one["plants"][:1] for one in both)
    if strong_ones:
        figures["cosine_truth"] = fmean(one["cosine"] for one in strong_ones)
        figures["effect_error"] = fmean(one["effect_error"] for one in strong_ones)
        seen = [one["seen_error"] for one in strong_ones if "seen_error" in one]
        figures |= {"effect_error_seen": fmean(seen)} if seen else {}
        for n in map(str, _COUNTS):
            if hits := [one["named_by_mistakes"][n] for one in strong_ones if n in one["named_by_mistakes"]]:
                figures[f"named_from_{n}"] = fmean(hits)
    if free:
        figures["false_findings"] = float(sum(len(one["claims"]) for one in free))
    if pairs:
        figures["two_plants"] = fmean(set(one["plants"]) <= set(one["claims"]) for one in pairs)
    return figures


BENCH = Bench(
    "findings",
    {"strong": strong, "weaker": weaker, "none": none, "two": two},
    {
        "plant_first": Bar(">=", 0.9, 0.9, seeds=10),
        "false_findings": Bar("==", 0, seeds=10),
        "cosine_truth": Bar(">=", 0.85, 0.8, seeds=10),
        "effect_error": Bar("<=", 0.15, 0.3, seeds=10),
        "two_plants": Bar(">=", 0.7, seeds=10),
    },
    merged,
)
