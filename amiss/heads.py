"""One head of a network with many: which column of its logits is read, and what its two classes are called."""

import difflib
from collections.abc import Sequence

from torch import Tensor

from amiss.errors import ModelError

__all__ = ["column", "odds"]


def column(head: int | str, labels: Sequence[str] | None) -> int:
    """The number of a head that is given by number or by name.

    Args:
        head: Counted from 0, or one of the labels.
        labels: Names of the network's heads, where they are known.

    Raises:
        ModelError: There is no such head.
    """
    if isinstance(head, int) and head >= 0 and (labels is None or head < len(labels)):
        return int(head)
    if isinstance(head, str) and labels is not None and head in labels:
        return list(labels).index(head)
    hint = "Count heads from 0." if labels is None else f"Count heads from 0 to {len(labels) - 1}."
    if isinstance(head, str):
        near = difflib.get_close_matches(head, labels or (), n=3) or (labels or ())[:3]
        hint = f"Close names: {', '.join(near)}." if near else "Give its number, or one label for each head."
    raise ModelError(
        f"There is no head {head!r}.",
        slug="model-head",
        seen="no names of heads" if labels is None else f"{len(labels)} heads",
        needed="the number of a head, or its name where the labels are given",
        hint=hint,
    )


def odds(logits: Tensor, head: int, labels: Sequence[str] | None) -> Tensor:
    """One column [N] of sigmoid logits [N, m]: the log-odds of that attribute.

    Args:
        logits: What the network answered.
        head: The column.
        labels: Names of all m heads, where they are known.

    Raises:
        ModelError: There are other columns than that.
    """
    wide = logits.shape[1] if logits.ndim == 2 else 0
    if head >= wide or (labels is not None and len(labels) != wide):
        raise ModelError(
            "The network has other heads than was said.",
            slug="model-head",
            seen=f"an output of shape {tuple(logits.shape)}",
            needed=f"[N, {len(labels)}]" if labels is not None else f"[N, {head + 1}] or wider",
            why="labels of another network, or heads counted from 1",
            hint="Count heads from 0, and give one label for each.",
        )
    return logits[:, head]
