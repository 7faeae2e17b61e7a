"""Trust flags on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from amiss.cli.command import shown

__all__ = ["FLAGS", "told_flags"]

FLAGS = "flags.json"


def told_flags(flags: Sequence[Mapping[str, Any]]) -> list[str]:
    """The trust flags that fired, each with what to do; one line where none did."""
    fired = [flag for flag in flags if flag["state"] == "fired"]
    if fired:
        return [shown(f"Trust: {flag['slug']}: {flag['measured']} {flag['remedy']}") for flag in fired]
    clear = len([flag for flag in flags if flag["state"] == "clear"])
    return [f"Trust: {clear} checks clear, {len(flags) - clear} not measured."]
