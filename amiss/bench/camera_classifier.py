"""Does an adversary made at one view survive distance and angle, and one made in expectation over views?"""

from typing import Any, Literal

import torch
from torch import Tensor

from amiss.analysis.viewing import ViewMap, view_map
from amiss.bench.bench import Run
from amiss.bench.signs import EPS, SCALES, SHOTS, TILTS, VIEWS, Street, classifier, unseen
from amiss.classifier import Classifier
from amiss.data.worlds.signs import KINDS
from amiss.objectives import EOT, Become, Confidence, Objective
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.report.camera import Example, Shot, Sight, write_camera
from amiss.report.sheet import printable_sheet
from amiss.spaces import Pixels

__all__ = ["classify"]

_TEXTS = {
    "single": "Made at the picture itself, until the class is the wanted one.",
    "spent": "Made at the picture itself, for all of its steps.",
    "eot": "Made in expectation over views.",
}


def classify(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Targeted adversaries of a classifier: made at the picture itself, and over views, both within the same bound.

    The first stops where it succeeds at its view, as label attacks do. `spent` beside it goes on for all of its
    steps toward a probability of 1; no bar judges it, and it tells how much of a success is made by overdoing it.
    """
    torch.set_num_threads(1)
    asked, street = classifier(run), Street(run.seed, 1, 20) if run.quick else Street(run.seed, 2)
    views, steps = (5, 4) if run.quick else (100, 150)
    task = street.task
    assert task.image is not None and task.target is not None and task.label is not None  # noqa: S101, PT018
    made = {
        "single": _made(asked, street, Become(), "met", steps),
        "spent": _made(asked, street, Confidence(0.999), "budget", 2 * steps),
        "eot": _made(asked, street, Confidence(0.5), "budget", steps, views=8),
    }
    told: dict[str, Any] = {"signs": len(task), "views": views, "eps": EPS, "steps": steps, "view": repr(VIEWS)}
    others = unseen(run)
    assert others.task.image is not None  # noqa: S101 - a street has pictures
    clean = asked_of(asked, others.seen(others.task.image, 8)[0]) == others.signs.kinds[:, None]
    told["clean"] = {"right": int(clean.sum()), "of": clean.numel()}
    right = asked_of(asked, street.seen(task.image, views)[0]) == task.label[:, None]
    told["clean_of_attacked"] = {"right": right.sum(1).tolist(), "of": views}
    sights = []
    for name, images in made.items():
        held = asked_of(asked, street.seen(images, views)[0]) == task.target[:, None]
        seen = _map(asked, street, images, run.quick)
        told[name] = {
            "design": int((asked.predict(images) == task.target).sum()),
            "held": held.sum(1).tolist(),
            "largest_change": float((images - task.image).abs().max()),
            "map": seen.met,
        }
        text = f"{_TEXTS[name]} Held in {int(held.sum())} of {held.numel()} photographs."
        sights.append(Sight(name, text, seen, _examples(asked, street, images)))
    sentence = f"Targeted, within {EPS:g} of every pixel of the sign, and judged in streets that no search has seen."
    write_camera(run.place / "classifier.html", "Signs before a camera: a classifier", sentence, sights)
    some, words = [0, len(task) // 2], [KINDS[int(k)] for k in task.target]
    printable_sheet(run.place / "sheet.svg", made["eot"][some], [f"to be read as: {words[i]}" for i in some], 100.0)
    of = len(task) * views
    return {
        "clean_accuracy": float(clean.double().mean()),
        "design_view_success": told["single"]["design"] / len(task),
        "single_view_success": sum(told["single"]["held"]) / of,
        "spent_view_success": sum(told["spent"]["held"]) / of,
        "eot_success": sum(told["eot"]["held"]) / of,
        "largest_change": max(told[name]["largest_change"] for name in made),
    }, told


def _map(asked: Classifier, street: Street, images: Tensor, quick: bool) -> ViewMap:
    """From where the signs are taken for what they are to become."""
    scales, tilts = (SCALES[::5], TILTS[::6]) if quick else (SCALES, TILTS)
    assert street.task.target is not None  # noqa: S101 - a street has targets
    target = street.task.target[:, None]
    return view_map(lambda view: asked_of(asked, street.seen(images, 2, view)[0]) == target, scales, tilts, VIEWS)


def _examples(asked: Classifier, street: Street, images: Tensor) -> list[Example]:
    """Four adversaries, each photographed from a few places."""
    task, rows = street.task, torch.linspace(0, len(images) - 1, 4).long()
    assert task.image is not None and task.target is not None  # noqa: S101, PT018
    shots = [street.seen(images, 1, view)[0][rows, 0] for view in SHOTS]
    said = [asked.predict(x) for x in shots]
    before, after = asked.predict(task.image[rows]), asked.predict(images[rows])
    return [
        Example(
            task.image[row],
            images[row],
            KINDS[int(before[i])],
            KINDS[int(after[i])],
            [
                Shot(x[i], KINDS[int(label[i])], bool(label[i] == task.target[row]))
                for x, label in zip(shots, said, strict=True)
            ],
        )
        for i, row in enumerate(rows.tolist())
    ]


def asked_of(asked: Classifier, photographs: Tensor) -> Tensor:
    """Labels [n, k] of photographs [n, k, 3, H, W]."""
    return torch.stack([asked.predict(x) for x in photographs])


def _made(
    asked: Classifier, street: Street, wanted: Objective, until: Literal["met", "budget"], steps: int, views: int = 0
) -> Tensor:
    """The adversaries [n, 3, H, W], kind by kind, as each has its own mask; over so many views a step, or none."""
    task = street.task
    assert task.image is not None  # noqa: S101 - a street has pictures
    out = task.image.clone()
    for kind in range(len(KINDS)):
        rows = street.rows(kind)
        goal = EOT(wanted, street.camera(kind), views, share=1.0) if views else wanted
        probe = Probe(Pixels(), goal, street.bound(kind), Adam(EPS / 10), until, Budget(steps), street.seed)
        out[rows] = probe.run(asked, task.rows(rows)).images
    return out
