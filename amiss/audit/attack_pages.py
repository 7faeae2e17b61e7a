"""What label attacks came to, as plain values and pictures on disk: one section of a report."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from amiss.audit.attack_recipes import BLIND, NAMES, Attacks
from amiss.audit.attack_transfers import Row, transfer_figures, transfer_words
from amiss.audit.attacks import Attacked, Broken
from amiss.audit.figures import percent, radius
from amiss.audit.frames import class_names, number
from amiss.audit.imposter_pages import share
from amiss.citations import reference
from amiss.classifier import Classifier
from amiss.data import write_png
from amiss.recipes import RECIPES
from amiss.repro import versions

__all__ = ["attack_known", "attack_record", "attack_rows"]

_ROWS = 6  # adversaries of each recipe that a page shows
_FREE = ("deepfool", "ddn", "label_opt", "cw", "hop_skip_jump")
_SHARES = ("success", "within")
_MEDIANS = ("median_l2", "median_linf")
_TEXTS = MappingProxyType(
    {
        "fgsm": "One step by the sign of the gradient.",
        "pgd": "Steps by the gradient's sign, brought back into the radius after each, up to the first success.",
        "deepfool": "Over the nearest linearized boundary until the answer is another, and then back to it.",
        "ddn": "The smallest change in the Euclidean norm, its direction and its length taken apart.",
        "label_opt": "The smallest change in the Euclidean norm, by L-BFGS in a box and a search over its factor.",
        "cw": "The smallest change in the Euclidean norm, by Adam and a search over its factor.",
        "square": "Random squares at the bound; asks for scores, and for no gradient.",
        "nes": "Sign steps along gradients that Gaussian pairs of queries estimate.",
        "spsa": "Steps of Adam along gradients that pairs of random signs estimate.",
        "hop_skip_jump": "The smallest change in the Euclidean norm along the boundary, from labels alone.",
        "worst_case": "Strong attacks one after the other on what is left, with no knob to turn.",
    }
)


def attack_known(attacks: Attacks) -> dict[str, str]:
    """Every figure that the experiment can have, each with the reason why it may come out without it.

    Args:
        attacks: What is asked.
    """
    access, none = "the model's access does not allow the recipe", "the recipe broke no image"
    names = attacks.recipes or NAMES
    known = dict.fromkeys(("images", "accuracy"), "nothing was attacked")
    known |= dict.fromkeys([f"{kind}.{name}" for kind in (*_SHARES, "queries") for name in names], access)
    known |= dict.fromkeys([f"{kind}.{name}" for kind in _MEDIANS for name in names], f"{none}, or {access}")
    for eps in {attacks.radius(1), attacks.radius(3)}:
        what = "nothing was attacked, or within another radius"
        known |= dict.fromkeys([f"{name}@{radius(eps)}" for name in ("withstood", "robust_accuracy")], what)
    shown = ("transfer_mean", "transfer_max", "transfer_noise", "transfer_own")
    known |= dict.fromkeys(shown, "no other model was named by --transfer, or none names the same images rightly")
    return {**known, "verified_from_disk": "no search claimed a success"}


def attack_record(
    found: Attacked,
    classifier: Classifier,
    out: Path,
    *,
    model: str,
    data: str,
    command: str,
    transfer: Sequence[Row] | None = None,
) -> dict[str, Any]:
    """The experiment as JSON values; the pictures they name are written under `out`.

    Args:
        found: What was found.
        classifier: Who was attacked.
        out: Run folder.
        model: How the model is called.
        data: How the data are called.
        command: What makes this record again.
        transfer: Rows of the matrix; None where nothing was shown to other models.
    """
    images, n, at = found.images, len(found.chosen), radius(found.eps)
    held, claimed = sum(int(p.result.met.sum()) for p in found.parts), sum(p.claimed for p in found.parts)
    stood = int(found.standing.sum())
    accuracy = found.right / len(images)
    figures: dict[str, float] = {"images": n, "accuracy": accuracy}
    figures |= {f"withstood@{at}": stood / n, f"robust_accuracy@{at}": accuracy * stood / n}
    for part in found.parts:
        figures |= {f"{name}.{part.recipe}": value for name, value in _figures(part).items() if value is not None}
    figures |= transfer_figures(transfer or ())
    figures |= {"verified_from_disk": held / claimed} if claimed else {}
    sentence = _sentence(found)
    return {
        "title": f"Attacks on {model}",
        "sentence": sentence,
        "model": model,
        "data": data,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": found.attacks.seed,
        "command": command,
        "fingerprints": {"model": classifier.fingerprint, "data": images.fingerprint},
        "versions": versions(),
        "figures": figures,
        "tiles": _tiles(found, figures, at),
        "notices": [],
        "outcomes": {part.recipe: part.result.counts for part in found.parts},
        "verified": {"claimed": claimed, "held": held},
        "flags": [flag.to_json() for flag in found.flags],
        "cases": [],
        "fooled": [],
        "attacks": {
            "sentence": sentence,
            "eps": at,
            "images": n,
            "stood": share(stood, n),
            "table": [_summary(part, at) for part in found.parts],
            "rows": _pictured(found, classifier, out),
            "transfer": None if transfer is None else [_cell(row) for row in transfer],
            "transfer_sentence": transfer_words(transfer or ()),
            "notes": _notes(found, transfer),
        },
        "methods": [_method(part) for part in found.parts],
        "plan": asdict(found.attacks),
    }


def attack_rows(found: Attacked) -> tuple[list[str], list[list[object]]]:
    """Head and rows of attacks.csv: one a recipe and image."""
    head = ["recipe", "sample", "name", "label", "called", "status", "within", "l2", "linf", "queries", "image"]
    labels, rows = found.images.truth[found.chosen].tolist(), list[list[object]]()
    for part in found.parts:
        l2, linf = part.result.l2.tolist(), part.result.linf.tolist()
        for k, outcome in enumerate(part.result.outcomes):
            name, called, fell = found.images.names[int(found.chosen[k])], int(part.answers[k]), int(part.fell[k])
            measured = outcome.status, fell, l2[k], linf[k], outcome.queries, part.paths[k]
            rows.append([part.recipe, k, name, labels[k], called, *measured])
    return head, rows


def _figures(part: Broken) -> dict[str, float | None]:
    """What gates ask of one recipe; None where it broke nothing whose size could be told."""
    result = part.result
    queries = sum(outcome.queries for outcome in result.outcomes) / len(result)
    return {
        "success": float(result.met.double().mean()),
        "within": float(part.fell.double().mean()),
        "median_l2": _median(result.l2[result.met]),
        "median_linf": _median(result.linf[result.met]),
        "queries": queries,
    }


def _summary(part: Broken, at: str) -> dict[str, Any]:
    """One recipe in numbers."""
    n, told = len(part.result), _figures(part)
    medians = {name: told[name] for name in (*_MEDIANS, "queries")}
    return {
        "recipe": part.recipe,
        "bound": "none" if part.recipe in _FREE else at,
        "asks": "labels" if part.recipe == "hop_skip_jump" else "scores" if part.recipe in BLIND else "gradients",
        "success": share(int(part.result.met.sum()), n),
        "within": share(int(part.fell.sum()), n),
        **medians,
        "seconds": part.seconds / n,
    }


def _pictured(found: Attacked, classifier: Classifier, out: Path) -> list[dict[str, Any]]:
    """Rows of all recipes, the first of each first: where room is short, no recipe is left out."""
    rows = [_rows(found, part, classifier, out) for part in found.parts]
    return [several[k] for k in range(_ROWS) for several in rows if k < len(several)]


def _rows(found: Attacked, part: Broken, classifier: Classifier, out: Path) -> list[dict[str, Any]]:
    """The first images that a recipe broke, as rows of a page."""
    images, names, made = found.images, class_names(found.images, classifier), list[dict[str, Any]]()
    for k in part.result.met.nonzero().flatten()[:_ROWS].tolist():
        i = int(found.chosen[k])
        source = f"images/original/{images.ids[i][:16]}-{i}.png"
        (out / source).parent.mkdir(parents=True, exist_ok=True)
        if not (out / source).is_file():
            write_png(out / source, images.pixels[i])
        sizes = {name: number(float(getattr(part.result, name)[k])) for name in ("l2", "linf")}
        called = {"true": names[int(images.truth[i])], "called": names[int(part.answers[k])]}
        row = {"recipe": part.recipe, "name": images.names[i], **called, **sizes, "source": source}
        made.append({**row, "image": part.paths[k]})
    return made


def _cell(row: Row) -> dict[str, Any]:
    """A row of the matrix with its shares and their intervals."""
    shares = {name: share(row[name], row["n"]) for name in ("met", "changed", "noise")}
    return {**{name: row[name] for name in ("recipe", "source", "model", "n", "side")}, **shares}


def _tiles(found: Attacked, figures: dict[str, float], at: str) -> list[dict[str, str]]:
    """What the overview shows in large type."""
    n, quickest = len(found.chosen), _smallest(found)
    tiles = [
        ("Right answers", percent(figures["accuracy"]), f"of {len(found.images):,} images; {n:,} were attacked"),
        (f"Withstood, {at}", percent(figures[f"withstood@{at}"]), "what no recipe broke within the radius"),
        ("Robust accuracy", percent(figures[f"robust_accuracy@{at}"]), "right answers times what withstood"),
    ]
    if quickest is not None:
        size = _median(quickest.result.l2[quickest.result.met])
        tiles.append(("Smallest change", f"{size:.2f}", f"median L2 by {quickest.recipe}"))
    if (mean := figures.get("transfer_mean")) is not None:
        noise = percent(figures["transfer_noise"])
        tiles.append(("Break other models", percent(mean), f"on average; random signs {noise}"))
    return [{"label": label, "value": value, "note": note} for label, value, note in tiles]


def _smallest(found: Attacked) -> Broken | None:
    """The search for the smallest change that broke all it was given by the least; None where none did."""
    whole = [part for part in found.parts if part.recipe in _FREE and bool(part.result.met.all())]
    return min(whole, key=lambda part: _median(part.result.l2) or 0.0) if whole else None


def _sentence(found: Attacked) -> str:
    """What is told first."""
    n, stood = len(found.chosen), int(found.standing.sum())
    words = f"{percent(stood / n)} of {n:,} right answers withstand every recipe within {radius(found.eps)}"
    best = max(found.parts, key=lambda part: int(part.fell.sum()))
    if not bool(best.fell.any()):
        return f"{words}."
    return f"{words}; {best.recipe} alone breaks {percent(float(best.fell.double().mean()))}."


def _notes(found: Attacked, transfer: Sequence[Row] | None) -> list[str]:
    """What the reader must know of the measurements."""
    done = {part.recipe for part in found.parts}
    lost = [name for name in found.attacks.recipes or NAMES if name not in done]
    notes = [f"The model's access does not allow {', '.join(lost)}: they were not run."] if lost else []
    if len(found.chosen) < found.right:
        drawn = f"{len(found.chosen):,} of the {found.right:,} images that the model names rightly"
        notes.append(f"Attacked were {drawn}, drawn by the seed; robust accuracy is an estimate from them.")
    if transfer is not None and not transfer:
        notes.append("No image that was attacked is named rightly by all models: there is no transfer matrix.")
    return notes


def _method(part: Broken) -> dict[str, Any]:
    """What was done by one recipe, for the last page of a report."""
    cited = "; ".join(reference(key) for key in RECIPES[part.recipe].cite)
    return {
        "name": part.recipe,
        "text": f"{_TEXTS[part.recipe]} A success is judged again from its file.",
        "settings": {"probe": part.result.probe},
        "reference": cited,
    }


def _median(values: Tensor) -> float | None:
    return float(values.double().quantile(0.5)) if len(values) else None
