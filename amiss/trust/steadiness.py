"""Whether a classifier says the same of an image each time, and in every company."""

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.reading import Pace
from amiss.trust.flags import Flag, found, unmeasured
from amiss.trust.kinds import KINDS
from amiss.trust.measuring import SAMPLE, asked, grain, near

__all__ = ["SLUGS", "steadiness"]

SLUGS = ("randomness", "batch-dependence")
"""The flags that `steadiness` measures."""

_ALONE = 8  # images asked one by one
# How often the rounding of a network's numbers may show in its logits: asked again, and asked in another batch,
# where the sums are taken in another order.
_AGAIN, _ELSEWHERE = 4, 16


def steadiness(classifier: Classifier, x: Tensor, pace: Pace) -> list[Flag]:
    """Ask the same images three times, then a few of them alone, in a batch and among others.

    Where one of these fired, two passes cannot be compared. It costs 5 passes and 8 of one image.

    Args:
        classifier: Who is asked.
        x: Images [n, C, H, W] in [0, 1].
        pace: Images a pass.
    """
    random = _again(classifier, x, pace)
    if random.fired:
        return [random, unmeasured(SLUGS[1], "The answers differ from pass to pass, whatever the batch.")]
    return [random, _elsewhere(classifier, x, pace)]


def _again(classifier: Classifier, x: Tensor, pace: Pace) -> Flag:
    first, *again = [asked(classifier, x, pace) for _ in range(3)]
    apart = max(_apart(first, other) for other in again)
    changed = int(torch.stack([other.argmax(1) != first.argmax(1) for other in again]).any(0).sum())
    words = f"{apart:.2g} of the logits' spread between 3 passes over {len(x)} images; {changed} answers change"
    limit = max(KINDS["randomness"].limit, _AGAIN * _rounding(classifier, x, first))
    return found("randomness", apart > limit, apart, words)


def _elsewhere(classifier: Classifier, x: Tensor, pace: Pace) -> Flag:
    few = x[:_ALONE]
    alone = torch.cat([asked(classifier, row, pace) for row in few.split(1)])
    crowd = asked(classifier, x, pace)[: len(few)]
    other = asked(classifier, torch.cat([few, 1 - x])[:SAMPLE], pace)[: len(few)]
    if pace.rows == 1:
        return unmeasured("batch-dependence", "Only one image fits into a pass.")
    apart = max(_apart(alone, crowd), _apart(alone, other))
    words = f"{apart:.2g} of the logits' spread between {len(few)} images alone, in a batch and among other images"
    limit = max(KINDS["batch-dependence"].limit, _ELSEWHERE * _rounding(classifier, x, crowd))
    return found("batch-dependence", apart > limit, apart, words)


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest difference of two answers [N, m] to the same images, in units of their logits' spread."""
    a, b = near(a), near(b)  # a label alone comes as log-probabilities 0 and -inf
    rows = a.isfinite().all(1) & b.isfinite().all(1)  # another flag speaks of the rest
    if not bool(rows.any()):
        return 0.0
    return float((a - b)[rows].abs().max() / _spread(a[rows]))


def _spread(logits: Tensor) -> Tensor:
    """The median distance between the highest and the lowest logit of an image."""
    return (logits.amax(1) - logits.amin(1)).median().clamp_min(torch.finfo(logits.dtype).tiny)


def _rounding(classifier: Classifier, x: Tensor, logits: Tensor) -> float:
    """The relative precision of the network's numbers, in units of the spread where the logits are larger than it."""
    high = near(logits)
    high = high[high.isfinite().all(1)]
    share = float(high.amax(1).abs().median() / _spread(high)) if len(high) else 1.0
    return grain(classifier, x) * max(1.0, share)
