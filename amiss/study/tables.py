"""The tables of a run: what went in, and how each ended; cells of a spreadsheet never become formulas."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data.cells import csv_text
from amiss.reading import Pace
from amiss.study.inputs import Inputs
from amiss.study.ledger import Entry
from amiss.study.store import Store

__all__ = ["INPUTS", "RESULTS", "result_rows", "write_inputs", "write_results"]

INPUTS, RESULTS = "inputs.csv", "results.csv"


def write_inputs(store: Store, inputs: Inputs, classifier: Any, batch: int) -> None:
    """Write inputs.csv, once: id, name, what is known, and the classifier's answer with its margin in logits."""
    if (store.folder / INPUTS).is_file():
        return
    columns: dict[str, list[int] | list[float]] = dict(inputs.columns)
    columns |= _answers(inputs, classifier, batch)
    rows = [
        [i, inputs.ids[i], inputs.names[i], *(column[i] for column in columns.values())] for i in range(len(inputs))
    ]
    store.write_once(INPUTS, csv_text(["sample", "id", "name", *columns], rows))


def result_rows(store: Store, inputs: Inputs, entries: Mapping[int, Entry]) -> tuple[list[str], list[list[object]]]:
    """The head and the rows of results.csv: one a sample, finished or not, and one a file that could not be read."""
    head = ["sample", "id", "name", *inputs.columns, "status", "size", "l2", "linf", "loss", "first", "steps"]
    head += ["queries", "claimed", "votes", "asked", "image", "reason"]
    known = list(inputs.columns.values())
    rows: list[list[object]] = []
    for i in range(len(inputs)):
        said = [i, inputs.ids[i], inputs.names[i], *(column[i] for column in known)]
        entry = entries.get(i)
        if entry is None:
            rows.append([*said, "interrupted", *[""] * 11, "Not finished yet."])
            continue
        o, image = entry.outcome, store.image_path(entry.id, i).relative_to(store.folder).as_posix()
        numbers = [o.size, entry.l2, entry.linf, o.loss, o.first, o.steps, o.queries]
        rows.append([*said, o.status, *numbers, int(entry.claimed), entry.votes, entry.asked, image, o.reason])
    for name, reason in inputs.unreadable:
        rows.append(["", "", name, *[""] * len(known), "unreadable", *[""] * 11, reason])
    return head, rows


def write_results(store: Store, inputs: Inputs, entries: Mapping[int, Entry]) -> Path:
    """Write results.csv."""
    text = csv_text(*result_rows(store, inputs, entries))
    store.disk.write(path := store.folder / RESULTS, text.encode())
    return path


def _answers(inputs: Inputs, classifier: Any, batch: int) -> dict[str, list[int] | list[float]]:
    """Prediction and margin of every sample that is an image and whose answer is logits."""
    if not isinstance(classifier, Classifier):
        return {}
    if not len(inputs) or inputs.rows([0]).image is None:
        return {}

    def look(rows: Tensor) -> tuple[list[int], list[float]]:
        image = inputs.read(rows).image
        assert image is not None  # noqa: S101 - the first has one
        with torch.no_grad():
            top = classifier.outputs(image.to(classifier.device))["answer"].topk(2)
        return top.indices[:, 0].tolist(), (top.values[:, 0] - top.values[:, 1]).tolist()

    try:
        seen = list(Pace(batch).over(torch.arange(len(inputs)), look))
    except torch.OutOfMemoryError:  # not even one image fits: the search will say so of each
        return {}
    return {
        "prediction": [i for predicted, _ in seen for i in predicted],
        "margin": [gap for _, margins in seen for gap in margins],
    }
