"""The report of one probe's result, for those who work in Python."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from amiss.data import to_bytes, write_png
from amiss.report.build import build
from amiss.repro import digest, versions
from amiss.result import Result

__all__ = ["write_report"]


def write_report(
    result: Result, path: Path | str, *, labels: Sequence[str] | None = None, title: str = "Result of a probe"
) -> Path:
    """Write a result as one HTML file; its pictures lie beside it, in a folder of the same name.

    Args:
        result: What a probe handed back; with `frames` it shows the paths too.
        path: The HTML file.
        labels: Names of the classes; their numbers where left out.
        title: Heading of the page.

    Returns:
        The path of the file.
    """
    path = Path(path)
    folder = path.with_suffix("")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    met, n = int(result.met.sum()), len(result)
    cases = [_case(result, i, folder, labels) for i in range(n)] if result.task.image is not None else []
    fooled = [] if cases else [_cell(result, i, folder, labels) for i in range(n)]
    record: dict[str, Any] = {
        "title": title,
        "sentence": f"The objective is met for {met:,} of {n:,} samples.",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "fingerprints": {"samples": digest(result.task.key)},
        "counts": {"images": n},
        "outcomes": {"this probe": result.counts},
        "cases": cases,
        "fooled": fooled,
        "methods": [{"name": "Probe", "text": "As constructed.", "settings": {"probe": result.probe}}],
    }
    return build(record, folder, path)


def _case(result: Result, i: int, folder: Path, labels: Sequence[str] | None) -> dict[str, Any]:
    task, outcome = result.task, result.outcomes[i]
    assert task.image is not None  # noqa: S101 - only tasks with images have cases
    original, image = f"images/{i:05d}-original.png", f"images/{i:05d}-result.png"
    write_png(folder / original, to_bytes(task.image[i].cpu()))
    write_png(folder / image, to_bytes(result.images[i].cpu()))
    repair: dict[str, Any] = {
        "method": "this probe",
        "image": image,
        "outcome": outcome.status,
        "l2": float(result.l2[i]),
        "linf": float(result.linf[i]),
        "steps": outcome.steps,
        "verified": False,
        "reason": outcome.reason,
    }
    if result.trajectories:
        path = result.trajectories[i]
        frames = [f"images/{i:05d}-{j:02d}.png" for j in range(len(path.frames))]
        for file, frame in zip(frames, path.frames, strict=True):
            write_png(folder / file, frame)
        repair |= {"frames": frames, "frame_steps": path.frame_turns.tolist()}
    return {
        "id": f"{i:05d}",
        "name": f"sample {i}",
        "true": _name(task.label, i, labels),
        "predicted": _name(task.target, i, labels),
        "outcome": outcome.status,
        "verified": False,
        "original": original,
        "repairs": [repair],
    }


def _cell(result: Result, i: int, folder: Path, labels: Sequence[str] | None) -> dict[str, Any]:
    image = f"images/{i:05d}.png"
    write_png(folder / image, to_bytes(result.images[i].cpu()))
    outcome = result.outcomes[i]
    return {
        "class": _name(result.task.target, i, labels),
        "confidence": None,
        "image": image,
        "verified": outcome.met,
        "steps": outcome.first,
    }


def _name(numbers: Tensor | None, i: int, labels: Sequence[str] | None) -> str:
    if numbers is None:
        return ""
    return labels[int(numbers[i])] if labels is not None else str(int(numbers[i]))
