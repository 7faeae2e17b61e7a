"""Repairs of a classifier's mistakes: along the manifold by LSE, and in pixels beside it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.probe import Probe
from amiss.recipes import lse, pgd
from amiss.result import Outcome, Result
from amiss.spaces.latent import Codec
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
    plan: Plan,
    out: Path,
    tell: Progress,
    *,
    decoder: Codec | None = None,
    judge: Classifier | None = None,
) -> dict[str, Repairs]:
    """Repair the mistakes by every method that can speak here.

    Args:
        classifier: Who is wrong.
        images: All images.
        mistakes: Positions of the mistakes [k].
        plan: Margin, batch and seed.
        out: Run folder.
        tell: Progress.
        decoder: For LSE; None leaves it out.
        judge: An independent classifier.
    """
    part = images.pick(mistakes)
    common: dict[str, Any] = {"margin": plan.margin, "seed": plan.seed, "batch": plan.batch}
    probes: dict[str, Probe] = {}
    if decoder is not None:
        probes["LSE"] = lse(decoder, **common)
        probes["LSE, plain decoding"] = lse(decoder, residual=False, **common)
    probes["Pixel PGD"] = pgd(None, 200, norm="l2", step=0.1, target="task", **common)
    before = None if judge is None else _labels(judge, part.images(), plan.batch)
    found = {}
    for name, probe in probes.items():
        repairs = _kept(name, probe, classifier, part, mistakes.tolist(), out, tell)
        if judge is not None:
            seen = to_bytes(repairs.result.images).to(torch.float32) / 255
            repairs = replace(repairs, judged=_labels(judge, seen, plan.batch), judged_before=before)
        found[name] = repairs
    return found


def _kept(
    name: str,
    probe: Probe,
    classifier: Classifier,
    mistakes: Images,
    places: list[int],
    out: Path,
    tell: Progress,
) -> Repairs:
    """Run one probe, write what it found, and believe only what the files hold."""

    def progress(done: int, total: int, met: int) -> None:
        tell(f"Repairing by {name} ({met} so far)", done, total)

    progress(0, len(places), 0)
    task = mistakes.task()
    task = replace(task, target=task.label)
    result = probe.run(classifier, task, frames=_FRAMES, progress=progress)
    slug = name.lower().replace(", ", "-").replace(" ", "-")
    (out / "images" / slug).mkdir(parents=True, exist_ok=True)
    paths = tuple(f"images/{slug}/{mistakes.ids[k][:16]}-{i}.png" for k, i in enumerate(places))
    held = verify(probe, classifier, task, result.images, [out / path for path in paths], result.p).held
    verified = result.met & held
    outcomes = tuple(
        _disowned(o) if o.met and not bool(ok) else o for o, ok in zip(result.outcomes, verified, strict=True)
    )
    return Repairs(replace(result, outcomes=outcomes), probe, int(result.met.sum()), verified, paths)


def _disowned(outcome: Outcome) -> Outcome:
    reason = "A success that did not survive rounding to 8 bits: its file does not hold it."
    return replace(outcome, status="exhausted", reason=reason)


def _labels(judge: Classifier, images: Tensor, batch: int) -> Tensor:
    if not len(images):
        return torch.zeros(0, dtype=torch.int64)
    return torch.cat([judge.predict(x).cpu() for x in images.split(batch)])
