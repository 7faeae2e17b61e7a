"""A run folder with a drawn face in each picture, and the record that an audit would hand over."""

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from amiss.report import build

_KEPT = ("image", "id")  # paths and keys, which nobody chooses
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!--\u2028\u2029&lt;"
CHROMIUM = Path(os.environ.get("AMISS_CHROMIUM", "/usr/bin/chromium"))
SWITCHES = "no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync no-first-run"
METHODS = ("LSE", "LSE, plain decoding", "Pixel PGD")

FLAGS = (
    {
        "slug": "parity",
        "title": "The accuracy is not the owner's",
        "when": "before",
        "state": "not measured",
        "value": None,
        "measured": "no accuracy was given",
        "threshold": "more than 2 % between the two accuracies",
        "consequence": "Another model may have been audited.",
        "remedy": "Give mean and std as in training.",
        "reference": "Carlini et al. (2019)",
    },
    {
        "slug": "probabilities",
        "title": "Probabilities in place of logits",
        "when": "before",
        "state": "clear",
        "value": 0.0,
        "measured": "0 of 32 rows sum to 1",
        "threshold": "every row lies in [0, 1] and sums to 1",
        "consequence": "Gradients vanish where the model is sure.",
        "remedy": "Hand over the logits.",
        "reference": "Carlini and Wagner (2017)",
    },
    {
        "slug": "gradient-masked",
        "title": "The gradient does not say how the answer changes",
        "when": "before",
        "state": "fired",
        "value": 0.81,
        "measured": "26 of 32 images (81 %) disagree with finite differences",
        "threshold": "more than half of the images",
        "consequence": "What a gradient attack did not break may still be broken by another.",
        "remedy": "Attack through a differentiable stand-in, and compare with `square`, which needs no gradient.",
        "reference": "Athalye et al. (2018), obfuscated gradients",
    },
    {
        "slug": "eps-huge",
        "title": "A radius without bounds does not break everything",
        "when": "after",
        "state": "fired",
        "value": 0.62,
        "measured": "20 of 32 images (62 %)",
        "threshold": "less than 100 % of the images",
        "consequence": "The attack itself is broken.",
        "remedy": "Look at the step size and at the objective.",
        "reference": "Carlini et al. (2019), section 3",
    },
)
GATES = (
    {"text": "mistakes_repaired>=0.9", "value": 0.98, "met": True, "why": ""},
    {
        "text": "robust_accuracy@8/255>=0.45",
        "value": 0.41,
        "met": False,
        "why": "0.41, where at least 0.45 is needed",
    },
)


def face(jaw: float, gray: int, side: int = 28) -> Image.Image:
    image = Image.new("RGB", (4 * side, 4 * side), (gray // 3, gray // 3, gray // 2))
    draw = ImageDraw.Draw(image)
    half = side * (1 + jaw)
    draw.ellipse((2 * side - half, side * 0.6, 2 * side + half, side * 3.6), fill=(gray, gray - 20, gray - 40))
    for x in (1.5, 2.5):
        draw.ellipse((x * side - 5, 1.7 * side - 5, x * side + 5, 1.7 * side + 5), fill=(20, 20, 30))
    draw.arc((1.5 * side, 2.2 * side, 2.5 * side, 2.9 * side), 20, 160, fill=(120, 30, 40), width=4)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def noisy(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, np.float64) + 255 * strength * rng.choice([-1.0, 1.0], size=(*image.size[::-1], 3))
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def draw_run(folder: Path, cases: int = 8, frames: int = 9, side: int = 28) -> dict[str, Any]:
    """Draw the pictures into `folder` and return the record of the run."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)

    def save(image: Image.Image, name: str) -> str:
        image.save(folder / "images" / name)
        return f"images/{name}"

    made = []
    for i in range(cases):
        jaw, gray = 0.15 + 0.02 * (i % 5), 120 + 12 * (i % 9)
        start = face(jaw, gray, side)
        met = i % 4 != 3
        true, said = ("male", "not male") if i % 3 else ("not male", "male")
        repairs = []
        for m, method in enumerate(METHODS):
            reach = 0.25 * (1 + i % 3) if met or m == 2 else 0.05
            steps = [
                noisy(start, 0.03 * t / (frames - 1), rng)
                if m == 2
                else face(jaw + reach * t / (frames - 1), gray - 10 * m, side)
                for t in range(frames)
            ]
            names = [save(step, f"{i}-{m}-{t}.png") for t, step in enumerate(steps)]
            goal = 0.52 if met or m == 2 else -0.2
            margins = [round(-1 + (goal + 1) * t / (frames - 1), 4) for t in range(frames)]
            repairs.append(
                {
                    "method": method,
                    "image": names[-1],
                    "outcome": "met" if goal > 0 else "exhausted",
                    "l2": 0.4 + i + 0.1 * m,
                    "linf": 0.3,
                    "steps": 5 * (frames - 1),
                    "margin": goal,
                    "judge": true if m < 2 else said,
                    "verified": goal > 0,
                    "reason": "The goal held with its margin." if goal > 0 else "The budget was spent.",
                    "frames": names,
                    "frame_steps": [5 * t for t in range(frames)],
                    "frame_margins": margins,
                    "frame_labels": [true if margin > 0 else said for margin in margins],
                }
            )
        made.append(
            {
                "id": f"{i:08x}",
                "name": f"photos/img_{i:04}.png",
                "true": true,
                "predicted": said,
                "repaired_as": true,
                "outcome": "met" if met else "exhausted",
                "verified": met,
                "original": save(start, f"{i}.png"),
                "judge": true,
                "repairs": repairs,
            }
        )
    fooled = [
        {
            "class": f"class {i}",
            "confidence": 0.999 if i % 4 else 0.61,
            "image": save(noisy(Image.new("RGB", (side, side), (30 * i, 90, 120)), 0.3, rng), f"f{i}.png"),
            "verified": True,
            "steps": 12 + i,
        }
        for i in range(8)
    ]
    met = sum(case["outcome"] == "met" for case in made)
    return {
        "title": "amiss: faces",
        "sentence": "The model is wrong on 412 of 5,000 faces, and a small change would repair 98 %.",
        "model": "resnet18",
        "data": "photos",
        "created": "2026-11-20T12:00:00+00:00",
        "seed": 0,
        "command": "amiss audit net.py:load photos --out runs/faces --seed 0",
        "fingerprints": {"model": "ab" * 32, "data": "cd" * 32},
        "versions": {"amiss": "0.1.0", "torch": "2.13.0"},
        "tiles": [
            {"label": "Mistakes repaired", "value": "98 %", "note": "of 412, median L2 1.7"},
            {"label": "Median change", "value": "1.7", "note": "L2, pixel values in [0, 1]"},
            {"label": "Classes fooled", "value": "6 of 8", "note": "at 99 % confidence"},
            {"label": "Robust accuracy", "value": "41 %", "note": "PGD, L_inf 8/255, n = 256"},
        ],
        "notices": [
            {
                "level": "warning",
                "title": "Few images of one group",
                "text": "Only 31 images carry the attribute.",
            },
            {"level": "info", "title": "Two files were not read", "text": "They are cut short."},
        ],
        "counts": {"images": 5000, "right": 4588, "wrong": 412, "unreadable": 0},
        "outcomes": {"LSE": {"met": met, "exhausted": cases - met}, "Pixel PGD": {"met": cases}},
        "verified": {"claimed": met, "held": met},
        "table_title": "Error rate by attribute",
        "table_head": ["Attribute", "Images", "Wrong", "Error rate"],
        "table": [["long hair", 1200, 310, "25.8 %"], ["short hair", 3800, 102, "2.7 %"]],
        "table_note": "Attributes are hypotheses about a direction of the generator, not facts about people.",
        "flags": [dict(flag) for flag in FLAGS],
        "gates": [dict(gate) for gate in GATES],
        "cases": made,
        "robustness": {
            "epsilons": [0.0, 0.01, 0.02, 0.03, 0.05],
            "accuracy": [0.92, 0.71, 0.5, 0.41, 0.12],
            "low": [0.88, 0.65, 0.44, 0.35, 0.08],
            "high": [0.95, 0.76, 0.56, 0.47, 0.17],
            "n": 256,
            "unit": "pixel values in [0, 1]",
            "method": "PGD, L_inf, 40 steps",
        },
        "fooled": fooled,
        "fooled_note": "Evolved without a photograph.",
        "fooled_table": {
            "title": "What would reject it",
            "text": "Rules of rejection.",
            "head": ["Rule", "Let pass"],
            "rows": [["energy", "92%"]],
            "note": "Two images.",
        },
        "methods": [
            {
                "name": "LSE",
                "text": "A small step in the latent code that makes the wrong answer right.",
                "settings": {"steps": 120, "weight": 0.03, "margin": 0.5},
                "reference": "Zoetmulder et al. (2018), Deep latent sympathetic examples, eq. 3",
            }
        ],
    }


def draw_findings(folder: Path, record: dict[str, Any], side: int = 28) -> dict[str, Any]:
    """The record with findings (one claimed, one tested, one kind too rare) and with an atlas of two cases."""
    rng = np.random.default_rng(1)

    def save(image: Image.Image, name: str) -> str:
        image.save(folder / "images" / name)
        return f"images/{name}"

    def share(value: float, n: int = 80) -> dict[str, float]:
        return {"share": value, "low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1), "n": n}

    def finding(name: str, title: str | None, verdict: str, says: str) -> dict[str, Any]:
        positions = [-1.0, -0.5, 0.0, 0.5, 1.0]
        strips = []
        for k in range(3):
            frames = [save(face(0.3 + 0.2 * at, 130 + 20 * k, side), f"{name}-{k}-{at}.png") for at in positions]
            strips.append(
                {
                    "image": frames[2],
                    "name": f"photos/walk_{k}.png",
                    "true": "male",
                    "predicted": "not male",
                    "frames": frames,
                    "positions": positions,
                    "labels": ["not male", "not male", "not male", "male", "male"],
                    "margins": [-2.0, -1.0, -0.5, 0.5, 1.5],
                }
            )
        ends = {
            end: [
                {
                    "image": save(face(0.1 + 0.3 * high, 110 + 6 * k, side), f"{name}-{end}-{k}.png"),
                    "name": f"photos/{end}_{k}.png",
                    "true": "male",
                    "predicted": "not male",
                }
                for k in range(20)
            ]
            for high, end in enumerate(("bottom", "top"))
        }
        pixels = np.full((side, side, 3), 128, np.uint8)
        pixels[:8, :, 0], pixels[20:, :, 2] = 255, 1
        return {
            "id": name,
            "name": title,
            "suggested": True,
            "true": "male",
            "predicted": "not male",
            "verdict": verdict,
            "says": says,
            "mistakes": 34,
            "tested": 500,
            "wald": -12.3 if verdict == "misuse" else -1.1,
            "wald_bar": -5.0,
            "auc_prediction": 0.8,
            "auc_truth": 0.54,
            "length": 4.8,
            "effects": [
                {
                    "length": 1.6 * k,
                    "breaks": share(0.18 * k),
                    "repairs": share(0.3 * k, 34),
                    "control": {"mean": 0.05 * k, "most": 0.08 * k, "n": 20},
                }
                for k in (1, 2, 3)
            ],
            "measured": {"length": 4.1, "breaks": share(0.48, 60), "repairs": share(0.9, 34), "control": None},
            "seen": share(0.5, 60),
            "cross_check": 0.93,
            "names": [
                {"name": "hair", "difference": -1.9, "cosine": -0.9},
                {"name": "brow", "difference": 0.2, "cosine": 0.1},
            ],
            "truth": {"what": "hair redrawn", "breaks": share(0.43, 60), "repairs": share(0.93, 34)},
            "mean_change": {"image": save(Image.fromarray(pixels), f"{name}-mean.png"), "largest": 0.4},
            "strips": strips,
            "cases": [{"id": f"{k:08x}", "name": f"photos/img_{k:04}.png", "position": 0.25 * k} for k in range(8)],
            **ends,
        }

    n, thumbs = 9, 3
    sheet = noisy(Image.new("RGB", (thumbs * side, thumbs * side), (90, 90, 120)), 0.2, rng)
    for j in range(thumbs):
        for i in range(thumbs):  # the lowest y on top, as an atlas is written
            sheet.paste((80 * i, 80 * j, 0), (side * i, side * j, side * (i + 1), side * (j + 1)))
    left = [0 if k % n < n // 2 else 1 for k in range(n * n)]
    below = [0 if k // n < n // 2 else 1 for k in range(n * n)]
    atlas = [
        {
            "case": record["cases"][k]["id"],
            "title": f"face {k}",
            "plane": "code, solution" if k else "code, solution, runner-up",
            "x": [-4.0, 4.0],
            "y": [-4.0, 4.0],
            "n": n,
            "decoded": left,
            "moved": below,
            "differ": float(np.mean(np.array(left) != np.array(below))),
            "origin": [0.0, 0.0],
            "code": [-3.0, -3.0],
            "solution": [2.0, 3.0],
            "runner_up": None if k else [3.0, 1.0],
            "path": [[-3.0 + at, -3.0 + at, int(at > 2)] for at in range(6)],
            "thumbs": {"n": thumbs, "image": save(sheet, f"atlas-{k}.png")},
            "outcome": "met" if k else "stuck",
        }
        for k in range(2)
    ]
    cases = [dict(case) for case in record["cases"]]
    for case in cases[:3]:
        case["findings"] = ["male-0"]
        case["answers"] = {"x": "not male", "gz": "not male", "plain": "male", "moved": "male"}
    return {
        **record,
        "cases": cases,
        "findings": {
            "claims": [finding("male-0", "hair", "misuse", "Shorter hair turns men called not male into male.")],
            "tested": [finding("male-1", None, "use", "It uses this change; no misuse was detected.")],
            "too_few": [{"true": "not male", "predicted": "male", "mistakes": 7}],
            "needed": 20,
            "discover": 2500,
            "test": 2500,
            "sentence": "The commonest change that repairs men called not male is shorter hair.",
            "limits": ["Data that share the shortcut cannot show it.", "A name is a hypothesis."],
        },
        "atlas": {"cases": atlas, "classes": ["not male", "male"]},
    }


def draw_imposters(folder: Path, record: dict[str, Any], side: int = 28) -> dict[str, Any]:
    """The record with imposters of two layers within two bounds, everything measured that can be."""
    rng = np.random.default_rng(2)

    def save(image: Image.Image, name: str) -> str:
        image.save(folder / "images" / name)
        return f"images/{name}"

    def share(value: float, n: int = 24) -> dict[str, float]:
        return {"share": value, "low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1), "n": n}

    made: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("table", "rows", "strips", "metrics", "sparsity", "transfer")
    }
    for place, layer in enumerate(("conv2", "fc1")):
        for levels in (5, 10):
            cell: dict[str, Any] = {"layer": layer, "delta": f"{levels}/255"}
            ratio = 1 - 0.05 * levels * (1 + 0.5 * place)
            shares = ("label", "source_label", "neighbors", "neighbors_before")
            made["table"].append(
                {
                    **cell,
                    "gray_levels": levels,
                    "pairs": 24,
                    "ratio": {"low": ratio - 0.05, "median": ratio, "high": ratio + 0.05},
                    **{name: share(0.2 * k + 0.05 * place) for k, name in enumerate(shares)},
                    "verified": {"claimed": 20, "held": 20},
                }
            )
            for k in range(3):
                start = face(0.1 + 0.2 * k, 130, side)
                name = f"like-{layer}-{levels}-{k}"
                made["rows"].append(
                    {
                        **cell,
                        "name": f"photos/source_{k}.png",
                        "guide_name": f"photos/guide_{k}.png",
                        "true": "male",
                        "guide_label": "not male",
                        "called": "not male" if place else "male",
                        "ratio": ratio,
                        "shared": k,
                        "outcome": "met" if ratio <= 0.5 else "exhausted",
                        "linf": levels / 255,
                        "source": save(start, f"{name}-s.png"),
                        "guide": save(face(0.9, 110, side), f"{name}-g.png"),
                        "image": save(noisy(start, 0.04, rng), f"{name}-a.png"),
                    }
                )
                made["strips"].append({**cell, "pair": k, "source": "fa50", "imposter": "05ae", "guide": "05af"})
            groups = [
                {"name": name, "counts": [k, 3, 4 - k], "n": 7, "median": 0.5 * k}
                for k, name in enumerate(("natural images", "imposters", "label adversaries"))
            ]
            histograms = [
                {"metric": metric, "title": title, "edges": [0.0, 1.0, 2.0, 3.0], "groups": groups}
                for metric, title in (("rank", "Rank among the class, in percent"), ("omega", "Angular consistency"))
            ]
            made["metrics"].append({**cell, "summary": {}, "histograms": histograms})
            made["sparsity"] += [
                {
                    **cell,
                    "group": group,
                    "active": 60.0,
                    "delta_active": 1.5,
                    "overlap": 0.6 + 0.3 * k,
                    "overlap_guide": 0.9 - 0.3 * k,
                }
                for k, group in enumerate(("imposters", "label adversaries"))
            ]
            part = {"changed": share(0.3), "guide": share(0.1), "top": None}
            made["transfer"] += [
                {
                    **cell,
                    "model": model,
                    "fingerprint": ("ab" if model == "resnet18" else "ef") * 32,
                    "side": None if model == "resnet18" else 64,
                    "n": 24,
                    "right": 22,
                    "made": part,
                    "noise": {**part, "changed": share(0.04)},
                }
                for model in ("resnet18", "other.py:net")
            ]
    panels = [
        {
            "name": f"photos/source_{k}.png as photos/guide_{k}.png",
            "layer": "fc1",
            "delta": "10/255",
            "layers": [
                {
                    "layer": layer,
                    **{
                        name: save(noisy(face(0.4 * j, 120, side), 0.3, rng), f"inverted-{k}-{layer}-{name}.png")
                        for j, name in enumerate(("source", "imposter", "guide"))
                    },
                }
                for layer in ("conv2", "fc1")
            ],
        }
        for k in range(2)
    ]
    likes = {
        "sentence": "In layer fc1 at 10/255, 94% of 24 imposters take their guide's label.",
        "notes": ["Label adversaries are the contrast group."],
        "among": [{"layer": layer, "images": 400} for layer in ("conv2", "fc1")],
        "inversion": panels,
        **made,
    }
    return {**record, "imposters": likes}


def draw_nonsense(folder: Path, record: dict[str, Any], classes: int = 6, side: int = 12) -> dict[str, Any]:
    """The record with champions of two encodings at three marks; individual k is a gray square of level 10 k."""
    (folder / "images").mkdir(parents=True, exist_ok=True)

    def sheet(columns: int, rows: int, name: str) -> str:
        image = Image.new("RGB", (columns * side, rows * side))
        for k in range(columns * rows):
            y, x = divmod(k, columns)
            image.paste((10 * (k % 25), 0, 0), (side * x, side * y, side * (x + 1), side * (y + 1)))
        image.save(folder / "images" / name)
        return f"images/{name}"

    parts = []
    for encoding, unit in (("direct", "generation"), ("cppn", "generation")):
        late = 3.0 if encoding == "cppn" else 0.0
        marks = [
            {
                "turn": turn,
                "evaluations": 20 * (turn + 1),
                "cells": [8 * m + c % 8 for c in range(classes)],
                "odds": [round(2.0 * m - 0.5 * (c % 10) + late, 2) for c in range(classes)],
            }
            for m, turn in enumerate((0, 10, 100))
        ]
        line = [{"cell": 16, "turn": 100, "held": 0}, {"cell": -1, "turn": 7, "held": 1}]
        graph = [
            {"name": "output 0", "kind": "sine", "of": [["x", -3.5], ["node 0", 2.0], ["one", 1.0]]},
            {"name": "node 0", "kind": "gaussian", "of": [["distance", 7.25]]},
        ]
        champions = [
            {
                "odds": marks[-1]["odds"][c],
                "confidence": 0.5,
                "met": c == 0,
                "outcome": "met" if c == 0 else "exhausted",
                "file": f"studies/{encoding}/{c}.png",
                "image": sheet(1, 1, f"champion-{encoding}.png") if c == 0 else None,
                "length": 40,
                "line": [*line, {"cell": c % 8, "turn": 0, "held": c}],
                "graph": graph if encoding == "cppn" else None,
            }
            for c in range(classes)
        ]
        lines = {name: [-1.0, 2.0, 4.0 + late - k] for k, name in enumerate(("median", "mean", "worst"))}
        parts.append(
            {
                "encoding": encoding,
                "title": f"{encoding}: how it evolves",
                "unit": unit,
                "marks": marks,
                "curve": {"turns": [0, 10, 100], "evaluations": [20, 220, 2020], **lines},
                "champions": champions,
                "sheets": [sheet(32, 1, f"sheet-{encoding}.png")],
                "columns": 32,
                "rows": 32,
                "side": side,
            }
        )
    folly = {
        "sentence": "Nonsense is called by its name for 5 of 6 classes.",
        "classes": [f"class {c}" for c in range(classes)],
        "bar": 0.99,
        "notes": ["Gradient was left out: this model gives no gradients."],
        "parts": parts,
        "paper": [{"encoding": "cppn", "data": "ImageNet", "evaluations": 2_000_400, "median": 0.8811}],
        "tables": [
            {
                "title": "What would reject it",
                "text": "Shares that a rule accepts.",
                "head": ["Rule", "Accepted"],
                "rows": [["energy", "92%"]],
                "note": "Of 95 % of the natural images.",
            }
        ],
    }
    return {**record, "nonsense": folly}


def hostile(record: dict[str, Any]) -> dict[str, Any]:
    """The record with an attack in place of each name and text."""
    record = copy.deepcopy(record)
    for name in ("title", "sentence", "model", "data", "command", "fooled_note", "table_title"):
        record[name] = HOSTILE
    record["versions"] = {HOSTILE: HOSTILE}
    record["fooled_table"] = {
        **dict.fromkeys(("title", "text", "note"), HOSTILE),
        "head": [HOSTILE],
        "rows": [[HOSTILE]],
    }
    record["table_head"][0] = record["table"][0][0] = HOSTILE
    record["outcomes"] = {HOSTILE: {HOSTILE: 3}}
    record["flags"].append({"slug": "x", "title": "x", "state": "constructor"})
    for entry in (*record["flags"][:-1], *record["gates"]):
        entry |= {key: HOSTILE for key, value in entry.items() if isinstance(value, str) and key != "state"}
    for group in (record["tiles"], record["notices"], record["methods"], record["fooled"], record["cases"]):
        for entry in group:
            for key, value in entry.items():
                if isinstance(value, str) and key not in ("image", "original", "id"):
                    entry[key] = HOSTILE
    for finding in (*record["findings"]["claims"], *record["findings"]["tested"]):
        for entry in (finding, *finding["strips"], *finding["top"], *finding["names"], *finding["cases"]):
            entry |= {key: HOSTILE for key, value in entry.items() if isinstance(value, str) and key not in _KEPT}
        finding["truth"]["what"] = HOSTILE
        for strip in finding["strips"]:
            strip["labels"] = [HOSTILE] * 5
    record["findings"] |= {"sentence": HOSTILE, "limits": [HOSTILE]}
    record["findings"]["too_few"][0] |= {"true": HOSTILE, "predicted": HOSTILE}
    record["atlas"]["classes"] = [HOSTILE, HOSTILE + "2"]
    for case in record["atlas"]["cases"]:
        case |= {"title": HOSTILE, "plane": HOSTILE, "outcome": HOSTILE}
    likes = record["imposters"]
    likes |= {"sentence": HOSTILE, "notes": [HOSTILE]}
    cells = ("table", "rows", "strips", "metrics", "sparsity", "transfer", "among")
    for entry in (*(entry for name in cells for entry in likes[name]), *likes["inversion"]):
        entry |= {
            key: HOSTILE for key, value in entry.items() if isinstance(value, str) and not value.startswith("images/")
        }
    for found in likes["metrics"]:
        found["histograms"] = [{**entry, "title": HOSTILE} for entry in found["histograms"]]
        for group in found["histograms"][0]["groups"]:
            group["name"] = HOSTILE
    for row in (row for panel in likes["inversion"] for row in panel["layers"]):
        row["layer"] = HOSTILE
    folly = record["nonsense"]
    folly |= {"sentence": HOSTILE, "notes": [HOSTILE], "classes": [HOSTILE] * len(folly["classes"])}
    for part in folly["parts"]:
        part |= {"encoding": HOSTILE, "title": HOSTILE, "unit": HOSTILE}
        for entry in part["champions"]:
            entry |= {"file": HOSTILE, "outcome": HOSTILE}
            for node in entry["graph"] or []:
                node |= {"name": HOSTILE, "kind": HOSTILE, "of": [[HOSTILE, 1.0]]}
    folly["paper"][0] |= {"encoding": HOSTILE, "data": HOSTILE}
    folly["tables"] = [{"title": HOSTILE, "text": HOSTILE, "head": [HOSTILE], "rows": [[HOSTILE]], "note": HOSTILE}]
    for case in record["cases"][:3]:
        case["answers"] = dict.fromkeys(case["answers"], HOSTILE)
    for case in record["cases"]:
        for repair in case["repairs"]:
            repair.update(method=HOSTILE, outcome=HOSTILE, reason=HOSTILE, judge=HOSTILE)
            repair["frame_labels"] = [HOSTILE for _ in repair["frames"]]
    return record


def drawn(folder: Path) -> dict[str, Any]:
    """A run with everything that a report can show."""
    return draw_nonsense(folder, draw_imposters(folder, draw_findings(folder, draw_run(folder))))


@pytest.fixture
def attack() -> str:
    return HOSTILE


@pytest.fixture
def wild(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    return hostile(drawn(tmp_path / "wild")), tmp_path / "wild"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    return build(drawn(folder), folder)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return drawn(tmp_path_factory.mktemp("record") / "run")


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    return build(hostile(drawn(folder)), folder)


@pytest.fixture
def run(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    return drawn(tmp_path / "run"), tmp_path / "run"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(CHROMIUM), args=["--" + flag for flag in SWITCHES.split()]
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a report; whatever it says on the console or asks of the network ends the test."""
    opened: list[tuple[Any, str]] = []
    said: list[str] = []
    asked: list[str] = []

    def go(path: Path, route: str = "overview", width: int = 1280, scheme: str = "light", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, **options)
        context.set_default_timeout(20_000)  # a busy machine is no failure
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url.split("#")[0]))
        page.goto(f"{path.as_uri()}#/{route}")
        opened.append((context, path.as_uri()))
        return page

    yield go
    for context, _ in opened:
        context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {url for _, url in opened}
