"""Where a gradient search gave up: whether a grid over the plane of codes holds the answer, or nothing does."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.constraints import LatentNorm, Quantized
from amiss.objectives import Become
from amiss.optimizers import Grid
from amiss.probe import Budget, Probe
from amiss.result import Outcome, Result
from amiss.scope import untouched
from amiss.spaces import Latent
from amiss.spaces.latent import Codec

__all__ = ["Reach", "tell_apart"]


@dataclass(frozen=True)
class Reach:
    """What a grid says of a result.

    Attributes:
        result: The same attempts; those whose budget was spent are stuck or unreachable now.
        node: For those that are stuck, the code [n, 2] of the smallest change on the grid that holds the answer; NaN
            for all others.
        plain: For those that are unreachable, whether the plain image g(z) of some node is called the wanted class
            [n]; false for all others.
    """

    result: Result
    node: Tensor
    plain: Tensor


def tell_apart(
    result: Result,
    classifier: Classifier,
    decoder: Codec,
    n: int = 11,
    reach: float = 3.0,
    *,
    margin: float = 0.5,
    residual: bool = True,
    levels: int | None = 256,
    batch: int = 64,
) -> Reach:
    """Tell what the gradient missed from what is not there, for a decoder with a code of two numbers.

    An outcome "exhausted" becomes "stuck" where a node of the grid holds the answer: the search was in a local
    minimum. It becomes "unreachable" where none does.

    Args:
        result: Of a gradient search over the decoder's codes; its task has the targets.
        classifier: Who was asked.
        decoder: Whose codes were searched.
        n: Nodes along each side.
        reach: The grid covers [-reach, reach] in both numbers.
        margin: How far the target's logit must be ahead, as in the search.
        residual: Whether the change was added to the image, as in the search.
        levels: Gray levels of a file, as in the search; None for unrounded images.
        batch: Images a pass.

    Raises:
        ContractError: The code is not one of two numbers, or the task has no targets.
    """
    spent = torch.tensor([outcome.status == "exhausted" for outcome in result.outcomes], dtype=torch.bool)
    node, plain = torch.full((len(result), 2), torch.nan), torch.zeros(len(result), dtype=torch.bool)
    rows = spent.nonzero().flatten()
    if not len(rows):
        return Reach(result, node, plain)
    constraint = LatentNorm() if levels is None else LatentNorm() & Quantized(levels)
    grid = Grid(n, reach)
    probe = Probe(
        Latent(decoder, residual), Become(margin=margin), constraint, grid, "budget", Budget(1), batch=batch
    )
    task = result.task.rows(rows.to(result.task.key.device))
    found = probe.run(classifier, task)
    assert isinstance(found.p, Tensor)  # noqa: S101 - changes of codes
    outcomes = list(result.outcomes)
    codes = found.p + probe.prepare(classifier, task).extra["z"]
    called = _called(classifier, decoder, codes, Grid(n, reach), batch)
    assert task.target is not None  # noqa: S101 - the probe has refused a task without
    for k, i in enumerate(rows.tolist()):
        if found.outcomes[k].met:
            node[i] = codes[k]
            outcomes[i] = _stuck(outcomes[i], codes[k], n)
        else:
            plain[i] = int(task.target[k]) in called
            outcomes[i] = replace(outcomes[i], status="unreachable", reason=found.outcomes[k].reason)
    return Reach(replace(result, outcomes=tuple(outcomes)), node, plain)


def _stuck(outcome: Outcome, code: Tensor, n: int) -> Outcome:
    where = ", ".join(f"{float(value):.2g}" for value in code)
    reason = f"In a local minimum: the node ({where}) of a {n} x {n} grid holds the answer."
    return replace(outcome, status="stuck", reason=reason)


def _called(classifier: Classifier, decoder: Codec, like: Tensor, grid: Grid, batch: int) -> set[int]:
    """The classes that the classifier calls the plain images of the nodes."""
    with torch.no_grad(), untouched(decoder):
        parts = [classifier.predict(decoder.decode(z).clamp(0, 1)) for z in grid.nodes(like).split(batch)]
    return set(torch.cat(parts).tolist())
