"""Objectives about anything that answers per row: a captioner, a detector."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.objectives.objective import Objective, View
from amiss.task import Task

__all__ = ["Answerer", "Hides", "Says"]


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

    A model that writes a sentence in one way alone, in small letters say, offers `plain(sentence)`, and the sentence
    that is wanted may be written in any way that means the same.

    Args:
        sentence: The answer wanted.
    """

    def __init__(self, sentence: Any) -> None:
        self.sentence = sentence

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Log-probability of the sentence, and whether it is what the model says."""
        answerer = cast(Answerer, classifier)
        plain = getattr(classifier, "plain", None)
        wanted = self.sentence if plain is None else plain(self.sentence)
        with torch.no_grad():
            said = [answer == wanted for answer in answerer.answer(x.nan_to_num())]  # a NaN ends its own sample alone
        return {"log_p": answerer.log_prob(self.sentence, x), "said": torch.tensor(said, device=x.device)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """-log p; met where the model says it."""
        return -y["log_p"], y["said"]


class Hides(Objective):
    """The model does not name this class among what it finds; the log-probability that it is missing is the loss.

    The model, a detector say, answers with the names of what it finds in each image, and gives the log-probability
    of "not NAME". That goes on rising after the class is hidden, so the most certain success is kept.

    Args:
        name: The class to hide.
    """

    keeps = "lowest"

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Log-probability that the class is missing, and whether the model finds none of it."""
        answerer = cast(Answerer, classifier)
        with torch.no_grad():
            hidden = [self.name not in answer for answer in answerer.answer(x)]
        return {"log_p": answerer.log_prob(f"not {self.name}", x), "hidden": torch.tensor(hidden, device=x.device)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """-log p; met where the class is not found."""
        return -y["log_p"], y["hidden"]
