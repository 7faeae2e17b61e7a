"""Ranges that transforms draw from: checked once, when a transform is made."""

from math import inf, isfinite

from torch import Tensor

from amiss.errors import UsageError

__all__ = ["Range", "check_range", "within"]

Range = tuple[float, float]
"""Lowest and highest value; equal ones fix it."""


def check_range(owner: object, name: str, low: float = -inf, high: float = inf) -> None:
    """Refuse a range that is no range, or leaves [low, high].

    Args:
        owner: The transform.
        name: Of its attribute.
        low: Least value that can mean anything.
        high: Greatest value that can mean anything.

    Raises:
        UsageError: It does.
    """
    value = getattr(owner, name)
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) == 2 and all(isfinite(v) for v in pair) and low <= pair[0] <= pair[1] <= high:
        return
    kind = type(owner).__name__
    lowest, highest = max(low, -1e9), min(high, 1e9)
    raise UsageError(
        f"{kind} cannot draw its {name} from this range.",
        slug="transform-range",
        seen=f"{name}={value!r}",
        needed=f"lowest and highest value, in this order, in [{low:g}, {high:g}]",
        hint=f"{kind}({name}=({lowest if lowest > -1e9 else 0:g}, {highest if highest < 1e9 else 1:g}))",
    )


def within(bounds: Range, share: Tensor) -> Tensor:
    """The value at a share in [0, 1] of the way from the lowest to the highest; exact where they are equal."""
    low, high = bounds
    return low + (high - low) * share
