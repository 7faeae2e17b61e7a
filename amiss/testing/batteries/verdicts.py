"""How a battery judges: laws that hold, break or do not apply, and one error that lists every broken one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from amiss.errors import UsageError

__all__ = ["BatteryError", "Broken", "Law", "Skipped", "Verdict", "judged", "named", "need"]

Law: TypeAlias = Callable[[Any], None]
"""A function of a case that raises where the law breaks; its name is the id, its docstring the meaning."""


@dataclass(frozen=True)
class Verdict:
    """What a battery says of one law.

    Attributes:
        id: Name of the law.
        passed: Whether it holds; None where it does not apply.
        detail: What was seen and needed, why it does not apply, or why it was expected to fail.
    """

    id: str
    passed: bool | None
    detail: str = ""


class BatteryError(AssertionError):
    """Laws that do not hold, each with what was seen and what was needed.

    Attributes:
        verdicts: The verdicts of the whole battery.
        failed: Ids of the laws that broke, or held though they were expected to break.
    """

    def __init__(self, what: str, verdicts: tuple[Verdict, ...], failed: Mapping[str, str]) -> None:
        self.verdicts, self.failed = verdicts, tuple(failed)
        super().__init__("\n".join([what, *(f"  {name}: {why}" for name, why in failed.items())]))


class Broken(Exception):
    """A law does not hold."""

    def __init__(self, seen: str, needed: str) -> None:
        super().__init__(f"seen {seen}; needed {needed}")


class Skipped(Exception):
    """A law does not apply, and why."""


def need(held: bool, seen: str, needed: str) -> None:
    """Break the law unless it is held.

    Raises:
        Broken: It is not.
    """
    if not held:
        raise Broken(seen, needed)


def named(laws: Sequence[Law]) -> dict[str, str]:
    """Ids of laws, each with its meaning in one line."""
    return {_id(law): (law.__doc__ or "").partition("\n")[0] for law in laws}


def judged(
    subject: object, laws: Sequence[Law], case: Any, expected_failures: Mapping[str, str] | None
) -> tuple[Verdict, ...]:
    """Judge a case by every law.

    Args:
        subject: What is checked, for the message.
        laws: The laws.
        case: What they are told.
        expected_failures: Laws that are known to break, each with the reason.

    Raises:
        BatteryError: A law breaks, or holds though it was expected to break.
        UsageError: A law is expected to break that there is not.
    """
    expected, meanings = dict(expected_failures or {}), named(laws)
    if unknown := sorted(set(expected) - set(meanings)):
        raise UsageError(
            f"There is no law {unknown[0]!r}.",
            slug="battery-law",
            seen=f"expected_failures of {unknown}",
            needed=f"ids out of {', '.join(meanings)}",
            hint="amiss.testing.laws('probe') lists the laws of a battery.",
        )
    verdicts, failed = [], {}
    for law in laws:
        verdict = _verdict(law, case)
        if (reason := expected.get(verdict.id)) is not None:
            if verdict.passed:
                failed[verdict.id] = f"held, though it was expected to break: {reason}"
            elif verdict.passed is False:
                verdict = Verdict(verdict.id, False, f"expected: {reason}")
        elif verdict.passed is False:
            failed[verdict.id] = f"{meanings[verdict.id]} {verdict.detail}"
        verdicts.append(verdict)
    if failed:
        raise BatteryError(f"{len(failed)} of {len(laws)} laws fail for {subject!r}:", tuple(verdicts), failed)
    return tuple(verdicts)


def _verdict(law: Law, case: Any) -> Verdict:
    try:
        law(case)
    except Skipped as skipped:
        return Verdict(_id(law), None, str(skipped))
    except Broken as broken:
        return Verdict(_id(law), False, str(broken))
    except Exception as error:  # whatever a stranger's code may raise
        said = str(error).partition("\n")[0][:200]
        return Verdict(_id(law), False, f"seen {type(error).__name__}: {said}; needed no error")
    return Verdict(_id(law), True)


def _id(law: Law) -> str:
    return law.__name__.replace("_", "-")
