"""What a model says when there is nothing to be seen: confident, plausible answers to an input that was removed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models import LabelSequence

__all__ = ["Hallucination", "answer_above", "drawn_labels", "hallucination"]


@dataclass(frozen=True)
class Hallucination:
    """Answers to inputs that tell nothing, counted. Intervals: `amiss.trust.wilson(h.hallucinated, h.asked)`.

    Attributes:
        asked: Inputs.
        answered: Answers that were as confident as those that count on real inputs.
        plausible: Answers that could be true of some input.
        hallucinated: Answers that were both.
    """

    asked: int
    answered: int
    plausible: int
    hallucinated: int

    @property
    def rate(self) -> float:
        """Share of inputs without content that got a confident, plausible answer."""
        return self.hallucinated / self.asked


def answer_above(confidence: Tensor, right: Tensor, rate: float = 0.95) -> float:
    """The least confidence at which an answer is to count: of the answers that reach it, a share `rate` is right.

    It is read off real inputs that the model has not learned from. A model that says nothing below it keeps its word
    there, so that what it says above it is believed.

    Args:
        confidence: Of each answer [n], in any units, on any device.
        right: Whether each is right [n], or which share of it, in [0, 1].
        rate: Share of right answers that is asked for, in (0, 1].

    Returns:
        The threshold; infinity where no answers are right so often.

    Raises:
        UsageError: There are no answers, they differ in number, some are not finite, or the rate is no share.

    References:
        Geifman and El-Yaniv 2017, selective classification for deep neural networks (a threshold for a given risk).
    """
    sure, share = _counted(confidence, right, 0 < rate <= 1)
    order = sure.argsort(descending=True)
    sure, share = sure[order], share[order]
    running = share.cumsum(0) / torch.arange(1, len(share) + 1, device=share.device)
    # Answers that are equally sure count together.
    last = torch.cat([sure[1:] != sure[:-1], torch.ones(1, dtype=torch.bool, device=sure.device)])
    kept = (last & (running >= rate - 1e-9)).nonzero()
    return float(sure[kept.max()]) if len(kept) else math.inf


def hallucination(confidence: Tensor, plausible: Tensor, above: float) -> Hallucination:
    """Count the confident and plausible among answers to inputs that tell nothing.

    Args:
        confidence: Of each answer [n], in the units of `above`.
        plausible: Whether each could be true of some input [n]: a sentence of the language, a row of labels that
            keeps the rules.
        above: What `answer_above` read off real inputs.

    Raises:
        UsageError: There are no answers, they differ in number, or some are not finite.
    """
    numbers, could = _counted(confidence, plausible, True)
    sure, fits = numbers >= above, could.bool()
    return Hallucination(len(sure), int(sure.sum()), int(fits.sum()), int((sure & fits).sum()))


@torch.no_grad()
def drawn_labels(
    model: LabelSequence, frames: Tensor, lengths: Tensor | None = None, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Rows of labels [n, T] as a model draws them, and its confidence in each [n]: nats a label, made a probability.

    Args:
        model: In eval mode.
        frames: [n, T, inputs].
        lengths: How many of them count [n].
        generator: Of the draws. None draws the same ones at every call.
    """
    c = frames if lengths is None else model.ragged(frames, lengths)
    said = model.sample(len(frames), c, generator=generator)
    each = model.log_probs(said, c).sum(1)
    return said, (each / (frames.shape[1] if lengths is None else lengths.to(each.device))).exp()


def _counted(confidence: Tensor, other: Tensor, share: bool) -> tuple[Tensor, Tensor]:
    """Both rows of numbers [n], on the CPU."""
    finite = bool(confidence.isfinite().all()) and bool(other.isfinite().all())
    if not share or not finite or confidence.ndim != 1 or confidence.shape != other.shape or not len(confidence):
        raise UsageError(
            "Hallucinations cannot be counted from these.",
            slug="hallucination",
            seen=f"confidence {tuple(confidence.shape)}, beside it {tuple(other.shape)}"
            + ", some of it not finite" * (not finite),
            needed="two rows of finite numbers, of one length, and a share of right answers in (0, 1]",
            hint="Pass one confidence for each answer, and whether it is right, or plausible.",
        )
    return confidence.detach().cpu().double(), other.detach().cpu().double()
