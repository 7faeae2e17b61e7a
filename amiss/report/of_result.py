"""The report of one probe's result, for those who work in Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import to_bytes, write_png
from amiss.errors import DataError
from amiss.report.build import build
from amiss.repro import digest, versions
from amiss.result import Result
from amiss.trust.flags import Flag

__all__ = ["Page", "worded", "write_report"]


def write_report(
    result: Result,
    path: Path | str,
    *,
    classifier: Classifier | None = None,
    labels: Sequence[str] | None = None,
    title: str = "Result of a probe",
    flags: Sequence[Flag] = (),
) -> Path:
    """Write a result as one HTML file; its pictures lie beside it, in a folder of the same name.

    Args:
        result: What a probe handed back; with `frames` it shows the paths too.
        path: The HTML file; its folder is made where it is missing.
        classifier: Who was asked: it names originals and frames, and says how sure it is of an image that was
            made for a class. Left out, the page says nothing of that.
        labels: Names of the classes; the classifier's, or their numbers, where left out.
        title: Heading of the page.
        flags: What was measured of the trust in it; those that fired stand on the first page, in full.

    Returns:
        The path of the file.

    Raises:
        DataError: Fewer names than the samples' classes, or a file that cannot be written.
    """
    _refuse_few(labels, result)
    path = Path(path)
    folder = path.with_suffix("") if path.suffix else path.with_name(path.name + "-files")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    met, n = int(result.met.sum()), len(result)
    page = Page(result, folder, classifier, labels)
    with_images = result.task.image is not None
    record: dict[str, Any] = {
        "title": title,
        "sentence": f"The objective is met for {met:,} of {n:,} samples.",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "fingerprints": {"samples": digest(result.task.key)},
        "counts": {"images": n},
        "outcomes": {"this probe": result.counts} if n else {},
        "flags": [flag.to_json() for flag in flags],
        "cases": [page.case(i) for i in range(n)] if with_images else [],
        **worded(result),
        "fooled": [] if with_images else [page.cell(i) for i in range(n)],
        "fooled_bar": None,
        "methods": [{"name": "Probe", "text": "As constructed.", "settings": {"probe": result.probe}}],
    }
    if classifier is not None:
        record["fingerprints"]["model"] = classifier.fingerprint
    return build(record, folder, path)


def worded(result: Result) -> dict[str, str]:
    """How a page speaks of its cases: as repairs only where the true label was wanted.

    Args:
        result: Whose samples they are.
    """
    task = result.task
    if task.label is not None and task.target is not None and torch.equal(task.label, task.target):
        return {}
    note = "Each row: the original, the change, and the result."
    return {"cases_title": "What was found", "cases_note": note, "cases_word": "Result"}


def _refuse_few(labels: Sequence[str] | None, result: Result) -> None:
    """Refuse names that do not reach as far as the samples' labels and targets."""
    numbers = [part for part in (result.task.label, result.task.target) if part is not None and len(part)]
    highest = max((int(part.max()) for part in numbers), default=-1)
    if labels is not None and len(labels) <= highest:
        raise DataError(
            "There are fewer names than classes.",
            slug="data-labels",
            seen=f"{len(labels)} names; a sample of class {highest}",
            needed="one name for each class, in the order of their numbers from 0",
            hint="labels=classifier.labels",
        )


@dataclass(frozen=True)
class Page:
    """Writes the pictures of samples, and describes them.

    Attributes:
        result: The samples.
        folder: Where the page lies.
        classifier: Who names the images.
        labels: Names of the classes.
        place: Folder of the pictures, within `folder`.
    """

    result: Result
    folder: Path
    classifier: Classifier | None
    labels: Sequence[str] | None
    place: str = "images"

    def case(self, i: int) -> dict[str, Any]:
        """A sample that began with an image."""
        task, outcome = self.result.task, self.result.outcomes[i]
        assert task.image is not None  # noqa: S101 - only tasks with images have cases
        image = self._write(f"{i:05d}-result", to_bytes(self.result.images[i]))
        l2, linf = float(self.result.l2[i]), float(self.result.linf[i])
        repair: dict[str, Any] = {
            "method": "this probe",
            "image": image,
            "outcome": outcome.status,
            "l2": l2,
            "linf": linf,
            "steps": outcome.steps,
            "verified": None,
            "reason": outcome.reason,
        }
        if self.result.trajectories:
            repair |= self._path(i)
        target = self._name(task.target, i)
        predicted = self._answers(to_bytes(task.image[i])[None])[1]
        return {
            "id": f"{i:05d}",
            "name": f"sample {i}" + (f", wanted {target}" if target else ""),
            "true": self._name(task.label, i) or "unknown",
            "predicted": predicted[0],
            "outcome": outcome.status,
            "verified": None,
            "original": self._write(f"{i:05d}-original", to_bytes(task.image[i])),
            "repairs": [repair],
        }

    def cell(self, i: int) -> dict[str, Any]:
        """A sample that began with nothing."""
        outcome, target, confidence = self.result.outcomes[i], self.result.task.target, None
        picture = to_bytes(self.result.images[i])
        if self.classifier is not None and target is not None:
            confidence = float(self._logits(picture[None]).softmax(1)[0, int(target[i])])
        return {
            "class": self._name(target, i) or f"sample {i}",
            "confidence": confidence,
            "image": self._write(f"{i:05d}", picture),
            "verified": outcome.met,
            "steps": outcome.first if outcome.first >= 0 else None,
        }

    def _path(self, i: int) -> dict[str, Any]:
        """Frames with, where the classifier can be asked, the margin of the wanted answer and its name for each."""
        path, task = self.result.trajectories[i], self.result.task
        margins, names = self._answers(path.frames, task.target, i)
        frames = [self._write(f"{i:05d}-{j:02d}", frame) for j, frame in enumerate(path.frames)]
        track = {"frames": frames, "frame_steps": path.frame_turns.tolist()}
        return {**track, "frame_margins": margins, "frame_labels": names, "margin": margins[-1]}

    def _answers(
        self, pixels: Tensor, target: Tensor | None = None, i: int = 0
    ) -> tuple[list[float | None], list[str | None]]:
        """Of images uint8 [N, C, H, W]: how far the target's logit is ahead, and what the classifier calls each."""
        if self.classifier is None:
            return [None] * len(pixels), [None] * len(pixels)
        logits = self._logits(pixels)
        answers = logits.argmax(1)
        names: list[str | None] = [self._name(answers, j) for j in range(len(pixels))]
        if target is None:
            return [None] * len(pixels), names
        wanted = int(target[i])
        others = logits.clone()
        others[:, wanted] = -torch.inf
        return (logits[:, wanted] - others.amax(1)).tolist(), names

    def _logits(self, pixels: Tensor) -> Tensor:
        assert self.classifier is not None  # noqa: S101 - asked only where there is one
        with torch.no_grad():
            return self.classifier.outputs(pixels.to(torch.float32) / 255)["answer"].cpu()

    def _name(self, numbers: Tensor | None, i: int) -> str:
        if numbers is None:
            return ""
        own = self.classifier.labels if self.classifier is not None else None
        labels = self.labels if self.labels is not None else own
        return str(labels[int(numbers[i])]) if labels is not None else str(int(numbers[i]))

    def _write(self, name: str, pixels: Tensor) -> str:
        write_png(self.folder / self.place / f"{name}.png", pixels)
        return f"{self.place}/{name}.png"
