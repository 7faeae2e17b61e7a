"""Repairs of a classifier's mistakes: along the manifold by LSE, and in pixels beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.probe import Probe
from amiss.recipes import lse, pgd
from amiss.result import Outcome, Result
from amiss.spaces.latent import Codec
from amiss.task import Task
from amiss.trust import verify

__all__ = ["Repairs", "repair"]

_FRAMES = 12


@dataclass(frozen=True)
class Repairs:
    """What one method made of the mistakes.

    Attributes:
        result: One outcome a mistake; a success that its file does not hold is none.
        probe: What searched.
        claimed: Successes before their files were read.
        verified: Whether each success holds in the bytes on disk [k].
        paths: The file of each best attempt, relative to the run folder.
        judged: The independent judge's label of each file [k], or None.
        judged_before: Its label of each untouched image [k], or None.
    """

    result: Result
    probe: Probe
    claimed: int
    verified: Tensor
    paths: tuple[str, ...]
    judged: Tensor | None = None
    judged_before: Tensor | None = None

    @property
    def share(self) -> float:
        """Share of the mistakes that were repaired."""
        return float(self.verified.double().mean()) if len(self.verified) else 0.0

    @property
    def l2(self) -> float:
        """Median Euclidean length of the repairs in pixels; NaN without any."""
        return float(self.result.l2[self.verified].median()) if bool(self.verified.any()) else float("nan")

    def agreement(self, labels: Tensor) -> float | None:
        """Share of the repairs that the judge calls by the true label; None without a judge or a repair."""
        if self.judged is None or not bool(self.verified.any()):
            return None
        return float((self.judged == labels)[self.verified].double().mean())


def repair(
    classifier: Classifier,
    images: Images,
    mistakes: Tensor,
    decoder: Codec | None,
    judge: Classifier | None,
    out: Path,
    margin: float,
    batch: int,
    seed: int,
    tell: Callable[[str, int, int], None],
) -> dict[str, Repairs]:
    """Repair the mistakes by every method that can speak here.

    Args:
        classifier: Who is wrong.
        images: All images.
        mistakes: Positions of the mistakes [k].
        decoder: For LSE; None leaves it out.
        judge: An independent classifier.
        out: Run folder.
        margin: How far the true label's logit must be ahead.
        batch: Rows a pass.
        seed: Of the probes.
        tell: Progress.
    """
    task = images.task(mistakes)
    task = replace(task, target=task.label)
    probes: dict[str, Probe] = {}
    if decoder is not None:
        probes["LSE"] = lse(decoder, margin=margin, seed=seed, batch=batch)
        probes["LSE, plain decoding"] = lse(decoder, margin=margin, residual=False, seed=seed, batch=batch)
    probes["Pixel PGD"] = pgd(None, 200, norm="l2", step=0.1, target="task", margin=margin, seed=seed, batch=batch)
    before = None if judge is None else _labels(judge, images.images(mistakes), batch)
    return {
        name: _kept(name, probe, classifier, task, images, mistakes, judge, before, out, tell)
        for name, probe in probes.items()
    }


def _kept(
    name: str,
    probe: Probe,
    classifier: Classifier,
    task: Task,
    images: Images,
    mistakes: Tensor,
    judge: Classifier | None,
    before: Tensor | None,
    out: Path,
    tell: Callable[[str, int, int], None],
) -> Repairs:
    """Run one probe, write what it found, and believe only what the files hold."""

    def progress(done: int, total: int, met: int) -> None:
        tell(f"Repairing by {name} ({met} so far)", done, total)

    progress(0, len(task), 0)
    result = probe.run(classifier, task, frames=_FRAMES, progress=progress)
    slug = name.lower().replace(", ", "-").replace(" ", "-")
    folder = out / "images" / slug
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(f"images/{slug}/{images.ids[i][:16]}-{i}.png" for i in mistakes.tolist())
    held = verify(probe, classifier, task, result.images, [out / path for path in paths])
    verified = result.met & held
    outcomes = tuple(
        _disowned(o) if o.met and not bool(ok) else o for o, ok in zip(result.outcomes, verified, strict=True)
    )
    bytes_ = to_bytes(result.images).to(torch.float32) / 255
    judged = None if judge is None else _labels(judge, bytes_, probe.batch)
    return Repairs(replace(result, outcomes=outcomes), probe, int(result.met.sum()), verified, paths, judged, before)


def _disowned(outcome: Outcome) -> Outcome:
    reason = "A success that did not survive rounding to 8 bits: its file does not hold it."
    return replace(outcome, status="exhausted", reason=reason)


def _labels(judge: Classifier, images: Tensor, batch: int) -> Tensor:
    if not len(images):
        return torch.zeros(0, dtype=torch.int64)
    return torch.cat([judge.predict(x).cpu() for x in images.split(batch)])
