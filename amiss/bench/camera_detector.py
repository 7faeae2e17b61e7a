"""The same question of a detector: does a sign that it overlooks at one view stay hidden from others?"""

from typing import Any, Literal

import torch
from torch import Tensor

from amiss.analysis.viewing import ViewMap, view_map
from amiss.bench.bench import Run
from amiss.bench.signs import EPS, SCALES, SHOTS, TILTS, VIEWS, Street, detector, unseen
from amiss.data.worlds.signs import KINDS, sign_boxes
from amiss.models import Detector
from amiss.models.detector import overlaps
from amiss.objectives import EOT, Hides, Objective
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.report.camera import Example, Shot, Sight, write_camera
from amiss.spaces import Pixels

__all__ = ["detect"]

_TEXTS = {"single": "Made at the picture itself, until it is hidden.", "eot": "Made in expectation over views."}
_OVERLAP = 0.5  # IoU with the true box from which on a sign counts as found


def detect(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Signs that a detector is to overlook: at the picture itself, and over views, both within the same bound.

    A sign is found where a box of its own class overlaps its true box by half or more. The first search stops where
    it succeeds at its view; the second goes on for all of its steps.
    """
    torch.set_num_threads(1)
    asked, street = detector(run), Street(run.seed, 1, 20 if run.quick else 200)
    views, steps = (5, 4) if run.quick else (100, 100)
    task = street.task
    assert task.image is not None  # noqa: S101 - a street has pictures
    made = {
        "single": _made(asked, street, False, steps),
        "eot": _made(asked, street, True, steps),
    }
    told: dict[str, Any] = {"signs": len(task), "views": views, "eps": EPS, "steps": steps, "view": repr(VIEWS)}
    clean = _found(asked, street, *street.seen(task.image, views))
    told["clean_of_attacked"] = {"found": clean.sum(1).tolist(), "of": views}
    others = unseen(run)
    assert others.task.image is not None  # noqa: S101 - a street has pictures
    known = _found(asked, others, *others.seen(others.task.image, 8))
    told["clean"] = {"found": int(known.sum()), "of": known.numel()}
    front = torch.eye(3).expand(len(task), 1, 3, 3)
    sights = []
    for name, images in made.items():
        hidden = ~_found(asked, street, *street.seen(images, views))
        told[name] = {
            "design": int((~_found(asked, street, images[:, None], front)).sum()),
            "held": hidden.sum(1).tolist(),
            "held_of_found": int((hidden & clean).sum()),
            "largest_change": float((images - task.image).abs().max()),
            "map": (seen := _map(asked, street, images, run.quick)).met,
        }
        text = f"{_TEXTS[name]} Hidden in {int(hidden.sum())} of {hidden.numel()} photographs."
        sights.append(Sight(name, text, seen, _examples(asked, street, images)))
    sentence = f"Within {EPS:g} of every pixel of the sign; judged in streets that no search has seen."
    write_camera(run.place / "detector.html", "Signs before a camera: a detector", sentence, sights)
    of = len(task) * views
    return {
        "detector_clean": float(known.double().mean()),
        "detector_design_view_success": told["single"]["design"] / len(task),
        "detector_single_view_success": sum(told["single"]["held"]) / of,
        "detector_eot_success": sum(told["eot"]["held"]) / of,
        "detector_largest_change": max(told[name]["largest_change"] for name in made),
    }, told


def _map(asked: Detector, street: Street, images: Tensor, quick: bool) -> ViewMap:
    """From where the signs are hidden."""
    scales, tilts = (SCALES[::5], TILTS[::6]) if quick else (SCALES, TILTS)
    return view_map(lambda view: ~_found(asked, street, *street.seen(images, 3, view)), scales, tilts, VIEWS)


def _examples(asked: Detector, street: Street, images: Tensor) -> list[Example]:
    """Four adversaries, each photographed from a few places."""
    task, rows = street.task, torch.linspace(0, len(images) - 1, 4).long().tolist()
    assert task.image is not None  # noqa: S101 - a street has pictures
    taken = [street.seen(images, 1, view) for view in SHOTS]
    found = [_found(asked, street, *one) for one in taken]
    said = [_said(asked, one[0][rows, 0]) for one in taken]
    before, after = (_said(asked, x[rows]) for x in (task.image, images))
    return [
        Example(
            task.image[row],
            images[row],
            before[i],
            after[i],
            [
                Shot(x[row, 0], words[i], not bool(there[row, 0]))
                for (x, _), words, there in zip(taken, said, found, strict=True)
            ],
        )
        for i, row in enumerate(rows)
    ]


def _said(asked: Detector, x: Tensor) -> list[str]:
    """What the detector says of images, in words."""
    return [", ".join(names) or "nothing" for names in asked.answer(x)]


def _found(asked: Detector, street: Street, photographs: Tensor, poses: Tensor) -> Tensor:
    """Whether each sign is found, at its place, in its photographs [n, k, 3, H, W] at poses [n, k, 3, 3]: [n, k]."""
    found = torch.zeros(photographs.shape[:2], dtype=torch.bool)
    for i, kind in enumerate(street.signs.kinds.tolist()):
        true = sign_boxes(torch.full((len(poses[i]),), kind), poses[i], asked.size)
        for j, told in enumerate(asked.detect(photographs[i])):
            own = torch.tensor([one.box for one in told if one.label == KINDS[kind]]).reshape(-1, 4)
            found[i, j] = bool((overlaps(own, true[j]) >= _OVERLAP).any())
    return found


def _made(asked: Detector, street: Street, over_views: bool, steps: int) -> Tensor:
    """The adversaries [n, 3, H, W], kind by kind: each is to be hidden by its own name."""
    task = street.task
    assert task.image is not None  # noqa: S101 - a street has pictures
    out = task.image.clone()
    for kind, name in enumerate(KINDS):
        rows = street.rows(kind)
        wanted: Objective = Hides(name)
        if over_views:
            wanted = EOT(wanted, street.camera(kind), n=8, share=1.0)
        until: Literal["met", "budget"] = "budget" if over_views else "met"
        probe = Probe(Pixels(), wanted, street.bound(kind), Adam(EPS / 10), until, Budget(steps), street.seed)
        out[rows] = probe.run(asked, task.rows(rows)).images  # type: ignore[arg-type]
    return out
