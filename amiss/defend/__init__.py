"""Defenses: what hardens a classifier, and what that costs; each is one object in one file and one row here."""

from amiss.defend.hardening import Defense, FineTuning, Hardened, Row
from amiss.defend.nonsense import Archive, climb, evolve
from amiss.defend.rubbish import RubbishClass
from amiss.defend.telling import rounds_svg, table_of
from amiss.defend.widening import RUBBISH, widened
from amiss.defend.workshop import Workshop

__all__ = [
    "DEFENSES",
    "RUBBISH",
    "Archive",
    "Defense",
    "FineTuning",
    "Hardened",
    "Row",
    "RubbishClass",
    "Workshop",
    "climb",
    "evolve",
    "rounds_svg",
    "table_of",
    "widened",
]

DEFENSES: dict[str, type[RubbishClass]] = {"rubbish-class": RubbishClass}
"""What `amiss defend --with` knows, by name: frozen dataclasses of settings that are a `Defense`."""
