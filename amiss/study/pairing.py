"""Two runs side by side, image by image: what both reached, what was won and lost, and whether chance explains it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any

from amiss.study.ledger import Entry

__all__ = ["Fourfold", "differences", "fourfold", "mcnemar", "paired", "ratio"]


@dataclass(frozen=True)
class Fourfold:
    """How often something held of the same image in two runs.

    Attributes:
        both: In both.
        broken: In the first alone.
        fixed: In the second alone.
        neither: In neither.
    """

    both: int
    broken: int
    fixed: int
    neither: int

    @property
    def p(self) -> float:
        """How likely a difference as large as this is by chance, where the two runs are equally good."""
        return mcnemar(self.broken, self.fixed)


def paired(first: Sequence[str], second: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the same image in two runs; of an image that lies there more than once the k-th meets the k-th.

    Args:
        first: Ids of the first run's samples, in order.
        second: Of the second's.

    Returns:
        Pairs of positions, in the order of the first.
    """
    there = {key: i for i, key in enumerate(_numbered(second))}
    return tuple((i, there[key]) for i, key in enumerate(_numbered(first)) if key in there)


def fourfold(pairs: Iterable[tuple[bool, bool]]) -> Fourfold:
    """Count pairs of (held in the first, held in the second)."""
    seen = Counter(pairs)
    return Fourfold(seen[True, True], seen[True, False], seen[False, True], seen[False, False])


def mcnemar(broken: int, fixed: int) -> float:
    """McNemar's exact two-sided p: of the pairs that differ, each goes either way with probability one half.

    Args:
        broken: Pairs that hold in the first run alone.
        fixed: Pairs that hold in the second run alone.

    Returns:
        A probability; 1 where no pair differs.

    References:
        McNemar (1947), note on the sampling error of the difference between correlated proportions or percentages.
    """
    n = broken + fixed
    ways = tail = 1
    for k in range(min(broken, fixed)):
        ways = ways * (n - k) // (k + 1)  # n over k + 1
        tail += ways
    return min(1.0, 2 * tail / 2**n)


def ratio(pairs: Iterable[tuple[Entry, Entry]], measure: str) -> float | None:
    """Median of second over first of a measure of the change; None where no pair has both.

    Args:
        pairs: Entries of the same image in two runs. Those met in both by a change are looked at.
        measure: "l2", or "linf".
    """
    found = []
    for one, two in pairs:
        if one.outcome.met and two.outcome.met:
            before, after = getattr(one, measure), getattr(two, measure)
            if isfinite(before) and isfinite(after) and before > 0 and after > 0:
                found.append(after / before)
    return median(found) if found else None


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings in which two runs differ, by name: (in the first, in the second); None where one has none."""
    one, two = _flat(first), _flat(second)
    names = [*one, *(name for name in two if name not in one)]
    return {name: (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}


def _numbered(ids: Sequence[str]) -> list[tuple[str, int]]:
    """Each id with how often it came before."""
    seen: Counter[str] = Counter()
    keys = []
    for id in ids:
        keys.append((id, seen[id]))
        seen[id] += 1
    return keys


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by their path: {"images": {"size": 8}} as {"images.size": 8}."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found
