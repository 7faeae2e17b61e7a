"""What a report shows of a network hardened against small changes: before and after under the same attacks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import Hardened, Row
from amiss.repro import versions

__all__ = ["hardening_record"]

_HEAD = ["Network", "Accuracy", "PGD, few steps", "PGD, many steps", "Worst case", "CPU minutes"]
_TEXT = (
    "Accuracy is of all test images. The other shares are of test images that are called by their label and that no "
    "attack of that kind, within the radius, makes wrong. Changes are not rounded to gray levels.",
    "An attack of few steps is easily misled: where it leaves much more than many steps do, the network hides its "
    "gradient and has gained less than it seems. Believe the lowest figure.",
)
_PASSES = (
    "A detector stands beside the network: a test image that it rejects counts as wrong, and in the second row an "
    "attack has to fool the network and to pass the detector.",
)
_LIMITS = (
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
    "safetynet": (
        "A radial SVM on quantized late activations, fitted on FGSM's adversaries, rejects what looks like one.",
        "Lu, Issaranon and Forsyth (2017), SafetyNet",
    ),
}
_DETECTORS = {"SafetyNet": "", "Linear detector": "linear_"}


def hardening_record(
    done: Hardened,
    classifier: Classifier,
    train: Images,
    test: Images,
    *,
    flags: Sequence[dict[str, Any]],
    about: dict[str, Any],
    settings: str,
) -> dict[str, Any]:
    """Before and after as JSON values.

    Args:
        done: What the defense left.
        classifier: Who was given.
        train: What was learned from.
        test: What it was measured by.
        flags: The trust flags of the classifier that was given.
        about: recipe, model, data, seed and command, as `run.json` has them.
        settings: The defense, in words that construct it.
    """
    text, reference = _METHODS[about["recipe"]]
    return {
        "title": f"Defense of {about['model']}",
        "sentence": done.sentence,
        "model": about["model"],
        "data": about["data"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": about["seed"],
        "command": about["command"],
        "fingerprints": {
            "model": classifier.fingerprint,
            "hardened": done.classifier.fingerprint,
            "data": train.fingerprint,
            "test": test.fingerprint,
        },
        "versions": versions(),
        "figures": done.figures,
        "tiles": _tiles(done),
        "notices": [],
        "flags": list(flags),
        "cases": [],
        "fooled": [],
        "defense": {
            "sentence": done.sentence,
            "head": _HEAD,
            "rows": [_cells(row, done.detector is not None) for row in done.rows],
            "text": [*_TEXT, *(_PASSES if done.detector is not None else ())],
            "detectors": _detectors(done.figures) if done.detector is not None else None,
            "networks": [],
            "limits": list(_LIMITS),
        },
        "methods": [
            {
                "name": f"Defense: {about['recipe']}",
                "text": text,
                "settings": {"defense": settings},
                "reference": reference,
            }
        ],
    }


def _tiles(done: Hardened) -> list[dict[str, str]]:
    first, figures = done.rows[0], done.figures
    before = figures["robust"] - figures["robust_gain"]
    rows = [
        ("Robust accuracy", _percent(figures["robust"]), f"{_percent(before)} before, the lowest of its row"),
        ("Accuracy", _percent(figures["accuracy"]), f"{_percent(first['accuracy'])} before"),
        ("Cost", f"{figures['cpu_minutes']:.2g}", "CPU minutes of training"),
    ]
    if "auc_minimal_l2" in figures:
        rows.append(
            ("Area under the curve", f"{figures['auc_minimal_l2']:.3f}", "smallest L2 changes, never learned")
        )
    return [{"label": label, "value": value, "note": note} for label, value, note in rows]


def _cells(row: Row, guarded: bool) -> list[str]:
    """One network as the table tells it."""
    after = "with the detector" if guarded else "hardened"
    shares = (row["accuracy"], row["robust_few"], row["robust_many"], row["robust_worst"])
    return [after if row["round"] else "as given", *map(_percent, shares), f"{row['cpu_minutes'] or 0.0:.2g}"]


def _detectors(figures: dict[str, float]) -> dict[str, Any]:
    """Both detectors beside each other: what they tell of attacks that do not know them, and what passes them."""
    names = [name.removeprefix("auc_") for name in figures if name.startswith("auc_")]
    head = ["Detector", "Images let pass"]
    for name in names:
        head += [f"Area, {name.replace('_', ' ')}", f"Let pass, {name.replace('_', ' ')}"]
    rows = []
    for said, mark in _DETECTORS.items():
        cells = [said, _percent(figures[f"{mark}natural_passed"])]
        for name in names:
            cells += [f"{figures[f'{mark}auc_{name}']:.3f}", _percent(figures[f"{mark}passed_{name}"])]
        size = figures.get(f"{mark}type2_l2")
        rows.append([*cells, _percent(figures[f"{mark}type2_met"]), "\u2013" if size is None else f"{size:.3g}"])
    return {"head": [*head, "Type II found", "Type II, median L2"], "rows": rows}


def _percent(share: float | None) -> str:
    return "\u2013" if share is None else f"{100 * share:.1f} %"
