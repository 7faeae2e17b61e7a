"""What a defense leaves, and the loss by which some layers of a network go on learning."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.defend.detectors import Detector
from amiss.defend.nonsense import Archive
from amiss.training import Batch, ClassifierLoss

__all__ = ["FineTuning", "Hardened", "Row"]

Row: TypeAlias = dict[str, float | None]
"""Figures of one round by name, in the order of a table's columns; None where a figure was not reached."""


@dataclass(frozen=True)
class Hardened:
    """What a defense leaves.

    Attributes:
        classifier: The hardened one; the one that was given is as it was.
        rows: A row for each round; the first is of the classifier that was given.
        sentence: What came of it, in plain words.
        figures: The same as numbers.
        champions: For each row some of what evolved at length against its network, of the same classes each time;
            none of a defense that nonsense has no part in.
        detector: What stands beside the network and rejects images, where the defense is one.
    """

    classifier: Classifier
    rows: tuple[Row, ...]
    sentence: str
    figures: dict[str, float]
    champions: tuple[Archive, ...] = ()
    detector: Detector | None = None


@dataclass(frozen=True)
class FineTuning(ClassifierLoss):
    """Cross-entropy by which some layers of a network learn, while all others stay as they are.

    Attributes:
        layers: Names of the modules that learn, with all that they hold; empty: the whole network. The others are in
            evaluation mode, so that their batch norms stay too.
    """

    layers: tuple[str, ...] = ()

    def players(self, model: nn.Module) -> Mapping[str, Iterable[nn.Parameter]]:
        """One player, who owns those layers."""
        if not self.layers:
            return super().players(model)
        return {"classifier": [p for name, p in model.named_parameters() if self._learns(name)]}

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The summed cross-entropy."""
        self.hold(model)
        return super().losses(model, batch, turn)

    def hold(self, model: nn.Module) -> None:
        """Put all layers that do not learn into evaluation mode."""
        if self.layers:
            for name, module in model.named_modules():
                module.training = self._learns(name)

    def _learns(self, name: str) -> bool:
        return any(f"{name}.".startswith(f"{layer}.") for layer in self.layers)
