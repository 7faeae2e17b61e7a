"""What every page of defenses shares: the record around a section of tiles, tables and limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend import Hardened
from amiss.repro import versions

__all__ = ["Section", "defense_record", "page_record", "percent"]


@dataclass(frozen=True)
class Section:
    """What is told of one kind of defense.

    Attributes:
        tiles: (label, value, note) of the overview.
        told: Tables, drawings and limits, as the page's own script reads them.
        text: What the defense does.
        reference: Where it comes from.
    """

    tiles: Sequence[tuple[str, str, str]]
    told: Mapping[str, Any]
    text: str
    reference: str


def defense_record(
    done: Hardened,
    section: Section,
    classifier: Classifier,
    train: Images,
    test: Images,
    *,
    flags: Sequence[dict[str, Any]],
    about: Mapping[str, Any],
    settings: str,
) -> dict[str, Any]:
    """A defense as JSON values.

    Args:
        done: What the defense left.
        section: What its kind tells.
        classifier: Who was given.
        train: What was learned from.
        test: What it was measured by.
        flags: The trust flags of the classifier that was given.
        about: recipe, model, data, seed and command, as `run.json` has them.
        settings: The defense, in words that construct it.
    """
    method = {"name": f"Defense: {about['recipe']}", "text": section.text, "settings": {"defense": settings}}
    prints = {
        "model": classifier.fingerprint,
        "hardened": done.classifier.fingerprint,
        "data": train.fingerprint,
        "test": test.fingerprint,
    }
    return page_record(
        {name: about[name] for name in ("model", "data", "seed", "command")},
        title=f"Defense of {about['model']}",
        sentence=done.sentence,
        tiles=section.tiles,
        told=section.told,
        methods=[{**method, "reference": section.reference}],
        fingerprints=prints,
        figures=done.figures,
        flags=flags,
    )


def page_record(
    about: Mapping[str, Any],
    *,
    title: str,
    sentence: str,
    tiles: Sequence[tuple[str, str, str]],
    told: Mapping[str, Any],
    methods: Sequence[Mapping[str, Any]],
    fingerprints: Mapping[str, str],
    figures: Mapping[str, float],
    flags: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """A page about defenses and nothing else.

    Args:
        about: model, data, seed and command.
        title: Of the page.
        sentence: What came of it.
        tiles: (label, value, note) of the overview.
        told: What the section on defenses shows.
        methods: name, text, settings and reference of each defense.
        fingerprints: Of what was used, by name.
        figures: The sentence as numbers.
        flags: Trust flags of the classifier that was given.
    """
    return {
        **about,
        "title": title,
        "sentence": sentence,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprints": dict(fingerprints),
        "versions": versions(),
        "figures": dict(figures),
        "tiles": [{"label": label, "value": value, "note": note} for label, value, note in tiles],
        "notices": [],
        "flags": list(flags),
        "cases": [],
        "fooled": [],
        "defense": {"sentence": sentence, **told},
        "methods": list(methods),
    }


def percent(share: float | None) -> str:
    """A share in percent; a dash where there is none."""
    return "\u2013" if share is None else f"{100 * share:.1f} %"
