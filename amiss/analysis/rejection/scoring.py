"""Scores of images by many rules, all that can from one pass."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import UsageError
from amiss.objectives import Accepted, Rule

__all__ = ["Scores", "score_images"]

Scores = dict[str, Tensor]
"""Scores [N], float64 on the CPU, by the name of the rule."""


@torch.no_grad()
def score_images(
    classifier: Classifier, rules: Sequence[Rule], images: Tensor, batch: int = 256
) -> tuple[Scores, Tensor]:
    """Score images by every rule.

    Args:
        classifier: Who is asked.
        rules: The rules; those of logits and features share one pass.
        images: [N, C, H, W] in [0, 1].
        batch: Images a pass.

    Returns:
        The scores by rule, and how sure the classifier is of its answer, the highest softmax probability [N].

    Raises:
        UsageError: Two rules of one name.
    """
    names = [rule.name for rule in rules]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(
            f"Two rules are called {twice[0]!r}.",
            slug="rejection-names",
            seen=", ".join(names),
            needed="a name of its own for each",
            hint="OwnRule(score, name='mine')",
        )
    shared = [rule for rule in rules if Accepted(rule, 0.0).one_pass]
    layers = tuple(dict.fromkeys(("answer", *(name for rule in shared for name in rule.layers))))
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    sure = []
    for some in images.split(batch):
        x = some.to(classifier.device)
        outputs = classifier.outputs(x, layers)
        for rule in rules:
            score = rule.of(outputs) if rule in shared else rule.score(classifier, x)
            parts[rule.name].append(score.double().cpu())
        sure.append(outputs["answer"].double().softmax(1).amax(1).cpu())
    nothing = torch.zeros(0, dtype=torch.float64)
    return {name: torch.cat([nothing, *part]) for name, part in parts.items()}, torch.cat([nothing, *sure])
