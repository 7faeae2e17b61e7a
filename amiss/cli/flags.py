"""Trust flags on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from amiss.cli.command import shown
from amiss.trust import Flag

__all__ = ["FLAGS", "told_decoder", "told_flags"]

FLAGS = "flags.json"


def told_flags(flags: Sequence[Mapping[str, Any]]) -> list[str]:
    """The trust flags that fired, each with what to do; one line where none did."""
    fired = [flag for flag in flags if flag["state"] == "fired"]
    if fired:
        return [shown(f"Trust: {flag['slug']}: {flag['measured'].rstrip('.')}. {flag['remedy']}") for flag in fired]
    clear = len([flag for flag in flags if flag["state"] == "clear"])
    return [f"Trust: {clear} checks clear, {len(flags) - clear} not measured."]


def told_decoder(flags: Sequence[Flag]) -> str:
    """What a decoder keeps of the images, in one line for before a search; empty where there is no decoder."""
    said = [flag for flag in flags if flag.slug.startswith("decoder-") and flag.state != "not measured"]
    remedy = [flag.remedy for flag in said if flag.fired][:1]
    words = " ".join([f"{flag.measured.rstrip('.')}." for flag in said] + remedy)
    return shown(f"Decoder: {words}") if said else ""
