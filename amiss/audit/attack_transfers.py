"""Adversaries of every recipe made for several models, and shown to all of them: the transfer matrix."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.transfer import seen_at, transfer
from amiss.audit.attacks import Attacked
from amiss.audit.desk import Desk
from amiss.audit.figures import percent
from amiss.audit.plan import Plan, Progress
from amiss.audit.transfers import is_count
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import Interrupted
from amiss.repro import digest
from amiss.study import Inputs

__all__ = ["Row", "attack_matrix", "attacks_digest", "read_attack_matrix", "transfer_figures", "transfer_words"]

Row = dict[str, Any]
"""One recipe, whom it was made for, and whom it is shown to: n images, and counts of them."""

_TEXTS = ("recipe", "source", "source_fingerprint", "model", "fingerprint")
_COUNTS = ("met", "changed", "noise")
_WIDEST = 2**16  # pixels of a side


def attacks_digest(found: Attacked) -> str:
    """Digest of all adversaries of the model that was attacked, in order: what a matrix is of."""
    return digest(*(part for broken in found.parts for part in (broken.recipe, to_bytes(broken.result.images))))


def attack_matrix(
    found: Attacked,
    models: Mapping[str, Classifier],
    out: Path,
    tell: Progress,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Make adversaries for every model, and show those of each to all.

    It is about the attacked images that every model names rightly, so that each share says how many right answers
    break. The adversaries of the model that was attacked are those that were found; those of the others are made
    by the same recipes, as far as a model's access allows, each a study beside the first. A search that failed is
    counted with its best attempt. A model of another side brings images to its own, in its own attacks too.

    Args:
        found: What was found.
        models: By name; first the one that was attacked.
        out: Run folder.
        tell: Told what is being done.
        stop: Asked again and again whether to stop; what is made by then is kept.

    Returns:
        JSON values: the digest of the images, and one row a recipe, source and model, with n images, how many of
        them were `met` for their source, how many the model names otherwise (`changed`), and of how many random
        signs of the same largest change do that (`noise`). No row where no image is named rightly by all.

    Raises:
        ModelError: A model does not take such images, or knows other classes.
        Interrupted: `stop` said so.
    """
    images, attacks = found.images, found.attacks
    seen = {name: seen_at(model, images.pixels.shape[-1]) for name, model in models.items()}
    common = _common(found, list(seen.values()))
    rows: list[Row] = []
    if not len(common):
        return {"images": attacks_digest(found), "rows": rows}
    own, chosen = next(iter(models)), found.chosen[common]
    labels, keys, pixels = images.truth[chosen], images.pick(chosen).keys(), images.pixels[chosen]
    for source, model in models.items():
        if source == own:
            results = {part.recipe: part.result.pick(common.tolist()) for part in found.parts}
        else:
            desk = Desk(seen[source], Plan(batch=attacks.batch, seed=attacks.seed), out, tell, 1, _carrying(stop))
            results = {
                name: desk.search(
                    f"{name}-for-{model.fingerprint[:12]}",
                    name,
                    f"Attacking {source} by {name}",
                    probe,
                    Inputs.of_images(images, chosen),
                ).result
                for name, probe in attacks.probes(found.eps, seen[source]).items()
            }
        for i, (recipe, result) in enumerate(results.items()):
            tell(f"Showing the adversaries of {source} to all", i, len(results))
            made = to_bytes(result.images)
            for name, shown in models.items():
                if stop is not None and stop():
                    raise Interrupted(
                        "The experiment was stopped while other models were asked; what was made is kept.",
                        slug="interrupted",
                        seen=f"{recipe}, made for {source}",
                        hint="The same command goes on from here.",
                    )
                given = pixels, made, labels, labels, keys
                told = transfer(shown, *given, seed=attacks.seed, batch=attacks.batch)
                texts = recipe, source, model.fingerprint, name, shown.fingerprint
                counts = int(result.met.sum()), told.made.changed, told.noise.changed
                row = dict(zip((*_TEXTS, *_COUNTS), (*texts, *counts), strict=True))
                rows.append({**row, "n": len(chosen), "side": told.side})
    return {"images": attacks_digest(found), "rows": rows}


def read_attack_matrix(said: Any, found: Attacked) -> dict[str, Any] | None:
    """A matrix as a file kept it, where it is one and of these very adversaries; else None.

    Args:
        said: What the file holds: somebody else may have written it.
        found: What was found.
    """
    if not isinstance(said, dict) or said.get("images") != attacks_digest(found):
        return None
    listed = said.get("rows")
    rows = [_row(row, len(found.chosen)) for row in listed] if isinstance(listed, list) else [None]
    return {"images": said["images"], "rows": rows} if all(rows) else None


def transfer_figures(rows: Sequence[Row]) -> dict[str, float]:
    """The matrix in four numbers, none where there is no row of another model.

    Args:
        rows: Of the matrix.

    Returns:
        `transfer_mean` and `transfer_max` of the shares off the diagonal, `transfer_noise`, the mean of their
        controls, and `transfer_own`, the mean share on the diagonal.
    """
    own = [row["changed"] / row["n"] for row in rows if row["source"] == row["model"]]
    off = [row for row in rows if row["source"] != row["model"]]
    if not own or not off:
        return {}
    shares, noise = ([row[name] / row["n"] for row in off] for name in ("changed", "noise"))
    mean = {"transfer_mean": shares, "transfer_noise": noise, "transfer_own": own}
    return {**{name: sum(part) / len(part) for name, part in mean.items()}, "transfer_max": max(shares)}


def transfer_words(rows: Sequence[Row]) -> str:
    """What the matrix says first, in a sentence; empty where no other model was shown anything.

    Args:
        rows: Of the matrix.
    """
    off = [row for row in rows if row["source"] != row["model"]]
    if not off:
        return ""
    most = max(off, key=lambda row: (row["changed"] - row["noise"]) / row["n"])
    if most["changed"] <= most["noise"]:
        return "No recipe breaks another model more often than random signs of the same largest change do."
    share, noise = (percent(most[name] / most["n"]) for name in ("changed", "noise"))
    return (
        f"Of the adversaries that {most['recipe']} made for {most['source']}, {share} break {most['model']} too, and "
        f"random signs of the same largest change {noise}; no other recipe and pair of models is further above them."
    )


def _carrying(stop: Callable[[], bool] | None) -> Any:
    return lambda study, told: study.run(stop=stop, progress=told)


def _common(found: Attacked, models: Sequence[Classifier]) -> Tensor:
    """Places, among the attacked images, of those that every model names rightly."""
    labels, rows = found.images.truth[found.chosen], torch.arange(len(found.chosen))
    right = torch.ones(len(rows), dtype=torch.bool)
    for model in models:
        parts = [found.images.images(found.chosen[part]) for part in rows.split(found.attacks.batch)]
        right &= torch.cat([model.predict(part).cpu() for part in parts]) == labels
    return rows[right]


def _row(row: Any, most: int) -> Row | None:
    """What is known of a row, and nothing else; None where it is none."""
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in _TEXTS):
        return None
    counted = is_count(row.get("n"), most) and row["n"] and all(is_count(row.get(name), row["n"]) for name in _COUNTS)
    side = row.get("side") is None or is_count(row["side"], _WIDEST)
    return {name: row.get(name) for name in (*_TEXTS, *_COUNTS, "n", "side")} if counted and side else None
