"""The game of StackGAN: a critic that is shown wrong sentences too, and a generator that draws what is said."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.errors import ContractError
from amiss.models import StackGAN
from amiss.training.batches import Batch

__all__ = ["StackGANLoss"]


@dataclass(frozen=True)
class StackGANLoss:
    """Three players in stage I (text, critic, generator), two in stage II.

    It reads `image`, `tokens`, `label`, and `near` [N, K, length]: tokens of sentences that are wrong in one label.
    With logits s(image, sentence) of the critic and a drawn image for each sentence of the batch, an image's wrong
    sentences are its near ones, and `wrong` of the batch whose labels differ from its own, those that differ in the
    fewest first:

    - the critic minimizes -log sigma(s(real, right)) - [log(1 - sigma(s(real, wrong))) + log(1 - sigma(s(drawn,
      right)))] / 2, the mean over its wrong sentences;
    - the generator minimizes -log sigma(s(drawn, right)) + kl x KL of the sentence's draw from a standard normal;
    - the text encoder minimizes the cross-entropy of the labels that its code tells; nobody else moves it.

    Attributes:
        stage: 1 or 2.
        wrong: Wrong sentences an image, of others of the batch.
        kl: Weight of the divergence, which is summed over the draw's dimensions. Ten times as much asks for draws so
            wide that sentences are taken for others.
        start: Fingerprint of stage I where it is given: another one makes another run.

    References:
        Zhang et al. 2017, equations 3 and 4; Reed et al. 2016, algorithm 1; Goodfellow et al. 2014, section 3 (the
        generator's loss that does not saturate).
    """

    stage: int = 1
    wrong: int = 4
    kl: float = 0.002
    start: str = ""

    @property
    def turns(self) -> tuple[tuple[str, ...], ...]:
        """Text and critic at once, then the generator; the text of stage II is done."""
        return ((("text", "critic") if self.stage == 1 else ("critic",)), ("generator",))

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """Each network its own player; in stage II the text and stage I are nobody's."""
        gan = self._gan(model)
        if self.stage == 2:
            return {"critic": gan.critic.parameters(), "generator": gan.second.parameters()}
        return {
            "text": gan.text.parameters(),
            "critic": gan.critic.parameters(),
            "generator": gan.first.parameters(),
        }

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed loss of each player of the turn."""
        gan = self._gan(model)
        if turn == ("generator",):
            with torch.no_grad():
                codes = gan.text(batch["tokens"])
            drawn = gan.draw(codes, batch.generator(1))
            score = gan.critic(drawn.image, codes[:, None])
            return {"generator": F.softplus(-score).sum() + self.kl * drawn.kl.sum()}
        with torch.set_grad_enabled("text" in turn):
            codes = gan.text(batch["tokens"])
        losses = {"text": self._understood(gan, codes, batch["label"])} if "text" in turn else {}
        codes = codes.detach()
        with torch.no_grad():
            drawn = gan.draw(codes, batch.generator(0))
        real = batch["image"]
        if real.shape[-1] > gan.side:
            real = F.avg_pool2d(real, real.shape[-1] // gan.side)
        others, differs = wrong_captions(batch["label"], min(self.wrong, len(batch) - 1))
        with torch.no_grad():
            near = gan.text(batch["near"].flatten(0, 1)).unflatten(0, batch["near"].shape[:2])
        scores = gan.critic(real, torch.cat([codes[:, None], near, codes[others]], 1))
        differs = torch.cat([differs.new_ones(near.shape[:2]), differs], 1)
        rejected = (F.softplus(scores[:, 1:]) * differs).sum(1) / differs.sum(1).clamp_min(1)
        faked = F.softplus(gan.critic(drawn.image, codes[:, None])).sum()
        return losses | {"critic": F.softplus(-scores[:, 0]).sum() + (rejected.sum() + faked) / 2}

    def _understood(self, gan: StackGAN, codes: Tensor, labels: Tensor) -> Tensor:
        told = gan.text.told(codes)
        nats = [F.cross_entropy(t, label, reduction="sum") for t, label in zip(told, labels.unbind(1), strict=True)]
        return torch.stack(nats).sum()

    def _gan(self, model: nn.Module) -> StackGAN:
        if not isinstance(model, StackGAN) or model.stages != self.stage:
            raise ContractError(
                "This loss is for another model.",
                slug="stackgan-model",
                seen=f"a {type(model).__name__}"
                + f" of {getattr(model, 'stages', 0)} stages" * hasattr(model, "stages"),
                needed=f"a StackGAN of {self.stage} stage{'s' * (self.stage > 1)}",
                hint="Use the preset stackgan_for, which makes both.",
            )
        return model


def wrong_captions(labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each row the rows of the batch whose labels differ in the fewest places, but in one at least.

    Args:
        labels: [N, L], int64.
        count: How many rows for each.

    Returns:
        Rows [N, count], int64, and whether each does differ [N, count]; where a batch has too few, some do not.
    """
    apart = (labels[:, None] != labels[None]).sum(-1)
    nearest = torch.where(apart == 0, labels.shape[1] + 1, apart).topk(count, largest=False)
    return nearest.indices, nearest.values <= labels.shape[1]
