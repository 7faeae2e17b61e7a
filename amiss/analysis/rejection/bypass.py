"""The adaptive attack: the most convincing nonsense that a rule lets pass, evolved or along a gradient."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.objectives import Accepted, Confidence, Rule
from amiss.optimizers import Momentum
from amiss.probe import Probe
from amiss.recipes import classes, fool_cppn, fool_direct, fool_gradient
from amiss.task import Task

__all__ = ["EVOLVING", "SEARCHES", "Bypass", "Search", "bypass", "evaluations_each", "require_searches"]

Search = Literal["cppn", "direct", "gradient"]

# Of acceptance beside confidence. Graphs stall at sure images that are not let pass; pixels and gradients, if it is
# more than 1, at images let pass of another class.
_WEIGHT: dict[str, float] = {"cppn": 2.0, "direct": 1.0, "gradient": 1.0}
_STEP = 0.02  # of a gradient search, by momentum: plain signs swing about the boundary of one or the other

SEARCHES: tuple[Search, ...] = get_args(Search)
"""How nonsense is searched for: by evolving graphs or pixels, from scores alone, or along a gradient."""

EVOLVING: tuple[Search, ...] = ("cppn", "direct")
"""The searches that evolve and ask for scores alone."""


@dataclass(frozen=True, eq=False)
class Bypass:
    """What one search found against one rule.

    Attributes:
        detector: Name of the rule.
        search: One of `SEARCHES`.
        images: Each class's best attempt [classes, C, H, W], as a file holds it.
        met: Whether it is let pass and the classifier as sure as was wanted, for each class.
        evaluations: What each class had cost when it first was met; None where it was not. In evolution classes are
            searched for together, and a class's cost is that of all children up to then.
        spent: Evaluations of the whole search. A pass is one, a gradient with its pass three.
    """

    detector: str
    search: Search
    images: Tensor
    met: tuple[bool, ...]
    evaluations: tuple[int | None, ...]
    spent: int


def bypass(
    classifier: Classifier,
    accepted: Accepted,
    shape: tuple[int, ...],
    search: Search = "cppn",
    *,
    confidence: float = 0.99,
    generations: int = 200,
    children: int = 200,
    steps: int = 300,
    task: Task | None = None,
    seed: int = 0,
    batch: int = 100,
) -> Bypass:
    """Search, for each class, for an image that the rule lets pass and that the classifier is sure of.

    Images are judged as a file of 256 gray levels holds them.

    Args:
        classifier: Who is asked.
        accepted: The rule with its threshold.
        shape: Shape (C, H, W) of an image.
        search: "cppn" and "direct" evolve by `fool_cppn` and `fool_direct`; "gradient" steps from gray by momentum.
        confidence: Softmax probability to reach.
        generations: Of an evolution, after the first.
        children: Images a generation.
        steps: Of a gradient search.
        task: The classes wanted, one sample each, from `classes`; all of them where left out.
        seed: Of the search.
        batch: Images a pass.

    Raises:
        UsageError: A search that is none, or one along a gradient that the rule does not have.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 2; Carlini and Wagner
        (2017), adversarial examples are not easily detected, section 3.
    """
    require_searches([search])
    rule = accepted.rule
    probe = _probe(shape, search, confidence, generations, children, steps, seed, batch)
    if search == "gradient" and rule.gives != "jacobian":
        raise UsageError(
            f"No gradient leads through the rule {rule.name!r}.",
            slug="rule-gradient",
            seen=f"search='gradient', a rule that gives {rule.gives!r}",
            needed="a rule that torch can differentiate, or a search by scores alone",
            hint="bypass(..., search='cppn'), or OwnRule(score, gives='jacobian') where it is one.",
        )
    probe = replace(probe, objective=Confidence(confidence) + _WEIGHT[search] * accepted)
    result = probe.run(classifier, classes(classifier) if task is None else task)
    each = evaluations_each(rule, search)
    rows = 1 if search == "gradient" else children
    first = tuple((o.first + 1) * rows * each if o.met else None for o in result.outcomes)
    together = [o.queries for o in result.outcomes]
    shown = sum(together) if search == "gradient" else max(together)
    spent = shown // probe.objective.looks * each
    return Bypass(rule.name, search, result.images, tuple(result.met.tolist()), first, spent)


def evaluations_each(rule: Rule, search: Search) -> int:
    """Evaluations that one image costs: the pass for the confidence, which a rule of one pass shares, and the rule's.

    Args:
        rule: The rule.
        search: One of `SEARCHES`: along a gradient every pass costs three.
    """
    looks = (Confidence() + Accepted(rule, 0.0)).looks
    return 3 * looks if search == "gradient" else looks + 2 * rule.backward


def require_searches(searches: Sequence[str]) -> None:
    """Refuse names that are none of a search.

    Raises:
        UsageError: There is one.
    """
    if strange := [name for name in searches if name not in SEARCHES]:
        raise UsageError(
            f"There is no search {strange[0]!r}.",
            slug="rejection-search",
            seen=f"search={strange[0]!r}",
            needed=" or ".join(map(repr, SEARCHES)),
            hint="Take 'cppn': it asks for scores alone.",
        )


def _probe(
    shape: tuple[int, ...],
    search: Search,
    confidence: float,
    generations: int,
    children: int,
    steps: int,
    seed: int,
    batch: int,
) -> Probe:
    if search == "cppn":
        return fool_cppn(
            shape, confidence=confidence, generations=generations, children=children, seed=seed, batch=batch
        )
    if search == "direct":
        return fool_direct(
            shape, confidence=confidence, generations=generations, children=children, seed=seed, batch=batch
        )
    probe = fool_gradient(shape, confidence=confidence, steps=steps, seed=seed, batch=batch)
    return replace(probe, optimizer=Momentum(_STEP))
