"""What other models call the champions of the experiment with fooling images, as values that a file can keep."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from amiss.analysis.transfer import keeps
from amiss.audit.evolution import Evolved
from amiss.audit.figures import percent
from amiss.audit.plan import Progress
from amiss.audit.transfers import is_count, is_share
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.repro import digest
from amiss.trust import wilson

__all__ = ["champions_digest", "champions_matrix", "read_champions_matrix", "transfer_table"]

Row = dict[str, Any]
"""Of one encoding and model: n champions that are sure on their own model, and counts as `Kept` has them."""

_TEXTS, _COUNTS = ("encoding", "model", "fingerprint"), ("n", "first", "top", "sure")
_WIDEST = 2**16  # pixels of a side
_NONE = "\u2013"


def champions_digest(found: Evolved) -> str:
    """Digest of all champions and of which are sure, in order: what a matrix is of."""
    parts = [(part.encoding, to_bytes(part.result.images), part.result.met) for part in found.parts]
    return digest(repr(found.evolution.confidence), repr(found.classes), *(value for part in parts for value in part))


def champions_matrix(
    found: Evolved, models: Mapping[str, Classifier], tell: Progress, known: Sequence[Row] = ()
) -> dict[str, Any]:
    """What each model says of the champions of every encoding that are sure on the model they were made for.

    Args:
        found: What was found.
        models: Whom they are shown to, by name; first the one that they were made for.
        tell: Told what is being done.
        known: Rows of the same images; those of these very models are not asked for again.

    Returns:
        JSON values: the digest of the images, and one row a model and encoding.

    Raises:
        ModelError: A model does not take such images, or knows fewer classes.
    """
    evolution, rows = found.evolution, []
    there = {tuple(row[name] for name in _TEXTS): row for row in known}
    for name, classifier in models.items():
        for i, part in enumerate(found.parts):
            tell(f"Showing the champions to {name}", i, len(found.parts))
            row: Row = {"encoding": part.encoding, "model": name, "fingerprint": classifier.fingerprint}
            if kept := there.get((part.encoding, name, classifier.fingerprint)):
                rows.append(kept)
                continue
            sure = part.result.met.cpu()
            label = torch.tensor(found.classes)[sure]
            row |= dict.fromkeys((*_COUNTS[1:], "chance", "side")) | {"n": len(label)}
            if len(label):
                images = to_bytes(part.result.images).cpu()[sure]
                told = keeps(classifier, images, label, confidence=evolution.confidence, batch=evolution.batch)
                row |= {key: getattr(told, key) for key in (*_COUNTS, "chance", "side")}
            rows.append(row)
    return {"images": champions_digest(found), "rows": rows}


def read_champions_matrix(said: Any, found: Evolved) -> dict[str, Any] | None:
    """A matrix as a file kept it, where it is one and of these very champions; else None.

    Args:
        said: What the file holds: somebody else may have written it.
        found: What was found.
    """
    if not isinstance(said, dict) or said.get("images") != champions_digest(found):
        return None
    listed, many = said.get("rows"), {part.encoding: int(part.result.met.sum()) for part in found.parts}
    rows = [_row(row, many) for row in listed] if isinstance(listed, list) else []
    return {"images": said["images"], "rows": rows} if rows and all(rows) else None


def transfer_table(found: Evolved, rows: Sequence[Row]) -> dict[str, Any]:
    """The matrix as a table of the page.

    Args:
        found: What was found.
        rows: Of the matrix.
    """
    bar = found.evolution.confidence
    wide = any(row["top"] is not None for row in rows)
    own = rows[0]["fingerprint"]
    head = ["Encoding", "Model", "Champions", "Keep their label", "By chance"]
    head += ["Among the five highest"] * wide + [f"Any label, {bar:.4g} or more"]
    listed = []
    for row in sorted(rows, key=lambda row: [part.encoding for part in found.parts].index(row["encoding"])):
        itself = " (itself)" if row["fingerprint"] == own else ""
        side = f", at {row['side']} pixels" if row["side"] else ""
        chance = _NONE if row["chance"] is None else percent(row["chance"])
        cells = [row["encoding"], f"{row['model']}{itself}{side}", row["n"], _share(row, "first"), chance]
        listed.append([*cells, *[_share(row, "top")] * wide, _share(row, "sure")])
    return {
        "title": "Shown to other models",
        "text": f"The champions that the model itself is sure of, {bar:.4g} or more, as their files hold them: how "
        "many another model calls by the label that they were made for, and of how many it is as sure, of whatever "
        "label; with 95 % intervals.",
        "head": head,
        "rows": listed,
        "note": "By chance: the share that would keep their label if the labels were dealt out anew among them. "
        "Images are brought to the side that a model takes. Champions of one run descend from each other, so the "
        "intervals, which take them for independent, are narrower than they should be.",
    }


def _share(row: Row, name: str) -> str:
    """A count of a row as a share of its champions with the 95 % interval."""
    if not row["n"] or row[name] is None:
        return _NONE
    low, high = wilson(row[name], row["n"])
    return f"{percent(row[name] / row['n'])} ({100 * low:.0f}\u2013{high:.0%})"


def _row(row: Any, many: Mapping[str, int]) -> Row | None:
    """What is known of a row, and nothing else; None where it is none of so many champions an encoding."""
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in _TEXTS):
        return None
    n = many.get(row["encoding"])
    if n is None or row.get("n") != n or not is_count(row["n"], n):
        return None
    holds = all(row.get(name) is None or is_count(row[name], n) for name in _COUNTS)
    whole = (row.get("first") is None) == (row.get("chance") is None) == (n == 0)
    side = row.get("side") is None or is_count(row["side"], _WIDEST)
    if not (holds and whole and side and (row.get("chance") is None or is_share(row["chance"]))):
        return None
    return {name: row.get(name) for name in (*_TEXTS, *_COUNTS, "chance", "side")}
