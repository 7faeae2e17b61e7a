"""Tables of docs/figures.md that set our searches beside those of other libraries, run in one process."""

from collections.abc import Mapping, Sequence
from typing import Any

from amiss.bench.bench import Bar

__all__ = ["beside_features", "beside_labels", "label_figures"]

_OVER_ART = Bar(">=", 3.0)
_LABELS = {
    "pgd_cost": Bar("<=", 1.05),
    "pgd_whole_cost": Bar("<=", 1.1),
    "pgd_kept_gain": Bar(">=", 0),
    "deepfool_kept": Bar(">=", 1),
    "deepfool_cost": Bar("<=", 1.2),
    "ddn_l2": Bar("<=", 1),
    "ddn_cost": Bar("<=", 1),
    "ddn_kept_gain": Bar(">=", 0),
    "lbfgs_l2": Bar("<=", 1),
    "lbfgs_cost": Bar("<=", 1.3),
    "lbfgs_kept_gain": Bar(">=", 0),
    "square_queries": Bar("<=", 1.05),
    "square_kept_gain": Bar(">=", 0),
    "hop_skip_jump_queries": Bar("<=", 1.05),
    "hop_skip_jump_l2": Bar("<=", 1),
    "hop_skip_jump_kept_gain": Bar(">=", 0),
}
_OURS = " ours"

Row = Mapping[str, Any]


def label_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Label attacks of ours over those of peers; above 1 is more than theirs.

    Costs are CPU seconds an image, queries forward passes. The peer is the cheapest of its kind; for DeepFool, DDN
    and L-BFGS the one that the bar names. A median length is beside that of the same peer; of searches by labels
    alone beside the shortest of any. `kept_gain` is what we keep beyond the peer in files of 8 bits, read one by one.

    Args:
        rows: Of the bench of the peers; those that failed hold an `error`.

    Returns:
        Figures by name, as far as both rows are there.
    """
    good = {row["name"]: row for row in rows if "error" not in row}
    out: dict[str, float] = {}
    for figure, ours, peer in (
        ("pgd", "PGD-40 ours", _least(good, "PGD-40", "cpu_per_image")),
        ("pgd_whole", "PGD-40 ours, none dropped", _least(good, "PGD-40", "cpu_per_image")),
        ("deepfool", "DeepFool ours", good.get("DeepFool adv-lib")),
        ("ddn", "DDN ours", good.get("DDN-100 adv-lib")),
        ("lbfgs", "L-BFGS ours", good.get("L-BFGS advertorch, joint batch")),
        ("square", "Square ours", _least(good, "Square", "forward_per_image")),
        ("hop_skip_jump", "HopSkipJump ours", _least(good, "HopSkipJump", "forward_per_image")),
    ):
        own = good.get(ours)
        if own is None or peer is None:
            continue
        kept = "success_8bit_one_by_one"
        out |= {
            f"{figure}_cost": own["cpu_per_image"] / peer["cpu_per_image"],
            f"{figure}_queries": own["forward_per_image"] / peer["forward_per_image"],
            f"{figure}_l2": own["l2_median"] / peer["l2_median"],
            f"{figure}_kept": own[kept],
            f"{figure}_kept_gain": own[kept] - peer[kept],
        }
    shortest = _least(good, "HopSkipJump", "l2_median")
    if shortest is not None and "HopSkipJump ours" in good:
        out["hop_skip_jump_l2"] = good["HopSkipJump ours"]["l2_median"] / shortest["l2_median"]
    return {name: out[name] for name in _LABELS if name in out}


def beside_labels(book: Row) -> list[str]:
    """Label attacks by other libraries and by us, in one process on the same images: lines of markdown."""
    found = label_figures(book["rows"])
    bars = [_line(name, bar, found.get(name)) for name, bar in _LABELS.items()]
    shown = [row for row in book["rows"] if "error" not in row and row["name"] != "warm-up"]
    table = [
        f"| {row['name']} | {row['images']} | {row['success']:.3g} | {row['success_8bit_one_by_one']:.3g} | "
        f"{_number(row['l2_median'])} | {1000 * row['cpu_per_image']:.3g} | {row['forward_per_image']:.4g} | "
        f"{row['backward_per_image']:.4g} |"
        for row in shown
    ]
    return [
        "## Label attacks beside peers\n",
        "`peers-labels.json`: one process, one thread, held-out digits, the median of "
        f"{book['arguments']['repeats']} runs where a run takes less than 30 s. Ratios are ours over the peer's.\n",
        "| figure | bar | values | holds |",
        "|---|---|---|---|",
        *bars,
        "",
        "| who | images | success | kept in 8 bits | median L2 | CPU ms an image | forward | backward |",
        "|---|---|---|---|---|---|---|---|",
        *table,
        "",
    ]


def beside_features(book: Row) -> list[str]:
    """Feature adversaries by other libraries and by us, in one process on the same pairs: lines of markdown."""
    rows = {row["name"]: row for row in book["rows"] if "error" not in row and not row["name"].startswith("warm-up")}
    ours, art = rows.get("ours"), rows.get("ART PyTorch PGD, layer by name")
    if ours is None or art is None:
        return []
    # A library that leaves the bound is compared by what is left of its images inside.
    as_near = ours["objective_mean"] <= art["objective_mean_in_box"]
    ratio = art["cpu_per_image"] / ours["cpu_per_image"] if as_near else 0.0
    table = [
        f"| {name} | {row['pairs']} | {row['objective_mean_in_box']:.5g} | {max(row['over_delta'], 0):.2g} | "
        f"{row['cpu_per_image']:.3g} | {row['cpu_per_image'] / ours['cpu_per_image']:.3g} |"
        for name, row in rows.items()
    ]
    return [
        "## Feature adversaries beside peers\n",
        f"`peers-features.json`: layer {book['arguments']['layer']}, delta {book['arguments']['delta']}, one "
        "process, one thread, one seed. `over delta` is how far the images leave the bound.\n",
        "| figure | bar | values | holds |",
        "|---|---|---|---|",
        _line("speedup_art", _OVER_ART, ratio),
        "",
        "| who | pairs | mean objective, in the box | over delta | CPU s a pair | CPU over ours |",
        "|---|---|---|---|---|---|",
        *table,
        "",
    ]


def _least(rows: Mapping[str, Row], kind: str, what: str) -> Row | None:
    """Of the peers' rows of a kind, the one with the least of something; None where there is none."""
    peers = [row for name, row in rows.items() if name.startswith(kind) and _OURS not in name and row[what]]
    return min(peers, key=lambda row: float(row[what]), default=None)


def _line(name: str, bar: Bar, value: float | None) -> str:
    if value is None:
        return f"| `{name}` | {bar} | not measured |  |"
    return f"| `{name}` | {bar} | {value:.4g} | {'yes' if bar.holds(value) else 'no'} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
