"""What a report shows of retraining with rubbish: its rounds as a table and a curve, and what fools each network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amiss.audit.defense_pages import Section, percent
from amiss.data import write_png
from amiss.defend import Archive, Hardened, Row
from amiss.defend.telling import cost, interval, times

__all__ = ["rubbish_section"]

_FOLDER = "champions"
_HEAD = [
    *("Round", "Rubbish learned", "Accuracy", "Called rubbish", "Median champion", "Fooled"),
    *("Evaluations, median class", "Evaluations, all classes"),
]
_RECALLS = {
    "": "Recall",
    "_first": "Of the given network",
    "_newest": "Of the one before",
    "_long": "Longer",
    "_other": "Other encoding",
    "_gradient": "Gradient",
}
_RECALL = (
    "Recall asks about yesterday's nonsense: of the champions of all rounds before, each of which fooled the network "
    "of its round with the wanted confidence, the share that this one calls rubbish. All of them are held out: they "
    "have other seeds, and no network has learned from them. In brackets stands where the share may lie with 95 % "
    "certainty (Wilson's interval), and at the end the share of test images that it calls rubbish: a network that "
    "refuses no more nonsense than images does not tell the two apart.",
    "Of the given network: those of them that fooled the network as it was given. Of the one before: those that "
    "fooled the network of the round before. Longer: champions of all rounds before that evolved for more "
    "generations than those that are learned from. Other encoding: images that are written down in a way that nobody "
    "learns from. Gradient: gray images that were pushed up the gradient.",
    "What fools this very network is another question, and none of this answers it. Fooled is the share of new, long "
    "evolutions that reach the confidence against it, and the evaluations are what they took until the median class, "
    "or all of them, had it.",
)
_LIMITS = (
    "A network that held out was asked no more evaluations than its budget. A longer search may fool it still.",
    "It has learned what its predecessors fell for, and not what nonsense is: how far that reaches is told by the "
    "recall of the other encoding and of the gradient.",
    "A test image that is called rubbish counts as wrong: accuracy falls with what is refused.",
    "All figures are of one seed. Two seeds may differ by more than two rounds do.",
)


def rubbish_section(done: Hardened, confidence: float, out: Path) -> Section:
    """The rounds of a retraining; the pictures of champions are written under `out`.

    Args:
        done: What the defense left.
        confidence: Softmax probability that counts as fooled.
        out: Run folder.
    """
    names = done.classifier.labels or ()
    told = {
        "bar": confidence,
        "head": _HEAD,
        "rows": [_cells(row) for row in done.rows],
        "curve": [
            {
                "round": row["round"],
                "median": cost(row),
                "median_held": row["evaluations_median"] is None,
                "all": cost(row, "all"),
                "all_held": row["evaluations_all"] is None,
            }
            for row in done.rows
        ],
        "networks": [_network(k, archive, names, out) for k, archive in enumerate(done.champions)],
        "recall": {
            "text": list(_RECALL),
            "head": ["Round", *_RECALLS.values(), "Test images"],
            "rows": [
                [row["round"], *(_of(row, f"recall{name}") for name in _RECALLS), percent(row["called_rubbish"])]
                for row in done.rows[1:]
            ],
        },
        "limits": list(_LIMITS),
    }
    return Section(
        _tiles(done, done.rows[-1]),
        told,
        "Round by round, nonsense that fools the network becomes examples of a class of rubbish, and the network "
        "goes on learning images and rubbish together. The last one is attacked like the others.",
        "Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 3.5",
    )


def _tiles(done: Hardened, last: Row) -> list[tuple[str, str, str]]:
    ratio = done.figures.get("cost_ratio")
    more = "more than " * (last["evaluations_median"] is None)
    return [
        (
            "Cost of nonsense",
            "unknown" if ratio is None else f"{more}{times(ratio)}x",
            "evaluations, after over before",
        ),
        ("Accuracy", percent(last["accuracy"]), f"{percent(done.rows[0]['accuracy'])} before"),
        ("Called rubbish", percent(last["called_rubbish"]), "of the test images"),
        ("Recall", percent(last["recall"]), f"of {last['recall_of'] or 0:,.0f} held-out champions of rounds before"),
        ("Fooled", percent(last["fooled"]), "of new champions"),
    ]


def _cells(row: Row) -> list[Any]:
    """One network as the table tells it."""
    spent = [
        f"{'more than ' * (row[f'evaluations_{key}'] is None)}{cost(row, key):,.0f}" for key in ("median", "all")
    ]
    shares = [percent(row[name]) for name in ("accuracy", "called_rubbish")]
    sure = f"{row['champion'] or 0.0:.3g}"
    return [row["round"], f"{row['rubbish'] or 0:,.0f}", *shares, sure, percent(row["fooled"]), *spent]


def _of(row: Row, name: str) -> str:
    n = row[f"{name}_of"] or 0
    low, high = interval(row, name)
    return f"{percent(row[name])} of {n:,.0f} ({100 * low:.0f} to {100 * high:.0f})" if n else "\u2013"


def _network(k: int, found: Archive, names: Sequence[str], out: Path) -> dict[str, Any]:
    """Champions against one network; their pictures are written."""
    (out / _FOLDER).mkdir(parents=True, exist_ok=True)
    champions = []
    for image, label, sure in zip(found.images, found.label.tolist(), found.confidence.tolist(), strict=True):
        path = f"{_FOLDER}/{k:02d}-{label:04d}.png"
        write_png(out / path, image)
        champions.append({"class": names[label], "confidence": sure, "image": path})
    return {"round": k, "champions": champions}
