"""The report of a study: its figures over all samples, its trust flags, and the cases that show most."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amiss.audit.record import percent
from amiss.classifier import Classifier
from amiss.report.build import build
from amiss.report.of_result import Page, worded
from amiss.repro import versions
from amiss.study import Held
from amiss.study.ledger import Entry

__all__ = ["shown_samples", "study_record", "write_study_report"]

_CASES = 24


def study_record(
    about: Mapping[str, Any],
    held: Held,
    classifier: Classifier,
    folder: Path,
    *,
    figures: Mapping[str, float],
    names: Sequence[str],
) -> dict[str, Any]:
    """A study as JSON values; pictures that are shown and not there yet are written under `folder`.

    Args:
        about: What `run.json` says, with "counts" of all samples and "flags".
        held: The samples that are shown.
        classifier: Who names originals and frames.
        folder: The run folder.
        figures: Of the whole run.
        names: What each sample of the run is called.
    """
    page = Page(held.result, folder, classifier, None, "report")
    with_images = held.result.task.image is not None
    n = len(held.entries)
    met, finished = int(figures["met"]), int(figures["finished"])
    sentence = f"There was no sample for {about['recipe']} to search for."
    if finished:
        already = about["counts"].get("already-met", 0)
        before = f", {already:,} of them before anything was changed" if already else ""
        sentence = f"The objective of {about['recipe']} is met for {met:,} of {finished:,} samples{before}."
    cases = [_filed(page.case(i), held, i, folder, names) for i in range(n)] if with_images else []
    cells = [] if with_images else [{**page.cell(i), "image": _place(held.paths[i], folder)} for i in range(n)]
    return {
        "title": f"{about['recipe']} on {about['model']}",
        "sentence": sentence,
        "model": about["model"],
        "data": about["data"],
        "created": about["created"],
        "seed": about["seed"],
        "command": about["command"],
        "versions": versions(),
        "fingerprints": {k: v for k, v in about["fingerprints"].items() if len(v) == 64},
        "figures": dict(figures),
        "tiles": _tiles(figures),
        "notices": _notices(about),
        "counts": {"images": sum(about["counts"].values())},
        "outcomes": {str(about["recipe"]): dict(about["counts"])},
        "verified": {"claimed": about["claimed"], "held": about["held"]},
        "flags": list(about["flags"]),
        "cases": cases,
        **worded(held.result),
        "fooled": cells,
        "fooled_bar": None,
        "methods": [
            {
                "name": str(about["recipe"]),
                "text": "As constructed.",
                "settings": {"probe": held.result.probe},
                "reference": "; ".join(about["references"]),
            }
        ],
    }


def write_study_report(record: Mapping[str, Any], folder: Path) -> Path:
    """Write `report.html` into the run folder."""
    return build(dict(record), folder)


def shown_samples(entries: Sequence[Entry], most: int = _CASES) -> list[int]:
    """Positions of the samples to show: each way of ending in turn, the most frequent first."""
    kinds: dict[str, list[int]] = {}
    for entry in entries:
        kinds.setdefault(entry.outcome.status, []).append(entry.sample)
    queues = sorted(kinds.values(), key=len, reverse=True)
    chosen: list[int] = []
    while len(chosen) < most and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue]
    return sorted(chosen[:most])


def _filed(case: dict[str, Any], held: Held, i: int, folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """A case whose result is the very file that was judged."""
    entry = held.entries[i]
    (repair,) = case["repairs"]
    repair = {**repair, "image": _place(held.paths[i], folder), "verified": entry.outcome.met}
    known = {"id": f"{entry.id[:16]}-{entry.sample}", "name": names[entry.sample]}
    return {**case, **known, "verified": entry.outcome.met, "repairs": [repair]}


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _tiles(figures: Mapping[str, float]) -> list[dict[str, str]]:
    rate, held = figures.get("success_rate"), figures.get("verified_from_disk")
    size, queries = figures.get("l2", figures.get("size")), figures.get("queries", 0)
    rows = [
        ("Met", "none" if rate is None else percent(rate), "judged from the files on disk"),
        ("Claims that held", "none" if held is None else percent(held), "read back, alone and in a batch"),
        ("Size", "none" if size is None else f"{size:.3g}", "median of the successes"),
        ("Queries", f"{queries:,.0f}", "median, images shown to the network"),
    ]
    return [{"label": label, "value": value, "note": note} for label, value, note in rows]


def _notices(about: Mapping[str, Any]) -> list[dict[str, str]]:
    damage = [text for session in about.get("sessions", []) for text in session["damage"]]
    said = [{"level": "warning", "title": "Damaged and done again", "text": f"{text}."} for text in damage]
    seen = {tuple(sorted(session["versions"].items())) for session in about.get("sessions", [])}
    if len(seen) > 1:
        text = "Its sessions ran under different versions: figures may differ from those of one in the last digits."
        said.append({"level": "warning", "title": "Several versions", "text": text})
    return said
