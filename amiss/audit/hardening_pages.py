"""What a report shows of a network hardened against small changes: before and after under the same attacks."""

from typing import Any

from amiss.audit.defense_pages import Section, percent
from amiss.defend import Hardened, Row
from amiss.defend.outcome import robust
from amiss.defend.safetynet import TYPE1
from amiss.trust import wilson

__all__ = ["GUARDED", "HEAD", "LIMITS", "PASSES", "TEXT", "cells", "hardening_section", "percent_of"]

GUARDED = "safetynet"
"""The defense that leaves the network as it is and puts a detector beside it."""

HEAD = (
    *("Accuracy", "PGD, few steps", "PGD, many steps", "Worst case"),
    *("Lowest (95 % certainty)", "CPU minutes"),
)
TEXT = (
    "Accuracy is of all test images. The other shares are of test images that are called by their label and that no "
    "attack of that kind, within the radius, makes wrong. Changes are not rounded to gray levels.",
    "An attack of few steps is easily misled: where it leaves much more than many steps do, the network hides its "
    "gradient and has gained less than it seems. Believe the lowest figure.",
)
PASSES = (
    "Where a detector stands beside the network, a test image that it rejects counts as wrong, and an attack has to "
    "fool the network and to pass the detector.",
)
LIMITS = (
    "A share that stays right withstood these attacks. A stronger one may leave less of it.",
    "Other changes than those within this radius, such as rotations, patches and nonsense, are not asked about here.",
    "All figures are of one seed and of the images that were drawn.",
)
_METHODS = {
    "adversarial-training": (
        "The network goes on learning from images and from adversaries that are made against it at every step.",
        "Goodfellow, Shlens and Szegedy (2015), section 6; Madry et al. (2018), eq. 2.1",
    ),
    "logit-pairing": (
        "The network goes on learning, and what it says of an image and of its adversary is drawn together.",
        "Kannan, Kurakin and Goodfellow (2018), adversarial logit pairing",
    ),
    "augmentation": (
        "Adversaries are made once, against the network as it was given, and join the images that it learns from.",
        "Szegedy et al. (2014), intriguing properties of neural networks, section 4.2",
    ),
    GUARDED: (
        "A radial SVM on quantized late activations, fitted on FGSM's adversaries, rejects what looks like one.",
        "Lu, Issaranon and Forsyth (2017), SafetyNet",
    ),
}
_DETECTORS = {"SafetyNet": "", "Linear detector": "linear_"}


def hardening_section(done: Hardened, name: str) -> Section:
    """Before and after, under the same attacks.

    Args:
        done: What the defense left.
        name: Which defense it is, "adversarial-training".
    """
    guarded = done.detector is not None
    states = "as given", "with the detector" if guarded else "hardened"
    told = {
        "head": ["Network", *HEAD],
        "rows": [[state, *cells(row)] for state, row in zip(states, done.rows, strict=True)],
        "text": [*TEXT, *PASSES * guarded],
        "detectors": _detectors(done.figures) if guarded else None,
        "networks": [],
        "limits": list(LIMITS),
    }
    return Section(_tiles(done), told, *_METHODS[name])


def cells(row: Row) -> list[str]:
    """One network as the table tells it, behind its name."""
    shares = (row["accuracy"], row["robust_few"], row["robust_many"], row["robust_worst"])
    return [
        *map(percent, shares),
        percent_of(robust(row), int(row["images"] or 0)),
        f"{row['cpu_minutes'] or 0.0:.2g}",
    ]


def percent_of(share: float, n: int) -> str:
    """A share of n images in percent, and where it may lie with 95 % certainty (Wilson's interval)."""
    low, high = wilson(round(share * n), n)
    return f"{percent(share)} ({100 * low:.0f} to {100 * high:.0f})"


def _tiles(done: Hardened) -> list[tuple[str, str, str]]:
    first, figures = done.rows[0], done.figures
    before = figures["robust"] - figures["robust_gain"]
    rows = [
        ("Robust accuracy", percent(figures["robust"]), f"{percent(before)} before, the lowest of its row"),
        ("Accuracy", percent(figures["accuracy"]), f"{percent(first['accuracy'])} before"),
        ("Cost", f"{figures['cpu_minutes']:.2g}", "CPU minutes of training"),
    ]
    if "auc_minimal_l2" in figures:
        rows.append(
            ("Area under the curve", f"{figures['auc_minimal_l2']:.3f}", "smallest L2 changes, never learned")
        )
    return rows


def _detectors(figures: dict[str, float]) -> dict[str, Any]:
    """Both detectors beside each other: what they tell of attacks that do not know them, and what passes them."""
    names = [name.removeprefix("auc_") for name in figures if name.startswith("auc_")]
    head = ["Detector", "Images let pass"]
    for name in names:
        head += [f"Area, {TYPE1[name]}", f"Let pass, {TYPE1[name]}"]
    rows = []
    for said, mark in _DETECTORS.items():
        cells = [said, percent(figures[f"{mark}natural_passed"])]
        for name in names:
            cells += [f"{figures[f'{mark}auc_{name}']:.3f}", percent(figures[f"{mark}passed_{name}"])]
        size = figures.get(f"{mark}type2_l2")
        rows.append([*cells, percent(figures[f"{mark}type2_met"]), "\u2013" if size is None else f"{size:.3g}"])
    return {"head": [*head, "Type II found", "Type II, median L2"], "rows": rows}
