"""Nonsense of five kinds, made for one classifier and against no rule: what detectors are to reject."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.optimizers import Ascent, Sign
from amiss.optimizers.optimizer import Optimizer
from amiss.probe import Budget, Probe
from amiss.recipes import classes, fool_cppn, fool_direct, fool_gradient
from amiss.repro import fold, uniform
from amiss.task import Task, reaches

__all__ = ["KINDS", "make_nonsense"]

KINDS = ("uniform noise", "direct", "cppn", "gradient", "gradient + L2")
"""Kinds of nonsense: noise, evolved pixels, evolved graphs, gradient ascent, and ascent with decay."""

_NOISE = 500
_SPREAD = 0.1  # of the starts around gray, so that images of one class differ
_DECAY = 0.1  # among the paper's, which lie between 0 and .3


def make_nonsense(
    classifier: Classifier,
    shape: tuple[int, ...],
    *,
    kinds: Sequence[str] = KINDS,
    each: int = 5,
    confidence: float = 0.9999,
    generations: int = 200,
    children: int = 200,
    steps: int = 300,
    task: Task | None = None,
    seed: int = 0,
    batch: int = 100,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Tensor]:
    """Make nonsense of every kind that the classifier allows.

    Every best attempt is among them, those that fell short of the confidence too. The kinds that need a gradient
    are left out where there is none.

    Args:
        classifier: Who is asked.
        shape: Shape (C, H, W) of an image.
        kinds: Those wanted, out of `KINDS`.
        each: Images a class of each kind; of noise there are 500.
        confidence: Softmax probability to reach, the paper's mark. Ascent with decay seldom gets there.
        generations: Of an evolution, after the first.
        children: Images a generation.
        steps: Of gradient ascent.
        task: The classes wanted, one sample each, from `classes`; all of them where left out.
        seed: Of the searches and of the noise.
        batch: Images a pass.
        progress: Called with the kind before it is made.

    Raises:
        UsageError: A kind that is none.

    Returns:
        Images [n, C, H, W] by kind, out of `KINDS`, as files of 256 gray levels hold them.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, sections 2 and 3.3.
    """
    if strange := [kind for kind in kinds if kind not in KINDS]:
        raise UsageError(
            f"There is no nonsense of the kind {strange[0]!r}.",
            slug="nonsense-kind",
            seen=f"kinds={list(kinds)}",
            needed=f"kinds out of {', '.join(map(repr, KINDS))}",
            why="one name in place of several" if isinstance(kinds, str) else "",
            hint=f"kinds=({KINDS[1]!r}, {KINDS[2]!r}), or leave them out for all.",
        )
    wanted = classes(classifier) if task is None else task
    made: dict[str, Tensor] = {}

    def evolved(recipe: Callable[..., Probe]) -> Tensor:
        found = []
        for i in range(each):
            probe = recipe(
                shape, confidence=confidence, generations=generations, children=children,
                seed=seed * each + i, batch=batch,
            )  # fmt: skip
            found.append(probe.run(classifier, wanted).images)
        return torch.cat(found)

    def climbed(optimizer: Optimizer) -> Tensor:
        again = torch.arange(each * len(wanted))
        several = wanted.rows(again % len(wanted))
        several = replace(several, key=fold(several.key, again // len(wanted)))
        probe = fool_gradient(shape, confidence=confidence, seed=seed, batch=batch)
        return replace(probe, optimizer=optimizer, budget=Budget(steps)).run(classifier, several).images

    makers: dict[str, Callable[[], Tensor]] = {
        "uniform noise": lambda: (uniform(fold(torch.arange(_NOISE), seed), shape) * 255).round() / 255,
        "direct": lambda: evolved(fool_direct),
        "cppn": lambda: evolved(fool_cppn),
    }
    if reaches(classifier.gives, "grad"):
        makers["gradient"] = lambda: climbed(Sign(0.01, spread=_SPREAD))
        makers["gradient + L2"] = lambda: climbed(Ascent(decay=_DECAY, spread=_SPREAD))
    for kind, make in makers.items():
        if kind not in kinds:
            continue
        if progress is not None:
            progress(kind)
        made[kind] = make()
    return made
