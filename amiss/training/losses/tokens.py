"""The likelihood of rows of tokens: of a text, and of sentences about images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.models import Captioner, TokenDensity
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["CaptionLoss", "TokenLoss"]


@dataclass(frozen=True)
class TokenLoss:
    """The exact negative log likelihood of tokens given those before them, in nats; it reads `tokens` [N, T].

    Of a text longer than any row, each row is a window with `warm` tokens before it: these are read without
    gradients, to set the state, and the loss is that of the others. That is backpropagation through time, truncated
    at the window's beginning, which needs no state to be carried from step to step, nor to be saved.

    Attributes:
        warm: Tokens at the beginning of each row that are read and not counted.

    References:
        Williams and Peng 1990, an efficient gradient-based algorithm for on-line training of recurrent network
        trajectories (truncated backpropagation through time).
    """

    warm: int = 0
    turns: tuple[tuple[str, ...], ...] = (("density",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns all."""
        return {"density": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative log likelihood, of a counted token: a row's loss is its mean over these."""
        density, x = expect(model, TokenDensity, "TokenLoss"), batch["tokens"]
        states, before = density.states(len(x), None), None
        if self.warm:
            with torch.no_grad():
                states = density.continued(x[:, : self.warm], states)[1]
            before, x = x[:, self.warm - 1], x[:, self.warm :]
        logits, _ = density.continued(x, states, before=before)
        return {"density": -density.likelihood.log_probs(logits, x).sum() / x.shape[1]}


@dataclass(frozen=True)
class CaptionLoss:
    """The exact negative log likelihood of sentences given their images; it reads `image` in [0, 1] and `tokens`.

    Each word is predicted from the true words before it (teacher forcing).

    References:
        Vinyals, Toshev, Bengio and Erhan 2015, show and tell, equation 13; Williams and Zipser 1989 (teacher
        forcing).
    """

    turns: tuple[tuple[str, ...], ...] = (("captioner",),)

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns encoder and words."""
        return {"captioner": model.parameters()}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed negative log likelihood."""
        captioner = expect(model, Captioner, "CaptionLoss")
        return {"captioner": -captioner.log_prob(batch["tokens"], batch["image"]).sum()}
