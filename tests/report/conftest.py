"""A run folder with a drawn face in each picture, and the record that an audit would hand over."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from amiss.report import build

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!--\u2028\u2029&lt;"
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
        "methods": [
            {
                "name": "LSE",
                "text": "A small step in the latent code that makes the wrong answer right.",
                "settings": {"steps": 120, "weight": 0.03, "margin": 0.5},
                "reference": "Zoetmulder et al. (2018), Deep latent sympathetic examples, eq. 3",
            }
        ],
    }


def hostile(record: dict[str, Any]) -> dict[str, Any]:
    """The record with an attack in place of each name and text."""
    record = copy.deepcopy(record)
    for name in ("title", "sentence", "model", "data", "command", "fooled_note", "table_title"):
        record[name] = HOSTILE
    record["versions"] = {HOSTILE: HOSTILE}
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
    for case in record["cases"]:
        for repair in case["repairs"]:
            repair.update(method=HOSTILE, outcome=HOSTILE, reason=HOSTILE, judge=HOSTILE)
            repair["frame_labels"] = [HOSTILE for _ in repair["frames"]]
    return record


@pytest.fixture
def attack() -> str:
    return HOSTILE


@pytest.fixture
def wild(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    return hostile(draw_run(tmp_path / "wild")), tmp_path / "wild"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    return build(draw_run(folder), folder)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return draw_run(tmp_path_factory.mktemp("record") / "run")


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    return build(hostile(draw_run(folder)), folder)


@pytest.fixture
def run(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    return draw_run(tmp_path / "run"), tmp_path / "run"
