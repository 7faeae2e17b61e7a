"""What every defense is: settings that harden a classifier, round by round, and a row of figures for each round."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend.detectors import Detector
from amiss.defend.nonsense import Archive
from amiss.training import Batch, ClassifierLoss

__all__ = ["Defense", "FineTuning", "Hardened", "Row"]

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


class Defense(Protocol):
    """A way to harden a classifier. Make it a frozen dataclass: its `repr` is what a resumed run must agree on."""

    def harden(
        self,
        classifier: Classifier,
        train: Images,
        test: Images,
        out: Path,
        *,
        about: Mapping[str, Any] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        on_row: Callable[[list[Row]], None] | None = None,
    ) -> Hardened:
        """Harden a classifier, or go on where an earlier run in the folder was stopped, to the same weights.

        Args:
            classifier: A network with gradients; it is not changed.
            train: What it may learn from, labeled.
            test: What it is measured by, labeled; none of these are learned from.
            out: Folder of the run.
            about: What `run.json` shall say of the run beside what makes it the same run.
            progress: Told (what, done, total).
            stop: Asked now and then; where it says so the run is kept and ends by `Interrupted`.
            on_row: Told all rows so far after each round.
        """
        ...


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
