"""Repairs of a classifier's mistakes: along the manifold by LSE, and in pixels beside it."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from amiss.audit.desk import Desk
from amiss.audit.judges import Judge
from amiss.data import Images, to_bytes
from amiss.probe import Probe
from amiss.recipes import lse, pgd
from amiss.result import Result
from amiss.spaces.latent import Codec
from amiss.study import Inputs

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
    desk: Desk,
    images: Images,
    mistakes: Tensor,
    *,
    decoder: Codec | None = None,
    judge: Judge | None = None,
) -> dict[str, Repairs]:
    """Repair the mistakes by every method that can speak here.

    Args:
        desk: Where the searches are done.
        images: All images.
        mistakes: Positions of the mistakes [k].
        decoder: For LSE; None leaves it out.
        judge: Who says what they show, independent of the classifier.
    """
    plan, inputs = desk.plan, Inputs.of_images(images, mistakes, to_truth=True)
    common: dict[str, Any] = {"margin": plan.margin, "seed": plan.seed, "batch": plan.batch}
    probes: dict[str, Probe] = {}
    if decoder is not None:
        probes["LSE"] = lse(decoder, **common)
        probes["LSE, plain decoding"] = lse(decoder, residual=False, **common)
    probes["Pixel PGD"] = pgd(None, 200, norm="l2", step=0.1, target="task", **common)
    before = None if judge is None else judge.label(images.images(mistakes), mistakes, plan.batch)
    found = {}
    for name, probe in probes.items():
        repairs = _kept(desk, name, probe, inputs)
        if judge is not None:
            seen = to_bytes(repairs.result.images).to(torch.float32) / 255
            repairs = replace(repairs, judged=judge.label(seen, mistakes, plan.batch), judged_before=before)
        found[name] = repairs
    return found


def _kept(desk: Desk, name: str, probe: Probe, inputs: Inputs) -> Repairs:
    """Run one probe as a study; what its files do not hold is no repair."""
    if not len(inputs):
        nothing = probe.run(desk.classifier, inputs.rows([]))
        return Repairs(nothing, probe, 0, nothing.met, ())
    slug = name.lower().replace(", ", "-").replace(" ", "-")
    recipe = "pgd" if name == "Pixel PGD" else "lse"
    held = desk.search(slug, recipe, f"Repairing by {name}", probe, inputs, _FRAMES)
    claimed = sum(entry.claimed for entry in held.entries)
    return Repairs(held.result, probe, claimed, held.result.met, desk.paths(held))
