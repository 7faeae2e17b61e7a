"""Whether the gradient that attacks climb is there, is finite, is not zero, and says where the answer goes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ModelError
from amiss.foreign import gradient
from amiss.reading import Pace
from amiss.trust.flags import Flag, found, unmeasured
from amiss.trust.kinds import KINDS
from amiss.trust.measuring import asked, grain, near

__all__ = ["SLUGS", "gradients"]

SLUGS = ("gradient-missing", "gradient-not-finite", "gradient-zero", "gradient-masked")
"""The flags that `gradients` measures."""

_LEVEL = 1 / 255  # of gray: what holds within a small part of one only is of no use in a file
_LENGTHS = (0.5, 1, 2)  # of the steps
_COARSE = 8  # a step is at least so many times what the network's precision tells apart
_LOUD = 16  # and the change that it promises so many times the rounding of the logits
_PROMISE = 0.01  # of the logits' spread


@dataclass(frozen=True)
class _Slopes:
    """The margin of the highest logit over the second, for n images.

    Attributes:
        pair: The two classes [n, 2].
        margin: The difference of their logits [n].
        spread: Highest less lowest logit [n], of those that are not hopelessly far behind.
        size: The larger of the two logits, absolute [n].
        slope: The margin's gradient [n, C, H, W].
    """

    pair: Tensor
    margin: Tensor
    spread: Tensor
    size: Tensor
    slope: Tensor


def gradients(classifier: Classifier, x: Tensor, pace: Pace, unclear: Sequence[str] = ()) -> list[Flag]:
    """Measure the gradient of the margin by one pass with its backward, and six passes along it.

    Args:
        classifier: Who is asked.
        x: Images [n, C, H, W] in [0, 1].
        pace: Images a pass.
        unclear: Slugs of flags that fired, after which a difference of two passes tells nothing.

    References:
        Athalye, Carlini and Wagner (2018), obfuscated gradients give a false sense of security, section 3.
    """
    if classifier.gives not in ("grad", "jacobian"):
        why = f"The classifier was declared to give no gradients: gives={classifier.gives!r}."
        return _without(classifier, x, pace, unmeasured("gradient-missing", why))
    try:
        read = _read(classifier, x, pace)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        # If the same pass fails without gradients too, this raises, and nothing is said of gradients.
        return _without(classifier, x, pace, found("gradient-missing", True, None, _said(error, len(x))))
    n, slope = len(x), read.slope.flatten(1)
    whole = slope.isfinite().all(1) & read.margin.isfinite()
    flat = whole & (slope.abs().sum(1) < _PROMISE * read.spread.clamp_min(torch.finfo(x.dtype).tiny))
    bad, zero = int((~whole).sum()), int(flat.sum())
    return [
        found("gradient-missing", False, None, f"a gradient reaches {n} images"),
        found("gradient-not-finite", bad > 0, bad / n, f"{bad} of {n} images"),
        found("gradient-zero", zero / n > KINDS["gradient-zero"].limit, zero / n, f"{zero} of {n} images"),
        _masked(classifier, x, read, whole & ~flat, pace, unclear),
    ]


def _read(classifier: Classifier, x: Tensor, pace: Pace) -> _Slopes:
    def look(rows: Tensor) -> tuple[Tensor, ...]:
        part = x[rows].to(classifier.device).requires_grad_()
        with torch.enable_grad():
            logits = classifier.outputs(part)["answer"]
            pair = logits.topk(2).indices
            margin = _margin(logits, pair)
            slope = gradient(margin, part)
        spread, size = logits.amax(1) - near(logits).amin(1), logits.gather(1, pair).abs().amax(1)
        return tuple(value.detach().cpu() for value in (pair, margin, spread, size, slope))

    parts = pace.over(torch.arange(len(x)), look)
    return _Slopes(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _margin(logits: Tensor, pair: Tensor) -> Tensor:
    own, other = logits.gather(1, pair).unbind(1)
    return own - other


def _said(error: Exception, n: int) -> str:
    """Why no gradient reaches n images, in words."""
    known = isinstance(error, ModelError) and error.slug == "model-no-gradient"
    said = error.seen if known and isinstance(error, ModelError) else str(error).partition("\n")[0]
    return f"none reaches {n} images: {said[:200]}"


def _without(classifier: Classifier, x: Tensor, pace: Pace, missing: Flag) -> list[Flag]:
    """The flags where there is no gradient: the answers alone can be looked at."""
    finite = unmeasured("gradient-not-finite", "The classifier tells its label alone.")
    if classifier.gives != "met":
        bad = int((~asked(classifier, x, pace).isfinite().all(1)).sum())
        finite = found("gradient-not-finite", bad > 0, bad / len(x), f"the answers to {bad} of {len(x)} images")
    rest = [unmeasured(slug, "There is no gradient.") for slug in ("gradient-zero", "gradient-masked")]
    return [missing, finite, *rest]


def _masked(
    classifier: Classifier, x: Tensor, read: _Slopes, rows: Tensor, pace: Pace, unclear: Sequence[str]
) -> Flag:
    """Go both ways along the gradient, inside [0, 1], and compare what the margin does with what was promised."""
    if unclear:
        why = " and ".join(unclear)
        return unmeasured("gradient-masked", f"Two passes cannot be compared: {why} fired.")
    if not bool(rows.any()):
        return unmeasured("gradient-masked", "No image has a gradient to follow.")
    x, pair, slope = x[rows], read.pair[rows], read.slope[rows].double()
    way = slope / slope.flatten(1).abs().amax(1)[:, None, None, None]
    fine = grain(classifier, x)
    rounding = _LOUD * fine * read.size[rows].double()
    agreeing, telling = (torch.zeros(len(x), dtype=torch.bool) for _ in range(2))
    for length in _LENGTHS:
        reach = length * max(_LEVEL, _COARSE * fine) * way
        there, back = ((x + sign * reach).clamp(0, 1).to(x.dtype) for sign in (1, -1))
        promised = (slope * (there.double() - back.double())).flatten(1).sum(1)
        change = _margin(asked(classifier, there, pace), pair) - _margin(asked(classifier, back, pace), pair)
        heard = (promised > rounding) & change.isfinite()
        share = change / promised
        telling |= heard
        agreeing |= heard & (share >= 0.5) & (share <= 2)
    heard_of = int(telling.sum())
    if not heard_of:
        return unmeasured("gradient-masked", "What the gradients promise is lost in the network's rounding.")
    against = heard_of - int(agreeing.sum())
    words = f"{against} of {heard_of} images go otherwise than their gradient says"
    return found("gradient-masked", against / heard_of > KINDS["gradient-masked"].limit, against / heard_of, words)
