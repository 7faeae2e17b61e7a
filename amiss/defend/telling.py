"""What came of a defense: its rounds as a sentence, as figures, as a table and as a small drawing."""

import csv
import io
from collections.abc import Sequence

from amiss.defend.hardening import Row
from amiss.training import curve_svg
from amiss.trust import wilson

__all__ = ["cost", "figures_of", "interval", "rounds_svg", "sentence_of", "table_of", "times"]


def cost(row: Row, which: str = "median") -> float:
    """Evaluations that an attack on a round's network took, or, where it never came there, all that it had."""
    spent = row[f"evaluations_{which}"]
    return float(spent if spent is not None else row["budget"] or 0)


def interval(row: Row, name: str = "recall") -> tuple[float, float]:
    """Where a share of a row may lie that is of `NAME_of` images: Wilson's interval of 95 %, in [0, 1]."""
    n = int(row[f"{name}_of"] or 0)
    return wilson(round((row[name] or 0.0) * n), n)


def times(ratio: float) -> str:
    """A ratio in words: two figures where it is small, and no powers of ten where it is large."""
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:,.0f}"


def sentence_of(rows: Sequence[Row], confidence: float) -> str:
    """The rounds in plain words: first what the network has lost and what it refuses, then what fooling it costs.

    Args:
        rows: One a round, the first of the network as it was given.
        confidence: The mark of the attacks.
    """
    first, last, once = rows[0], rows[-1], rows[1]
    n = len(rows) - 1
    words = f"After {n} {'round' if n == 1 else 'rounds'}{_verdict(last)}: "
    words += f"accuracy {_share(first['accuracy'])} -> {_share(last['accuracy'])}, "
    words += f"{_share(last['called_rubbish'])} of the test images are called rubbish, {_refused(last, confidence)}. "
    others = [
        f"{_share(last[f'recall_{name}'])} of {last[f'recall_{name}_of']:,.0f} {what}"
        for name, what in _KINDS.items()
        if last[f"recall_{name}_of"]
    ]
    words += f"It refuses {_listed(others)}. " if others else ""
    words += f"{_price(first, last, confidence)}. {_share(last['fooled'])} of new nonsense still fools it."
    if n > 1 and (once["evaluations_median"] or last["evaluations_median"]):  # else nobody knows
        grown = "" if cost(last) > cost(once) else "not "
        words += f" In this run the cost has {grown}grown since the first round ({_said(once)} then)."
    return words


def figures_of(rows: Sequence[Row]) -> dict[str, float]:
    """The same as numbers: what the last network is, and how it differs from the first.

    `cost_ratio` is a lower bound where the last network was never fooled within the budget, and left out where the
    first was not.
    """
    first, last = rows[0], rows[-1]
    told = {"rounds": float(len(rows) - 1)}
    if first["evaluations_median"] is not None:
        told["cost_ratio"] = cost(last) / cost(first)
    told["accuracy_loss"] = (first["accuracy"] or 0.0) - (last["accuracy"] or 0.0)
    wanted = ("accuracy", "confidence", "called_rubbish", "recall", *(f"recall_{k}" for k in _KINDS), "fooled")
    return told | {name: value for name in wanted if (value := last[name]) is not None}


def table_of(rows: Sequence[Row]) -> str:
    """The rounds as CSV; an empty cell is a figure that was not reached, or that there is nothing of."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([["" if value is None else f"{value:.6g}" for value in row.values()] for row in rows])
    return text.getvalue()


def rounds_svg(rows: Sequence[Row]) -> str:
    """Evaluations that an attack took, over the rounds, on a logarithmic axis; where it failed, all that it had."""
    lines = {f"to the {name} class": [cost(row, key) for row in rows] for name, key in _LINES.items()}
    return curve_svg(lines, unit="evaluations to fool the network, by round (where it held: the whole budget)")


_KINDS = {
    "long": "that evolved longer",
    "other": "of the other encoding",
    "gradient": "that a gradient made",
    "newest": "that fooled the network just before it",
}
_LINES = {"median": "median", "last": "all"}


def _verdict(last: Row) -> str:
    """Words for a network whose class of rubbish is no more for nonsense than for images, as far as chance tells."""
    blind = interval(last)[0] <= (last["called_rubbish"] or 0.0)
    return " the network does not tell nonsense from images" * (bool(last["recall_of"]) and blind)


def _refused(last: Row, confidence: float) -> str:
    """What it makes of held-out champions, and how many there were: so sure, and of whatever confidence."""
    if not last["recall_of"]:
        held = f"(none had {confidence:g}, {last['recall_called']:,.0f} the label alone)"
        return f"and no held-out nonsense fooled a network before it {held}: what it would refuse of it is not known"
    low, high = interval(last)
    return (
        f"and {_share(last['recall'])} ({100 * low:.1f} to {100 * high:.1f} with 95 % certainty) of "
        f"{last['recall_of']:,.0f} held-out champions that fooled the networks before it (with {confidence:g}; "
        f"{last['recall_called']:,.0f} had the label)"
    )


def _price(first: Row, last: Row, confidence: float) -> str:
    """What nonsense costs now; of a network that was not fooled within the budget, how far nonsense came."""
    if first["evaluations_median"] is None:
        sure = f"{first['champion']:.2g} sure before and {last['champion']:.2g} sure now"
        return f"The median champion is {sure}, {cost(first):,.0f} evaluations each, of {confidence:g} wanted"
    more = "more than " * (last["evaluations_median"] is None)
    said = f"{_said(first)} before and {_said(last)} now, until the median class is {confidence:g} sure"
    return f"Nonsense costs {more}{times(cost(last) / cost(first))} times the evaluations ({said})"


def _said(row: Row) -> str:
    return f"{'more than ' * (row['evaluations_median'] is None)}{cost(row):,.0f}"


def _listed(parts: Sequence[str]) -> str:
    return ", and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f} %"
