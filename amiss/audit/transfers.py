"""The transfer matrix of an experiment: its images shown to other models, as plain values that a file can keep."""

from collections.abc import Mapping
from typing import Any

from amiss.analysis.transfer import Tally, transfer
from amiss.audit.figures import radius
from amiss.audit.plan import Progress
from amiss.audit.sweep import Swept
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.repro import digest

__all__ = ["images_digest", "is_count", "is_share", "matrix", "read_matrix"]

_PARTS, _SHARES = ("made", "noise"), ("changed", "guide", "top")
_BOUNDS, _TEXTS = ("share", "low", "high"), ("layer", "delta", "model", "fingerprint")
_WIDEST = 2**16  # pixels of a side


def images_digest(swept: Swept) -> str:
    """Digest of all imposters, in order: what a matrix is of."""
    return digest(*(to_bytes(part.result.images) for part in swept.parts))


def matrix(swept: Swept, models: Mapping[str, Classifier], tell: Progress) -> dict[str, Any]:
    """What each model says of the imposters of every layer and bound.

    Args:
        swept: What was found.
        models: Whom they are shown to, by name; first the one that they were made for.
        tell: Told what is being done.

    Returns:
        JSON values: the digest of the images, and one row a layer, bound and model.

    Raises:
        ModelError: A model does not take such images, or knows other classes.
    """
    images, pairs, sweep = swept.images, swept.pairs, swept.sweep
    source, labels = images.pixels[pairs.source], images.truth
    key = images.pick(pairs.source).keys()
    rows = []
    for name, classifier in models.items():
        for i, part in enumerate(swept.parts):
            tell(f"Showing the imposters to {name}", i, len(swept.parts))
            made = to_bytes(part.result.images)
            given = source, made, labels[pairs.source], labels[pairs.guide], key
            found = transfer(classifier, *given, seed=sweep.seed, batch=sweep.batch)
            few = len(classifier.labels or ()) <= 5  # then the guide is always among the five
            shares = {name: _shares(getattr(found, name), few) for name in _PARTS}
            row = {"layer": part.layer, "delta": radius(part.delta), "model": name, "side": found.side}
            rows.append(
                {**row, "fingerprint": classifier.fingerprint, "n": len(pairs), "right": found.right, **shares}
            )
    return {"images": images_digest(swept), "rows": rows}


def read_matrix(said: Any, swept: Swept) -> dict[str, Any] | None:
    """A matrix as a file kept it, where it is one and of these very images; else None.

    Args:
        said: What the file holds: somebody else may have written it.
        swept: What was found.
    """
    if (
        not isinstance(said, dict)
        or said.get("images") != images_digest(swept)
        or not isinstance(said.get("rows"), list)
    ):
        return None
    rows = [_row(row, len(swept.pairs)) for row in said["rows"]]
    return {"images": said["images"], "rows": rows} if rows and all(rows) else None


def is_count(value: Any, most: int) -> bool:
    """Whether a value of a file is a whole number from 0 to `most`; truth is none."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def is_share(value: Any) -> bool:
    """Whether a value of a file is a number in [0, 1]; NaN is in no interval, and truth is no number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _shares(tally: Tally, few: bool) -> dict[str, dict[str, float] | None]:
    made = {name: dict(zip(_BOUNDS, share, strict=True)) for name, share in tally.shares.items()}
    return {**made, "top": None if few else made["top"]}


def _row(row: Any, n: int) -> dict[str, Any] | None:
    """What is known of a row, and nothing else; None where it is none of n pairs."""
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in _TEXTS):
        return None
    counts = is_count(row.get("n"), n) and row["n"] == n and is_count(row.get("right"), n)
    side = row.get("side") is None or is_count(row["side"], _WIDEST)
    if not counts or not side or not all(_is_part(row.get(name)) for name in _PARTS):
        return None
    kept = {name: row.get(name) for name in (*_TEXTS, "n", "right", "side")}
    parts = {name: {part: _bounds(row[name].get(part)) for part in _SHARES} for name in _PARTS}
    return {**kept, **parts}


def _bounds(share: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if share is None else {name: share[name] for name in _BOUNDS}


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and all(
        (share is None and name == "top")
        or (isinstance(share, dict) and all(is_share(share.get(bound)) for bound in _BOUNDS))
        for name in _SHARES
        for share in [part.get(name)]
    )
