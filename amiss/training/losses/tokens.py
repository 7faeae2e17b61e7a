"""The likelihood of rows of tokens, whole or of a window with something before it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.models import TokenDensity
from amiss.training.batches import Batch
from amiss.training.losses.loss import expect

__all__ = ["TokenLoss"]


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
