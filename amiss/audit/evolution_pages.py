"""What a report shows of the experiment with fooling images: the archive as it grew, who descends from whom."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.encodings import STEEP
from amiss.audit.evolution import Encoded, Evolution, Evolved, log_odds
from amiss.audit.evolution_pictures import COLUMNS, Shown, columns_of, fitted, holder, sheets
from amiss.audit.figures import percent
from amiss.audit.frames import number
from amiss.classifier import Classifier
from amiss.repro import versions
from amiss.spaces import CPPN

__all__ = ["evolution_figures", "evolution_known", "evolution_record", "evolution_rows"]

_PICTURED = 400  # champions, all encodings together, whose own files are shown beside the wall

_TITLES = {
    "direct": "Direct: pixels that evolve",
    "cppn": "CPPN: pictures of graphs that evolve",
    "gradient": "Gradient: gray images pushed up the gradient",
    "direct-gradient": "Direct and gradient: pixels that evolve and climb",
    "ascent": "Ascent: gray images pushed up the probability, and drawn back to gray",
}
_TEXTS = {
    "direct": "Each genome is a list of pixels. Children are their parents with some pixels moved; every child "
    "competes for every class, and each class keeps the image that it is surest of.",
    "cppn": "Each genome is a small graph that makes a color of a pixel's place. Children have other weights, other "
    "nodes, connections more or less; every child competes for every class.",
    "gradient": "One gray image a class, changed by the sign of the gradient.",
    "direct-gradient": "Pixels that evolve, and beside them climbers: each leaves the best image of a class along "
    "the gradient, and what it comes to competes for every class.",
    "ascent": "One gray image a class. Each step goes up the gradient of the probability, as far as that is to rise "
    "by a certain amount, and then a hundredth of the way back to gray.",
}
_STEPPING = ("gradient", "ascent")  # step by step, where the others have generations
PAPER = (
    {"encoding": "direct", "data": "MNIST", "evaluations": 40_200, "median": 0.9999},
    {"encoding": "cppn", "data": "MNIST", "evaluations": 40_200, "median": 0.9999},
    {"encoding": "direct", "data": "ImageNet", "evaluations": 4_000_200, "median": 0.2159},
    {"encoding": "cppn", "data": "ImageNet", "evaluations": 2_000_400, "median": 0.8811},
)
"""What Nguyen, Yosinski and Clune (2015) tell of their own networks, with 200 children a generation, or 400."""


def evolution_figures(part: Encoded, bar: float) -> dict[str, float]:
    """The figures of one encoding, by the names that gates use: shares and quantiles over the classes.

    Args:
        part: What was found.
        bar: The confidence that fools.
    """
    name, sure = part.encoding, part.confidence.double().nan_to_num(0.0)
    told = part.told
    figures = {
        f"fooled.{name}": float(part.result.met.double().mean()),
        f"confidence_median.{name}": float(sure.quantile(0.5)),
        f"confidence_mean.{name}": float(sure.mean()),
        f"confidence_worst.{name}": float(sure.amin()),
        f"evaluations.{name}": float(told.evaluations[-1]) if told.evaluations else 0.0,
    }
    reached = [k for k, nats in zip(told.evaluations, told.losses, strict=True) if _median(nats) <= -math.log(bar)]
    return figures | ({f"evaluations_to_median.{name}": float(reached[0])} if reached else {})


def evolution_known(evolution: Evolution) -> dict[str, str]:
    """Every figure that the experiment can have, each with the reason why it may come out without it."""
    none = "the model gives no gradients"
    figures = {"classes": "there was no class", "verified_from_disk": "no search claimed a success"}
    for name in evolution.encodings:
        why = none if name in STEEP else "nothing was searched"
        words = ("fooled", "confidence_median", "confidence_mean", "confidence_worst", "evaluations")
        figures |= {f"{word}.{name}": why for word in words}
        figures[f"evaluations_to_median.{name}"] = "the median of the classes did not reach the bar"
    return figures


def evolution_record(
    found: Evolved, classifier: Classifier, out: Path, *, model: str, data: str, command: str, **more: Any
) -> dict[str, Any]:
    """The experiment as JSON values; the pictures they name are written under `out`.

    Args:
        found: What was found.
        classifier: Who was fooled.
        out: Run folder.
        model: How the model is called.
        data: How the data are called; empty where there are none.
        command: What makes this record again.
        more: What else the section shows: "tables", of `amiss.audit.evolution_tables`.
    """
    bar, parts = found.evolution.confidence, found.parts
    claimed, held = sum(part.claimed for part in parts), sum(int(part.result.met.sum()) for part in parts)
    figures: dict[str, float] = {"classes": len(found.names)}
    for part in parts:
        figures |= evolution_figures(part, bar)
    figures |= {"verified_from_disk": held / claimed} if claimed else {}
    sentence = _sentence(found)
    fingerprints = {"model": classifier.fingerprint}
    if found.images is not None:
        fingerprints["data"] = found.images.fingerprint
    return {
        "title": f"Nonsense for {model}",
        "sentence": sentence,
        "model": model,
        "data": data or "no images",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": found.evolution.seed,
        "command": command,
        "fingerprints": fingerprints,
        "versions": versions(),
        "figures": figures,
        "tiles": _tiles(found, claimed, held),
        "notices": [],
        "outcomes": {part.encoding: part.result.counts for part in parts},
        "verified": {"claimed": claimed, "held": held},
        "claims": "fooling images",
        "flags": [flag.to_json() for flag in found.flags],
        "cases": [],
        "fooled": [],
        "nonsense": {**_section(found, classifier, out), "sentence": sentence, **more},
        "methods": [_method(part) for part in parts],
        "plan": asdict(found.evolution),
    }


def evolution_rows(found: Evolved) -> tuple[list[str], list[list[object]]]:
    """Head and rows of fooling.csv: one an encoding and class; evaluations are those of the encoding, all classes."""
    head = ["encoding", "class", "name", "confidence", "log_odds", "individual", "turn", "parent", "status", "first"]
    head += ["evaluations_of_encoding", "image"]
    rows: list[list[object]] = []
    for part in found.parts:
        asked = int(evolution_figures(part, found.evolution.confidence)[f"evaluations.{part.encoding}"])
        odds = log_odds(part.nats)
        holders = part.told.holders[-1].tolist() if len(part.told.holders) else [-1] * len(found.names)
        for k, (c, name, own) in enumerate(zip(found.classes, found.names, holders, strict=True)):
            turn, _, parent = part.told.first.get(own, ("", "", ""))
            o = part.result.outcomes[k]
            said = [part.encoding, c, name, float(part.confidence[k]), round(float(odds[k]), 4), own, turn, parent]
            rows.append([*said, o.status, o.first, asked, part.paths[k]])
    return head, rows


def _median(nats: Tensor) -> float:
    """Of -log p over the classes, where the middle one of an even number is half way in probability."""
    return -math.log(max(float((-nats.double()).exp().nan_to_num(0.0).quantile(0.5)), 1e-300))


def _sentence(found: Evolved) -> str:
    """What is told first: of each encoding how many classes it fools."""
    n, bar = len(found.names), found.evolution.confidence
    words = [f"{int(part.result.met.sum()):,} of {n:,} classes by {part.encoding}" for part in found.parts]
    broken = [part.encoding for part in found.parts if not bool(part.nats.isfinite().any())]
    if broken:
        return f"The network answers no number to the images of {' and '.join(broken)}: nothing can be said of them."
    if not words:
        return "Nothing was searched."
    said = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return (
        f"Images that were made for a class, from nothing, are taken for it with a confidence of {bar:.4g} or more: "
        f"{said}. Nobody judged whether a person would see the class in them."
    )


def _tiles(found: Evolved, claimed: int, held: int) -> list[dict[str, str]]:
    n, rows = len(found.names), []
    for part in found.parts:
        figures, name = evolution_figures(part, found.evolution.confidence), part.encoding
        note = f"of {n:,} classes, after {figures[f'evaluations.{name}']:,.0f} evaluations"
        rows.append((f"Fooled, {name}", percent(figures[f"fooled.{name}"]), note))
    rows.append(
        ("Claims that held", percent(held / claimed) if claimed else "none", "read back, alone and in a batch")
    )
    return [{"label": label, "value": value, "note": note} for label, value, note in rows]


def _method(part: Encoded) -> dict[str, Any]:
    return {
        "name": _TITLES[part.encoding],
        "text": _TEXTS[part.encoding]
        + " Confidences are read from the files. A gradient counts as three evaluations.",
        "settings": {"probe": part.result.probe},
        "reference": "Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled",
    }


def _section(found: Evolved, classifier: Classifier, out: Path) -> dict[str, Any]:
    """The page: what is the same for all encodings, and each encoding."""
    side, shown, lost = fitted(found)
    pictured = len(found.parts) * len(found.names) <= _PICTURED
    notes = [f"{_TITLES[name].partition(':')[0]} was left out: {why}" for name, why in found.left_out.items()]
    n, all_of_them = len(found.names), len(classifier.labels or ())
    if n < all_of_them:
        notes.insert(0, f"{n:,} of the model's {all_of_them:,} classes were asked for.")
    parts = [_part(part, own, side, out, pictured) for part, own in zip(found.parts, shown, strict=True)]
    return {
        "classes": list(found.names),
        "bar": found.evolution.confidence,
        "notes": [*notes, *lost],
        "parts": parts,
        "paper": [dict(row) for row in PAPER],
    }


def _part(part: Encoded, shown: Shown, side: int, out: Path, pictured: bool) -> dict[str, Any]:
    told = part.told
    place = {number: i for i, number in enumerate(shown.numbers)}
    turns = {turn: i for i, turn in enumerate(told.ticks)}
    odds, last = log_odds(told.losses), log_odds(part.nats)
    marks = [
        {
            "turn": told.marks[m],
            "evaluations": told.evaluations[turns[told.marks[m]]],
            "cells": [place.get(k, -1) for k in told.holders[m].tolist()],
            "odds": [_short(value) for value in odds[turns[told.marks[m]]].tolist()],
        }
        for m in shown.marks
    ]
    graphs = _graphs(part)
    champions = [
        {
            "odds": _short(float(last[c])),
            "confidence": number(float(part.confidence[c])),
            "met": part.result.outcomes[c].met,
            "outcome": part.result.outcomes[c].status,
            "file": part.paths[c],
            "image": part.paths[c] if pictured else None,
            "length": len(told.line(holder(part, c))),
            "line": [
                {
                    "cell": place.get(k, -1),
                    "turn": told.first[k][0] if k in told.first else None,
                    "held": told.first[k][1] if k in told.first else c,
                }
                for k in line
            ],
            "graph": graphs[c] if graphs else None,
        }
        for c, line in enumerate(shown.lines)
    ]
    return {
        "encoding": part.encoding,
        "title": _TITLES[part.encoding],
        "unit": "step" if part.encoding in _STEPPING else "generation",
        "marks": marks,
        "curve": _curve(part),
        "champions": champions,
        "sheets": sheets(part, shown.numbers, side, out),
        "columns": columns_of(shown.numbers),
        "color": part.probe.space.color if isinstance(part.probe.space, CPPN) else None,
        "rows": COLUMNS,
        "side": side,
    }


def _short(value: float) -> float | None:
    """Log-odds that a page draws; None where there is no number."""
    return round(value, 2) if math.isfinite(value) else None


def _curve(part: Encoded) -> dict[str, Any]:
    """Median, mean and worst confidence of the classes, as log-odds, over evaluations."""
    missing = -torch.expm1(-part.told.losses.double())  # 1 - p, which has digits where p has none left
    rows = {"median": missing.quantile(0.5, dim=1), "worst": missing.amax(1), "mean": missing.mean(1)}
    odds = {name: (torch.log1p(-rest) - rest.log()).clamp(-100, 100) for name, rest in rows.items()}
    lines = {name: [_short(value) for value in values.tolist()] for name, values in odds.items()}
    return {"turns": list(part.told.ticks), "evaluations": list(part.told.evaluations), **lines}


def _graphs(part: Encoded) -> list[list[dict[str, Any]]] | None:
    """Of each champion the nodes of its graph that reach an output, outputs first; None where there are no graphs."""
    space = part.probe.space
    if not isinstance(space, CPPN):
        return None
    assert isinstance(part.result.p, Tensor)  # noqa: S101 - genomes of graphs are tensors
    return [_wording(drawing.nodes, drawing.edges) for drawing in space.describe(part.result.p.cpu())]


def _wording(nodes: Mapping[str, str], edges: Sequence[tuple[str, str, float]]) -> list[dict[str, Any]]:
    feeds: dict[str, list[tuple[str, float]]] = {}
    for source, target, weight in edges:
        feeds.setdefault(target, []).append((source, weight))
    queue = [name for name in nodes if name.startswith("output")]
    for name in queue:
        queue += [source for source, _ in feeds.get(name, []) if source in nodes and source not in queue]
    return [
        {
            "name": name,
            "kind": nodes[name],
            "of": [[source, round(weight, 2)] for source, weight in feeds.get(name, [])],
        }
        for name in queue
    ]
