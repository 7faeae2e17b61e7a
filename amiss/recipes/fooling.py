"""Presets that fool: what nonsense is a classifier certain about."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal

import torch

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Confidence
from amiss.optimizers import Ascent, Sign
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file
from amiss.spaces import Pixels
from amiss.task import Task

__all__ = ["classes", "fool_ascent", "fool_gradient"]

_DIGITS = 10  # of the number of a class


@enter("classes", "nguyen2015")
def fool_gradient(
    shape: Sequence[int],
    *,
    confidence: float = 0.99,
    step: float = 0.01,
    steps: int = 100,
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """From a grey image, by the sign of the gradient, to nonsense that the classifier is sure of.

    Run it over `classes(classifier)`: one sample a class.

    Args:
        shape: Shape (C, H, W) of an image.
        confidence: Softmax probability to reach.
        step: How far a pixel moves in one step.
        steps: Steps a class.
        seed: Of the probe.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled (gradient ascent).
    """
    space, constraint = Pixels(shape), on_file(Unconstrained(), levels)
    return Probe(space, Confidence(confidence), constraint, Sign(step), "met", Budget(steps), seed, batch)


@enter("classes", "nguyen2015", "yosinski2015")
def fool_ascent(
    shape: Sequence[int],
    *,
    confidence: float = 0.99,
    steps: int = 300,
    early: float = 0.03,
    late: float = 0.1,
    decay: float = 0.01,
    blur: float = 0.0,
    blur_every: int = 1,
    small_norm: float = 0.0,
    small_benefit: float = 0.0,
    until: Literal["met", "budget"] = "met",
    seed: int = 0,
    batch: int = 64,
    levels: int | None = 256,
) -> Probe:
    """From a gray image with a little noise, up the softmax probability, as the code of 2015 does it.

    Run it over `classes(classifier)`: one sample a class. `amiss.optimizers.Ascent` says what the options do; with
    decay 0.1 the images are paler and less sure, with 0 nothing holds them back.

    Args:
        shape: Shape (C, H, W) of an image.
        confidence: Softmax probability to reach.
        steps: Steps a class.
        early: Rise of the probability that a step aims at.
        late: And at most this share of what is missing to 1.
        decay: Share of the distance from gray that is taken back after each step.
        blur: Standard deviation of a blur in pixels; 0: none.
        blur_every: Steps between two blurs.
        small_norm: Share of the pixels that go back to gray because they are near it.
        small_benefit: Share of those that do because the probability hardly depends on them.
        until: "met" stops a class at its first success; "budget" goes on, for the surest image.
        seed: Of the probe, and of the noise.
        batch: Rows a pass.
        levels: Gray levels of a file; None leaves images unrounded.

    Raises:
        UsageError: A number outside its range.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 3.3; Yosinski, Clune,
        Nguyen, Fuchs and Lipson (2015), understanding neural networks through deep visualization, section 3.
    """
    climb = Ascent(
        early, late, decay=decay, blur=blur, blur_every=blur_every, small_norm=small_norm, small_benefit=small_benefit
    )
    constraint = on_file(Unconstrained(), levels)
    return Probe(Pixels(shape), Confidence(confidence), constraint, climb, until, Budget(steps), seed, batch)


def classes(classifier: Classifier, only: Sequence[int | str] | None = None) -> Task:
    """One sample a class, without images: what fooling probes run over.

    Args:
        classifier: Its labels must be known, by name or from a pass.
        only: The classes wanted, each once, by number or by name; all of them where left out. A word that is no name
            and is made of digits is a number.

    Raises:
        ContractError: The number of classes is not known yet.
        UsageError: A number or a name is none of a class, a name is that of two, or a class is named twice.
    """
    if only is None:
        if classifier.labels is None:
            raise ContractError(
                "The number of classes is not known yet.",
                slug="contract-classes",
                seen="a classifier without labels that has answered nothing so far",
                hint="Classifier(net, labels=[...]), or classifier.check(images, labels) first.",
            )
        only = range(len(classifier.labels))
    numbers = [_number(one, classifier.labels) for one in only]
    if twice := [c for c, many in Counter(numbers).items() if many > 1]:
        raise UsageError(
            f"Class {twice[0]} is named twice.",
            slug="class-twice",
            seen=f"only={list(only)[:8]}",
            needed="each class once",
            why="once by its name and once by its number" if len({*only}) == len(numbers) else "",
            hint="Leave one of them out.",
        )
    target = torch.tensor(numbers, dtype=torch.int64)
    return Task(key=target, target=target)


def _number(one: int | str, labels: Sequence[str] | None) -> int:
    """The number of a class that is told by name or number."""
    names = labels or ()
    if isinstance(one, str) and (found := [c for c, name in enumerate(names) if name == one]):
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} classes are called {one!r}.",
                slug="class-ambiguous",
                seen=repr(one),
                needed="a name that one class has, or a number",
                hint=f"Give its number: {' or '.join(map(str, found[:8]))}.",
            )
        return found[0]
    digits = isinstance(one, str) and one.isdecimal() and len(one) < _DIGITS
    number = int(one) if digits or not isinstance(one, str) else -1
    if number >= 0 and (labels is None or number < len(names)):
        return number
    near = get_close_matches(one, names, n=3) if isinstance(one, str) else []
    many = "numbers from 0" if labels is None else f"numbers from 0 to {len(names) - 1}"
    raise UsageError(
        f"There is no class {one!r}.",
        slug="class-unknown",
        seen=repr(one),
        needed=many if labels is None or not isinstance(one, str) else f"names out of the labels, or {many}",
        hint=f"Close names: {', '.join(near)}" if near else "Leave them out for all classes.",
    )
