"""An image that a rejection rule lets pass: the rule's score reaches a threshold."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import AmissError, ModelError, UsageError
from amiss.objectives.objective import Objective, View
from amiss.task import Level, Task

__all__ = ["Accepted", "OwnRule", "Rule"]

_IN_TORCH = "Return a tensor that torch computed from the images, or leave gives='jacobian' out."


class Rule:
    """A score of images, the higher the more natural, by which a system rejects what it is shown.

    A rule that is computed from one pass of the classifier says so by `layers` and `of`, and shares the pass with
    other objectives. Any other rule has a `score` of its own.

    Attributes:
        name: What it is called in tables.
        layers: What the pass must bring: names of layers, "answer" for the logits.
        looks: Images that one score shows the classifier.
        backward: Backward passes that one score takes.
        gives: Whether a gradient leads through it ("jacobian") or not ("loss").
    """

    name: str = "rule"
    layers: tuple[str, ...] = ("answer",)
    looks: int = 1
    backward: int = 0
    gives: Level = "jacobian"

    def of(self, outputs: View) -> Tensor:
        """Scores [N] from what a pass brought, [N, ...] by layer."""
        raise NotImplementedError

    def score(self, classifier: Classifier, x: Tensor) -> Tensor:
        """Scores [N] of images [N, C, H, W] in [0, 1]."""
        return self.of(classifier.outputs(x, self.layers))


class OwnRule(Rule):
    """A rule of one's own: any function of images.

    Args:
        function: Images [N, C, H, W] in [0, 1] to scores [N], the higher the more natural.
        name: What it is called in tables.
        looks: Images that one score shows the classifier, where it asks the same one.
        gives: "jacobian" where torch finds a gradient through it.
    """

    def __init__(
        self, function: Callable[[Tensor], Any], name: str = "own", looks: int = 0, gives: Level = "loss"
    ) -> None:
        self.function, self.name, self.looks, self.gives = function, name, looks, gives

    def score(self, classifier: Classifier, x: Tensor) -> Tensor:
        """Scores [N], float64.

        Raises:
            ModelError: The function raises, gives no number an image, or no gradient where one was promised.
        """
        try:
            found = torch.as_tensor(self.function(x))
        except (torch.OutOfMemoryError, AmissError):
            raise
        except Exception as error:
            seen = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200] or '(no message)'}"
            raise self._refused(x, seen, _IN_TORCH if "numpy" in seen else "") from error
        if found.shape == (len(x), 1):
            found = found[:, 0]
        if found.shape != (len(x),):
            raise self._refused(x, f"numbers of shape {tuple(found.shape)} for {len(x)} images")
        promised = self.gives == "jacobian" and x.requires_grad and torch.is_grad_enabled()
        if promised and not found.requires_grad:
            raise self._refused(x, "scores that no gradient leads to, of a rule that gives='jacobian'", _IN_TORCH)
        return found.to(device=x.device, dtype=torch.float64)

    def _refused(self, x: Tensor, seen: str, hint: str = "") -> ModelError:
        return ModelError(
            f"The rule {self.name!r} gives no score for each image.",
            slug="rule-score",
            seen=seen,
            needed=f"one number for each of {len(x)} images [N, C, H, W] in [0, 1]",
            why="it leaves torch for NumPy"
            if hint
            else "a function of other images, or one that reduces over the batch",
            hint=hint or "Call it on such a tensor by hand: score(torch.rand(2, 1, 28, 28)) must have shape [2].",
        )


class Accepted(Objective):
    """The score of a rule reaches its threshold: a system that rejects by it lets the image pass.

    The loss is log(1 + s), s being what the score lacks, in units of the natural scores' spread: 0 exactly where
    accepted. Added to `Confidence`, whose loss is in nats, it finds nonsense that is both sure and let pass; the
    logarithm keeps a score that is far off from drowning the other.

    Args:
        rule: The rule.
        threshold: The least score that is let pass.
        spread: How far natural scores lie from each other, above 0.

    Raises:
        UsageError: A threshold that is not finite, or a spread that is not above 0 and finite.

    References:
        Carlini and Wagner (2017), adversarial examples are not easily detected, section 3 (attacks that know the
        detector, by a sum of two losses).
    """

    def __init__(self, rule: Rule, threshold: float, spread: float = 1.0) -> None:
        if not (isfinite(threshold) and isfinite(spread) and spread > 0):
            raise UsageError(
                "A rule accepts from a threshold on, in units of a spread.",
                slug="rule-threshold",
                seen=f"threshold={threshold}, spread={spread}",
                needed="a finite number, and a finite spread above 0",
                hint="Accepted(rule, threshold, spread), both measured on natural images.",
            )
        self.rule, self.threshold, self.spread = rule, threshold, spread
        self.layers, self.looks = rule.layers, rule.looks

    @property
    def one_pass(self) -> bool:
        """Whether the rule needs no more than a pass, which a sum can share."""
        return type(self.rule).score is Rule.score

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """The rule's scores [R]."""
        return {"score": self.rule.score(classifier, x)}

    def view(self, outputs: View) -> View:
        """The rule's scores [R], from a pass that was shared."""
        return {"score": self.rule.of(outputs)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """log(1 + what the score lacks, in spreads); met where it lacks nothing."""
        slack = self.slack(y, task)
        return (-slack).clamp_min(0).log1p(), slack >= 0

    def slack(self, y: View, task: Task) -> Tensor:
        """How far the score is above the threshold [R], in spreads."""
        return (y["score"] - self.threshold) / self.spread

    def __repr__(self) -> str:
        return f"Accepted({self.rule.name!r}, threshold={self.threshold!r}, spread={self.spread!r})"
