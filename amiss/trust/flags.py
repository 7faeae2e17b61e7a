"""The record of a trust flag: what was measured, against which threshold, what it means and what to do about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

from amiss.trust.kinds import KINDS, When

__all__ = ["Flag", "State", "combined", "found", "unmeasured", "votes_for"]

State = Literal["fired", "clear", "not measured"]


@dataclass(frozen=True)
class Flag:
    """One thing that could make the figures untrue, measured.

    Attributes:
        slug: Its short name.
        title: What is wrong where it fired, in one line.
        when: "before" a study, from the classifier and the images; "after" it, from its result.
        state: "fired", "clear" or "not measured".
        value: What was measured, finite; None where there is no number.
        measured: The same in words, with the number it was measured on; without a measurement, why there is none.
        threshold: When it fires, in words.
        consequence: What it does to the figures.
        remedy: The one thing to do.
        reference: Where the check is from.
    """

    slug: str
    title: str
    when: When
    state: State
    value: float | None
    measured: str
    threshold: str
    consequence: str
    remedy: str
    reference: str

    @property
    def fired(self) -> bool:
        """Whether the figures are in doubt."""
        return self.state == "fired"

    def to_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def found(slug: str, fired: bool, value: float | None, measured: str) -> Flag:
    """The flag of a measurement that was made.

    Args:
        slug: Which.
        fired: Whether the threshold was crossed.
        value: The number; one that is not finite is left to the words.
        measured: The number in words, and on how many it was measured.
    """
    return _flag(slug, "fired" if fired else "clear", value, measured)


def unmeasured(slug: str, why: str) -> Flag:
    """The flag of a measurement that could not be made, or was not wanted."""
    return _flag(slug, "not measured", None, why)


def votes_for(flags: Iterable[Flag]) -> int:
    """How often a success must be judged: once, or 20 times where the classifier answers at random."""
    return 20 if any(flag.slug == "randomness" and flag.fired for flag in flags) else 1


def combined(flags: Mapping[str, Sequence[Flag]]) -> tuple[Flag, ...]:
    """The flags of several probes as one a slug: fired where any fired, clear where any was measured.

    Args:
        flags: The flags by the name of their probe, all about the same things.

    Returns:
        One flag a slug, in the order of their first appearance; the words name each probe that speaks.
    """
    slugs = list(dict.fromkeys(flag.slug for several in flags.values() for flag in several))
    return tuple(
        _merged([(name, f) for name, several in flags.items() for f in several if f.slug == s]) for s in slugs
    )


def _merged(said: list[tuple[str, Flag]]) -> Flag:
    """One flag: the state that weighs most, told by those who are in it."""
    order: tuple[State, ...] = ("fired", "clear", "not measured")
    state = min((flag.state for _, flag in said), key=order.index)
    telling = [(name, flag) for name, flag in said if flag.state == state]
    return _flag(telling[0][1].slug, state, telling[0][1].value, "; ".join(f"{n}: {f.measured}" for n, f in telling))


def _flag(slug: str, state: State, value: float | None, measured: str) -> Flag:
    kind = KINDS[slug]
    return Flag(
        slug=slug,
        title=kind.title,
        when=kind.when,
        state=state,
        value=value if value is not None and isfinite(value) else None,
        measured=measured,
        threshold=kind.threshold.format(limit=kind.limit),
        consequence=kind.consequence,
        remedy=kind.remedy,
        reference=kind.reference,
    )
