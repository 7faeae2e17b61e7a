"""What a report shows of the experiment before a camera: shares and maps, four images from six places, a sheet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from amiss.analysis.viewing import photographs
from amiss.audit.camera import Filmed, Part
from amiss.audit.camera_asked import MARGIN, Camera
from amiss.audit.camera_views import CLEAN, EACH, Seen
from amiss.audit.figures import percent, radius
from amiss.audit.frames import class_names
from amiss.classifier import Classifier
from amiss.data import to_bytes, write_png
from amiss.repro import fold, versions
from amiss.transforms import View
from amiss.trust import wilson

__all__ = ["camera_figures", "camera_known", "camera_record", "camera_rows"]

_STREAM = -3  # of a key, for photographs of examples
_EXAMPLES = 4
_TITLES = {
    CLEAN: "As they were",
    "single": "Made at one view",
    "eot": "Made over many views",
}
_NAMES = {CLEAN: "the image", "single": "made at one view", "eot": "made over views"}
_PHOTOGRAPHS = "photographs"


def camera_figures(filmed: Filmed, seen: Sequence[Seen]) -> dict[str, float]:
    """The figures of the experiment, by the names that gates use; shares are of photographs but for the design view.

    Args:
        filmed: What was searched for.
        seen: What the classifier said of the photographs.
    """
    by = {one.name: one for one in seen}
    right = filmed.named(by[CLEAN].said)
    held = {part.name: filmed.held(by[part.name].said) for part in filmed.parts}
    claimed = sum(part.claimed for part in filmed.parts)
    figures = {
        "images": float(len(filmed.images)),
        "clean_accuracy": _mean(right),
        "design_view_success": _mean(filmed.parts[0].result.met),
        "single_view_success": _mean(held["single"]),
        "eot_success": _mean(held["eot"]),
    }
    if bool(right.any()):
        figures |= {
            "single_view_success_of_right": _mean(held["single"][right]),
            "eot_success_of_right": _mean(held["eot"][right]),
        }
    if claimed:
        figures["verified_from_disk"] = sum(int(part.result.met.sum()) for part in filmed.parts) / claimed
    return figures


def camera_known() -> dict[str, str]:
    """Every figure that the experiment can have, each with the reason why it may come out without it."""
    names = ("images", "clean_accuracy", "design_view_success", "single_view_success", "eot_success")
    figures = dict.fromkeys(names, "nothing was photographed")
    why = "no photograph of an image as it was is named rightly"
    figures |= dict.fromkeys(("single_view_success_of_right", "eot_success_of_right"), why)
    return {**figures, "verified_from_disk": "no search claimed a success"}


def camera_record(
    filmed: Filmed,
    seen: Sequence[Seen],
    classifier: Classifier,
    out: Path,
    *,
    model: str,
    data: str,
    command: str,
    sheet: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The experiment as JSON values; the pictures they name are written under `out`.

    Args:
        filmed: What was searched for.
        seen: What the classifier said of the photographs.
        classifier: Who was asked.
        out: Run folder.
        model: How the model is called.
        data: How the data are called.
        command: What makes this record again.
        sheet: What the page says of the sheet to print: "file", "millimeters" and "pictures".
    """
    camera, figures, names = filmed.camera, camera_figures(filmed, seen), class_names(filmed.images, classifier)
    claimed = sum(part.claimed for part in filmed.parts)
    held = sum(int(part.result.met.sum()) for part in filmed.parts)
    sentence = _sentence(filmed, figures)
    tiles = [
        ("Named rightly", figures["clean_accuracy"], "of the photographs of images as they were"),
        ("Broken on the screen", figures["design_view_success"], "of the images, by adversaries of one view"),
        ("One view, photographed", figures["single_view_success"], "of their photographs"),
        ("Many views, photographed", figures["eot_success"], "of the photographs of adversaries over views"),
    ]
    return {
        "title": f"{model} before a camera",
        "sentence": sentence,
        "model": model,
        "data": data,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": camera.seed,
        "command": command,
        "fingerprints": {"model": classifier.fingerprint, "data": filmed.data},
        "versions": versions(),
        "figures": figures,
        "tiles": [{"label": label, "value": percent(value), "note": note} for label, value, note in tiles],
        "notices": _notices(figures),
        "outcomes": {_TITLES[part.name]: part.result.counts for part in filmed.parts},
        "verified": {"claimed": claimed, "held": held},
        "flags": [flag.to_json() for flag in filmed.flags],
        "cases": [],
        "fooled": [],
        "camera": {
            "sentence": sentence,
            "text": _text(filmed, names),
            "parts": [_part(filmed, one, seen[0]) for one in seen],
            "places": [words for words, _ in _shots(camera.view)],
            "examples": _examples(filmed, seen, classifier, names, out),
            "sheet": sheet,
            "limits": _limits(camera),
        },
        "methods": [_method(filmed, part) for part in filmed.parts],
        "plan": {**vars(camera), "mask": None if camera.mask is None else int(camera.mask.sum())},
    }


def camera_rows(filmed: Filmed, seen: Sequence[Seen]) -> tuple[list[str], list[list[object]]]:
    """Head and rows of camera.csv: one an image and kind of picture."""
    head = ["kind", "sample", "name", "label", "screen", "status", "linf", "held", "of", "image"]
    parts, images, rows = {part.name: part for part in filmed.parts}, filmed.images, []
    for one in seen:
        part = parts.get(one.name)
        held = (filmed.named if part is None else filmed.held)(one.said).sum(1).tolist()
        linf = [0.0] * len(images) if part is None else part.result.linf.tolist()
        for i, label in enumerate(images.truth.tolist()):
            status = "" if part is None else part.result.outcomes[i].status
            told = [label, int(one.screen[i]), status, linf[i], held[i], one.said.shape[1]]
            rows.append([one.name, i, images.names[i], *told, "" if part is None else part.paths[i]])
    return [*head], rows


def _mean(held: Tensor) -> float:
    return float(held.double().mean())


def _sentence(filmed: Filmed, figures: Mapping[str, float]) -> str:
    """What is told first."""
    n = len(filmed.images)
    what = "is named wrongly" if filmed.target is None else "is named as wanted"
    return (
        f"Of {n:,} image{'s' if n > 1 else ''} before a camera, {percent(figures['clean_accuracy'])} of the "
        f"photographs are named rightly. Changed by up to {radius(filmed.camera.eps)} at one view, the image {what} "
        f"in {percent(figures['single_view_success'])} of them; changed over many views, in "
        f"{percent(figures['eot_success'])}."
    )


def _text(filmed: Filmed, names: Sequence[str]) -> list[str]:
    """How it was done, in sentences."""
    camera = filmed.camera
    wish = "anything but its true class" if filmed.target is None else f"'{names[filmed.target]}'"
    mask = "" if camera.mask is None else f" inside a mask of {int(camera.mask.sum()):,} pixels"
    ink = ", with ink, lens, light, sensor and file of a print" if camera.printed else ""
    low, high = camera.scale
    return [
        f"{len(filmed.images):,} of {filmed.right:,} images that are named rightly were changed to be named {wish}, "
        f"no pixel by more than {radius(camera.eps)}{mask}: once in the picture itself, until it succeeds there, and "
        f"once in expectation over {camera.drawn} views a step.",
        f"Then each is photographed from {camera.views:,} places that no search has seen: at {low:g} to {high:g} "
        f"times its size, turned by up to {camera.rotation:g} degrees and seen up to {camera.tilt:g} degrees from "
        f"the side{ink}. All three kinds of picture are seen from the same places.",
    ]


def _notices(figures: Mapping[str, float]) -> list[dict[str, str]]:
    """What must be known before the shares are read."""
    if figures["clean_accuracy"] >= 0.9:  # one wrong photograph in ten is no adversary's doing
        return []
    wrong = percent(1 - figures["clean_accuracy"])
    text = f"It names {wrong} of the photographs wrongly where nothing was changed."
    if "eot_success_of_right" in figures:
        single, eot = percent(figures["single_view_success_of_right"]), percent(figures["eot_success_of_right"])
        text += f" Of those that it names rightly, adversaries of one view break {single}, those over views {eot}."
    return [{"level": "warning", "title": "The classifier itself does not survive these views", "text": text}]


def _part(filmed: Filmed, one: Seen, clean: Seen) -> dict[str, Any]:
    """One kind of picture in numbers: the interval is that of as many images, which photographs are not."""
    held, right = (filmed.named if one.name == CLEAN else filmed.held)(one.said), filmed.named(clean.said)
    low, high = wilson(float(held.double().mean(1).sum()), len(held))
    rows, columns = range(len(one.map.scales)), range(len(one.map.tilts))
    of_right = None if one.name == CLEAN or not bool(right.any()) else _mean(held[right])
    return {
        "name": one.name,
        "title": _TITLES[one.name],
        "what": _what(filmed, one.name),
        "share": _mean(held),
        "low": low,
        "high": high,
        "of_right": of_right,
        "images": len(held),
        "photographs": held.numel(),
        "scales": list(one.map.scales),
        "tilts": list(one.map.tilts),
        "map": [[one.map.share(i, j) for j in columns] for i in rows],
        "of": one.map.of,
    }


def _what(filmed: Filmed, name: str) -> str:
    """What a share of photographs is the share of."""
    if name == CLEAN:
        return "named rightly"
    return "named wrongly" if filmed.target is None else "named as wanted"


def _shots(view: View) -> list[tuple[str, View]]:
    """Where examples are photographed from: in words, and as a view that draws no pose."""
    (low, high), turn, tilt = view.scale, view.rotation[1], view.tilt[1]
    near = min(max(1.0, low), high)
    poses = {
        f"from the front, at {near:g}": (near, 0.0, 0.0),
        f"nearer, at {high:g}": (high, 0.0, 0.0),
        f"farther, at {low:g}": (low, 0.0, 0.0),
        f"from the side, {tilt:g}°": (near, 0.0, tilt),
        f"turned, {turn:g}°": (near, turn, 0.0),
        "turned, from the other side": ((low + high) / 2, -turn, -tilt),
    }
    return [
        (words, replace(view, scale=(s, s), rotation=(r, r), tilt=(t, t), shift=(0.0, 0.0)))
        for words, (s, r, t) in poses.items()
    ]


def _examples(
    filmed: Filmed, seen: Sequence[Seen], classifier: Classifier, names: Sequence[str], out: Path
) -> list[dict[str, Any]]:
    """A few images, evenly spaced, and all kinds of picture of each: photographs from the same places."""
    n = len(filmed.images)
    chosen = [round(i * (n - 1) / max(1, min(_EXAMPLES, n) - 1)) for i in range(min(_EXAMPLES, n))]
    pixels = {CLEAN: filmed.images.pixels, **{part.name: to_bytes(part.result.images) for part in filmed.parts}}
    (out / "images" / _PHOTOGRAPHS).mkdir(parents=True, exist_ok=True)
    examples: list[dict[str, Any]] = [
        {"name": filmed.images.names[i], "true": names[int(filmed.images.truth[i])], "rows": []} for i in chosen
    ]
    keys = fold(filmed.images.keys()[chosen], _STREAM)
    for one in seen:
        own, holds = pixels[one.name][chosen], filmed.named if one.name == CLEAN else filmed.held
        taken = [
            to_bytes(photographs(own.float() / 255, keys, filmed.camera.photographs(v)))
            for _, v in _shots(filmed.camera.view)
        ]
        said = [classifier.predict((x.float() / 255).to(classifier.device)).cpu() for x in taken]
        for k, i in enumerate(chosen):
            shots = []
            for place, (x, labels) in enumerate(zip(taken, said, strict=True)):
                full = one.screen.clone()
                full[i] = labels[k]
                file = _picture(x[k], f"{one.name}-{i}-{place}", out)
                shots.append({"image": file, "says": names[int(labels[k])], "met": bool(holds(full)[i])})
            examples[k]["rows"].append(
                {
                    "kind": one.name,
                    "title": _NAMES[one.name],
                    "image": _picture(own[k], f"{one.name}-{i}", out),
                    "says": names[int(one.screen[i])],
                    "met": bool(holds(one.screen)[i]),
                    "shots": shots,
                }
            )
    return examples


def _picture(x: Tensor, name: str, out: Path) -> str:
    """The file of a picture that an example shows."""
    file = f"images/{_PHOTOGRAPHS}/{name}.png"
    write_png(out / file, x)
    return file


def _limits(camera: Camera) -> list[str]:
    """What the figures do not say."""
    limits = [
        "Nothing was photographed. The camera is a model of one, and a print before a real one is the test.",
        "The picture is taken for a flat print on a gray wall, and light falls on all of it alike.",
        "Intervals are those of as many images as were changed: photographs of one image are not independent.",
        "A search that found nothing proves nothing: another number of steps, or more views a step, may find more.",
    ]
    if not camera.printed:
        limits.insert(1, "Ink, lens, light and sensor were left out: --print puts them before the camera.")
    return limits


def _method(filmed: Filmed, part: Part) -> dict[str, Any]:
    """What was done for one kind of adversary."""
    camera = filmed.camera
    settings = {"probe": part.result.probe, "images": len(filmed.images), "photographs of each": camera.views}
    if part.name == "single":
        return {
            "name": _TITLES["single"],
            "text": "Projected gradient steps in the picture itself, to the first success there.",
            "settings": settings,
            "reference": "Lu, Sibai, Fabry and Forsyth (2017), no need to worry about adversarial examples in "
            "object detection",
        }
    return {
        "name": _TITLES["eot"],
        "text": "Adam along the mean gradient of fresh views, for all of its steps. A change is met where it holds "
        f"in all of the views that no step looks at, by {MARGIN:g} logits; the smallest such change is kept. What "
        f"judges in the end, on labels alone, are photographs from other places again, {EACH} of each image at each "
        "place of a map.",
        "settings": settings,
        "reference": "Athalye, Engstrom, Ilyas and Kwok (2018), synthesizing robust adversarial examples, eq. 2",
    }
