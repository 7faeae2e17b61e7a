"""Presets that fool: what nonsense is a classifier certain about."""

from collections.abc import Sequence

import torch

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.errors import ContractError, UsageError
from amiss.objectives import Confidence
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.recipes.recipe import enter, on_file
from amiss.spaces import Pixels
from amiss.task import Task

__all__ = ["classes", "fool_gradient"]


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


def classes(classifier: Classifier, only: Sequence[int] | None = None) -> Task:
    """One sample a class, without images: what fooling probes run over.

    Args:
        classifier: Its labels must be known, by name or from a pass.
        only: The classes wanted, by number; all of them where left out.

    Raises:
        ContractError: The number of classes is not known yet.
        UsageError: A number is none of a class.
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
    n = None if classifier.labels is None else len(classifier.labels)
    if outside := [c for c in only if c < 0 or (n is not None and c >= n)]:
        raise UsageError(
            f"There is no class {outside[0]}.",
            slug="class-unknown",
            seen=f"only={list(only)[:8]}",
            needed="numbers from 0" if n is None else f"numbers from 0 to {n - 1}",
            hint="Give numbers of classes, or leave them out for all.",
        )
    target = torch.tensor(list(only), dtype=torch.int64)
    return Task(key=target, target=target)
