"""What is known of a preset beside its nouns, and what presets share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from amiss.constraints import Constraint, Quantized
from amiss.errors import UsageError
from amiss.objectives import Avoid, Become, Confidence, Objective
from amiss.probe import Probe

__all__ = ["RECIPES", "Recipe", "enter", "on_file", "wanted"]

Over = Literal["images", "mistakes", "classes", "pairs"]
Make = TypeVar("Make", bound=Callable[..., Probe])


@dataclass(frozen=True)
class Recipe:
    """A preset, and what is known of it.

    Attributes:
        make: The function that makes the probe.
        over: What it runs over as a rule: all images, the classifier's mistakes (each wanting its true label),
            one sample a class, or pairs of images (a source, and a guide of another class).
        cite: Keys of the papers in `amiss.citations`.
    """

    make: Callable[..., Probe]
    over: Over
    cite: tuple[str, ...]


RECIPES: dict[str, Recipe] = {}
"""Every preset by name."""


def enter(over: Over, *cite: str) -> Callable[[Make], Make]:
    """Enter a preset under its function's name.

    Args:
        over: What it runs over as a rule.
        cite: Keys of its papers.
    """

    def entered(make: Make) -> Make:
        RECIPES[make.__name__] = Recipe(make, over, cite)
        return make

    return entered


def wanted(target: int | str | None, margin: float, confidence: float | None = None) -> Objective:
    """The objective about labels: a class, the samples' own targets ("task"), or anything but the true label.

    Args:
        target: The class, "task" or None.
        margin: How far it must be ahead.
        confidence: Softmax probability that the class must reach instead.

    Raises:
        UsageError: A confidence without a class.
    """
    own = None if target == "task" else target
    if confidence is not None:
        if target is None:
            raise UsageError(
                "A confidence is that of a class, and none is named.",
                slug="recipe-confidence",
                seen=f"confidence={confidence}, target=None",
                needed="a target: a class by name or number, or 'task' for each sample's own",
                hint="label_opt(target='iguana', confidence=0.99)",
            )
        return Confidence(confidence, own, hinge=True)
    return Avoid(margin) if target is None else Become(own, margin)


def on_file(constraint: Constraint, levels: int | None) -> Constraint:
    """The constraint on what a file can hold; inside a ball the rounding must not leave it."""
    bound = getattr(constraint, "eps", None) is not None
    return constraint if levels is None else constraint & Quantized(levels, inward=bound)
