"""Defenses beside each other: one table of the networks as given and hardened, under the same attacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amiss.audit.defense_pages import page_record, percent
from amiss.audit.hardening_pages import GUARDED, HEAD, LIMITS, PASSES, TEXT, cells, percent_of
from amiss.defend import Row
from amiss.defend.outcome import robust
from amiss.errors import UsageError
from amiss.trust import wilson

__all__ = [
    "ATTACKED",
    "Contender",
    "comparison_record",
    "comparison_rows",
    "comparison_sentence",
    "refuse_other_attacks",
]

ATTACKED = ("eps", "images", "few", "many", "restarts", "worst", "seed")
"""The settings by which the attacks of two tables are the same."""


@dataclass(frozen=True)
class Contender:
    """One finished defense that is told by a table of attacks.

    Attributes:
        name: How it is called: its folder.
        defense: Which one it is, "adversarial-training".
        model: Name of the network that was given.
        data: Name of the images.
        prints: Fingerprints: "model" of the network that was given, "test" of the images that were attacked.
        settings: Of the defense, with its seed.
        rows: The network as it was given, and what became of it.
    """

    name: str
    defense: str
    model: str
    data: str
    prints: Mapping[str, str]
    settings: Mapping[str, Any]
    rows: Sequence[Row]


def refuse_other_attacks(found: Sequence[Contender]) -> None:
    """Refuse defenses that were not attacked alike: none of them would be the better one for its higher figure.

    Raises:
        UsageError: Radius, images, steps, starts or seed differ.
    """
    first = found[0]
    for other in found[1:]:
        apart = [
            f"{name} {first.settings.get(name)} and {other.settings.get(name)}"
            for name in ATTACKED
            if first.settings.get(name) != other.settings.get(name)
        ]
        apart += ["other test images"] * (first.prints.get("test") != other.prints.get("test"))
        if apart:
            raise UsageError(
                "These defenses were not attacked alike.",
                slug="compare-attacks",
                seen=f"{first.name} and {other.name}: {', '.join(apart)}",
                needed=f"the same test images and the same {', '.join(ATTACKED)}",
                why="a table of which one row was attacked harder than another says nothing of the defenses",
                hint="Give amiss defend the same DATA, seed and options of the attacks.",
            )


def comparison_rows(found: Sequence[Contender]) -> list[tuple[str, str, Row]]:
    """(name, defense, figures): each network once as it was given, and behind it what its defenses made of it."""
    rows: list[tuple[str, str, Row]] = []
    seen: set[str] = set()
    for one in found:
        given = one.prints.get("model", one.name)
        if given not in seen:
            seen.add(given)
            rows.append((one.model, "as given", one.rows[0]))
        rows.append((one.name, one.defense, one.rows[-1]))
    return rows


def comparison_sentence(found: Sequence[Contender]) -> str:
    """The comparison in plain words: which defense leaves most under the attack that is hardest on it, and its price.

    Where the interval of another one's share reaches the best one's, that is said: so few images do not tell them
    apart.
    """
    best = _most(found)
    first, last = best.rows[0], best.rows[-1]
    n, least = int(last["images"] or 0), robust(last)
    text = (
        f"Of {len(found)} defenses {best.name} ({best.defense}) leaves most: of {n:,} test images, within "
        f"{best.settings['eps']:.3g} of each pixel, {percent_of(least, n)} stay right under the attack that is worst "
        f"for it, {percent(robust(first))} before. Its accuracy is {percent(last['accuracy'])}, "
        f"{percent(first['accuracy'])} before; it cost {last['cpu_minutes'] or 0.0:.2g} CPU minutes."
    )
    low, _ = wilson(round(least * n), n)
    others = [one for one in found if one is not best]
    near = [one.name for one in others if wilson(round(robust(one.rows[-1]) * n), n)[1] >= low]
    return text + (f" These images do not tell it apart from {', '.join(near)}." if near else "")


def comparison_record(
    found: Sequence[Contender], command: str, flags: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The comparison as JSON values for a page.

    Args:
        found: The defenses, attacked alike.
        command: The command that compared them.
        flags: The trust flags of the first one's classifier, as it was given.
    """
    first, best = found[0], _most(found)
    last, eps = best.rows[-1], first.settings["eps"]
    tiles = [
        ("Most robust", best.name, best.defense),
        ("Robust accuracy", percent(robust(last)), f"{percent(robust(best.rows[0]))} before, the lowest of its row"),
        ("Defenses", str(len(found)), f"within {eps:.3g} of each pixel"),
    ]
    told = {
        "head": ["Network", "Defense", *HEAD],
        "rows": [[name, state, *cells(row)] for name, state, row in comparison_rows(found)],
        "text": [*TEXT, *PASSES * any(one.defense == GUARDED for one in found)],
        "detectors": None,
        "networks": [],
        "limits": list(LIMITS),
    }
    models = ", ".join(dict.fromkeys(one.model for one in found))
    about = {"model": models, "data": first.data, "seed": first.settings["seed"], "command": command}
    return page_record(
        about,
        title=f"Defenses of {models}",
        sentence=comparison_sentence(found),
        tiles=tiles,
        told=told,
        methods=[{"name": one.name, "text": one.defense, "settings": dict(one.settings)} for one in found],
        fingerprints={f"{one.name}, {name}": print_ for one in found for name, print_ in one.prints.items()},
        figures={},
        flags=flags,
    )


def _most(found: Sequence[Contender]) -> Contender:
    """The defense whose lowest share is the highest; the first of two."""
    return max(found, key=lambda one: robust(one.rows[-1]))
