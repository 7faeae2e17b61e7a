"""What came of hardening a network against small changes: before and after in plain words, and as figures."""

from collections.abc import Sequence

from amiss.defend.hardening import Row
from amiss.defend.robustness import ATTACKS
from amiss.trust import wilson

__all__ = ["before_and_after", "gains", "robust"]

_SAID = {"few": "few steps", "many": "many steps", "worst": "the worst case"}


def before_and_after(rows: Sequence[Row], eps: float, cost: str = "Training took") -> str:
    """The two rows in plain words: what it costs, what stays right under each attack, and which attack misleads.

    Args:
        rows: The first of the network as it was given, the last as it is now.
        eps: L_inf radius of the attacks.
        cost: What the CPU minutes were spent on.
    """
    first, last = rows[0], rows[-1]
    words = [
        f"{_share(first[f'robust_{kind}'])} -> {_share(last[f'robust_{kind}'])} under {_SAID[kind]}"
        for kind in ATTACKS
        if last[f"robust_{kind}"] is not None
    ]
    n = int(last["images"] or 0)
    text = (
        f"Accuracy {_share(first['accuracy'])} -> {_share(last['accuracy'])}. Of {n:,} test images, within {eps:.3g} "
    )
    text += f"of each pixel, these stay right: {', '.join(words)}."
    text += f" {cost} {last['cpu_minutes']:.2g} CPU minutes."
    few, least = last["robust_few"] or 0.0, robust(last)
    low, _ = wilson(round(few * n), n)
    if low > least:
        text += " Few steps flatter this network: believe the lowest figure."
    return text


def gains(rows: Sequence[Row]) -> dict[str, float]:
    """The same as numbers.

    Returns:
        The last row's figures; `robust`, the lowest of its shares under attack; `robust_gain` and `accuracy_loss`
        against the first row.
    """
    first, last = rows[0], rows[-1]
    told = {name: value for name, value in last.items() if value is not None and name != "round"}
    told["robust"] = robust(last)
    told["robust_gain"] = robust(last) - robust(first)
    return told | {"accuracy_loss": (first["accuracy"] or 0.0) - (last["accuracy"] or 0.0)}


def robust(row: Row) -> float:
    """The lowest share that stays right under any of the attacks that were made."""
    return min(value for kind in ATTACKS if (value := row[f"robust_{kind}"]) is not None)


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.1f} %"
