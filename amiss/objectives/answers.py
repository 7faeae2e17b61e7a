"""Objectives about anything that answers per row: a captioner, a detector."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.objectives.objective import Objective, View
from amiss.task import Task

__all__ = ["Answerer", "Says"]


class Answerer(Protocol):
    """A model wrapped so that it can be probed."""

    def log_prob(self, answer: Any, x: Tensor) -> Tensor:
        """Log-probability [N], in nats, of one answer for each image."""
        ...

    def answer(self, x: Tensor) -> Sequence[Any]:
        """Its answers, N of them."""
        ...


class Says(Objective):
    """The model gives this very answer; its log-probability is the loss.

    Args:
        sentence: The answer wanted.
    """

    def __init__(self, sentence: Any) -> None:
        self.sentence = sentence

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Log-probability of the sentence, and whether it is what the model says."""
        answerer = cast(Answerer, classifier)
        with torch.no_grad():
            said = [answer == self.sentence for answer in answerer.answer(x)]
        return {"log_p": answerer.log_prob(self.sentence, x), "said": torch.tensor(said, device=x.device)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """-log p; met where the model says it."""
        return -y["log_p"], y["said"]
