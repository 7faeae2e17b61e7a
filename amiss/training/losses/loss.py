"""What every loss is: a number for each player, and the parameters that each player owns."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from torch import Tensor, nn

from amiss.errors import ContractError
from amiss.training.batches import Batch

__all__ = ["TrainingLoss", "expect"]

M = TypeVar("M")


class TrainingLoss(Protocol):
    """A game of one or more players; a likelihood has one, a GAN two.

    A loss is the sum over the batch's rows; the trainer alone divides it by their number. Make it a frozen
    dataclass: its `repr` is part of what a resumed run must agree on.
    """

    @property
    def turns(self) -> tuple[tuple[str, ...], ...]:
        """Who moves when, in one step: players in one tuple move at once, later tuples see the move."""
        ...

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """The parameters that each player owns; a player's loss moves no others."""
        ...

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """A scalar for each player of the turn, summed over rows, in float32."""
        ...


def expect(model: nn.Module, kind: type[M], loss: str) -> M:
    """The model, where it is of the kind that a loss is for.

    Args:
        model: What is trained.
        kind: The class that the loss needs.
        loss: Name of the loss, for the error.

    Raises:
        ContractError: The model is of another kind.
    """
    if not isinstance(model, kind):
        raise ContractError(
            f"{loss} is no loss for this model.",
            slug="loss-model",
            seen=f"a {type(model).__name__}",
            needed=f"a {kind.__name__}",
            hint="Take the loss of the model's preset.",
        )
    return model
