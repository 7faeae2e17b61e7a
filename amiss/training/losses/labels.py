"""The likelihood of the labels of sequences, with true labels fed back or the model's own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.errors import UsageError
from amiss.models import LabelSequence
from amiss.models.recurrent import counted
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["LabelLoss"]


@dataclass(frozen=True)
class LabelLoss:
    """The negative log likelihood of `labels` [N, T] given `frames` [N, T, inputs], in nats, a frame.

    Where a batch has `lengths` [N], the frames and labels behind them count nothing, and each row's mean is over its
    own frames.

    The labels before are the true ones (teacher forcing). A model that has never met its own errors may not survive
    them: with `sampled`, a label that is fed back is drawn from the model itself with a probability that rises from 0
    to so much along the run. All of them are drawn at once, from a pass with true labels.

    Attributes:
        sampled: Share of its own labels that a model is fed at the end of the run, in [0, 1].

    References:
        Williams and Zipser 1989 (teacher forcing); Bengio, Vinyals, Jaitly and Shazeer 2015 (scheduled sampling);
        Mihaylova and Martins 2019 (in two parallel passes).
    """

    sampled: float = 0.0
    turns: tuple[tuple[str, ...], ...] = (("labels",),)

    def __post_init__(self) -> None:
        if not 0 <= self.sampled <= 1:
            raise self._refused("a share from 0 to 1")

    def fitting(self, feedback: bool) -> "LabelLoss":
        """The loss itself, for a model with feedback or without.

        Raises:
            UsageError: A share of labels of a model's own, which it is never fed.
        """
        if self.sampled and not feedback:
            raise self._refused("feedback, or sampled=0")
        return self

    def _refused(self, needed: str) -> UsageError:
        return UsageError(
            "A model cannot be fed so many of its own labels.",
            slug="label-sampled",
            seen=f"sampled={self.sampled}",
            needed=needed,
            hint="Pass, for instance, feedback=True, sampled=0.25.",
        )

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"labels": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative log likelihood, a frame: a row's loss is its mean over these."""
        labeler = expect(model, LabelSequence, "LabelLoss")
        frames, true, lengths = batch["frames"], batch["labels"], batch.rows.get("lengths")
        if lengths is not None:
            frames = labeler.ragged(frames, lengths)
            true = torch.where(counted(lengths, true.shape[1]), true, 0)
        fed = true
        if self.sampled and labeler.feedback:
            lots = batch.generator()
            with torch.no_grad():
                own = labeler.likelihood.sample(labeler(true, frames), lots)[:, 0]
            swapped = torch.rand(true.shape, generator=lots).to(true.device) < self.sampled * batch.fraction
            fed = torch.where(swapped, own, true)
        # The label of a frame is no input of its own prediction, so that what is fed may differ from what is right.
        told = labeler.likelihood.log_probs(labeler(fed, frames), true)
        return {"labels": -(told.sum(1) / (true.shape[1] if lengths is None else lengths)).sum()}
