"""The interval of a share: what k of n can tell."""

from math import sqrt

__all__ = ["wilson"]


def wilson(k: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share k / n; k may be a sum of n shares, for which it is no narrower than need be.

    References:
        Wilson (1927), probable inference; Brown, Cai and DasGupta (2001), eq. 4.
    """
    if not n:
        return 0.0, 1.0
    p, zz = k / n, z * z / n
    middle, half = (p + zz / 2) / (1 + zz), z * sqrt(p * (1 - p) / n + zz / (4 * n)) / (1 + zz)
    return max(0.0, middle - half), min(1.0, middle + half)
