"""The figures of a run, from its ledger alone, by the names that gates use."""

from collections.abc import Iterable, Sequence
from math import isfinite
from statistics import median

from amiss.study.ledger import Entry

__all__ = ["figures", "figures_known", "telling"]


def figures(entries: Iterable[Entry], n: int) -> dict[str, float]:
    """What a run reached; figures that could not be measured are left out.

    Args:
        entries: Of the samples that are finished.
        n: Samples in all.
    """
    done = list(entries)
    met = [entry for entry in done if entry.outcome.met]
    found: dict[str, float] = {"samples": n, "finished": len(done), "met": len(met)}
    if done:
        found["success_rate"] = len(met) / len(done)
        found["queries"] = median(entry.outcome.queries for entry in done)
        found["steps"] = median(entry.outcome.steps for entry in done)
    if claims := [entry for entry in done if entry.claimed]:
        found["verified_from_disk"] = len([e for e in claims if e.outcome.met]) / len(claims)
    moved = [entry for entry in met if entry.outcome.status == "met"]
    measures = {
        "size": [entry.outcome.size for entry in moved],
        "l2": [entry.l2 for entry in moved],
        "linf": [entry.linf for entry in moved],
    }
    return found | {name: median(part) for name, part in measures.items() if part and all(map(isfinite, part))}


def figures_known() -> dict[str, str]:
    """Every figure that a run can have, each with the reason why it may come out without it."""
    none = "no sample is finished"
    known = dict.fromkeys(("samples", "finished", "met", "success_rate", "queries", "steps"), none)
    known |= dict.fromkeys(("size", "l2", "linf"), "no success changed an image")
    return {**known, "verified_from_disk": "no search claimed a success"}


def telling(entries: Sequence[Entry], most: int = 256) -> list[int]:
    """Positions of at most so many samples that stand for all of them, evenly spaced.

    Args:
        entries: In the order of their samples.
        most: How many; all of them where there are no more.
    """
    few = min(len(entries), most)
    return [entries[i * len(entries) // few].sample for i in range(few)]
