"""docs/figures.md: every figure with its command, its bar and its last value, made from the committed JSON."""

import json
from pathlib import Path
from typing import Any

from amiss.bench.bench import BENCHES, Bench, load_bench

__all__ = ["failing", "figures_page"]

_HEAD = """# Figures

Every figure that this project promises, with the command that measures it, its bar, and its last values, one a
seed or one of all seeds. `python -m amiss.bench.figures` remakes this page from `bench/results/`; a bar holds when
every value meets it.
"""


_OVER_ART = 3.0


def failing(book: dict[str, Any], bench: Bench, quick: bool = False) -> list[str]:
    """Names of the figures that miss their bar at some seed."""
    return [
        name
        for name, values in book["figures"].items()
        if name in bench.bars and not all(bench.bars[name].holds(value, quick) for value in values)
    ]


def figures_page(results: Path = Path("bench/results")) -> str:
    """The page, from the JSON files in `results`."""
    lines = [_HEAD]
    for name in BENCHES:
        bench, file = load_bench(name), results / f"{name}.json"
        book = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"figures": {}, "seeds": []}
        lines.append(f"## `amiss bench {name} --seed N`\n")
        lines.append(f"Seeds {book['seeds']}.\n")
        lines += ["| figure | bar | values | holds |", "|---|---|---|---|"]
        extra = [figure for figure in book["figures"] if figure not in bench.bars]
        for figure in (*bench.bars, *extra):
            bar, values = bench.bars.get(figure), book["figures"].get(figure, [])
            shown = ", ".join(f"{value:.4g}" for value in values) or "not measured"
            if bar is None or not values:
                verdict = ""
            else:
                enough = len(book["seeds"]) >= bar.seeds if bar.seeds else len(values) >= 3
                verdict = "yes" if all(map(bar.holds, values)) and enough else "no"
            lines.append(f"| `{figure}` | {bar or 'reported'} | {shown} | {verdict} |")
        lines.append("")
    if (file := results / "peers-features.json").is_file():
        lines += _beside_peers(json.loads(file.read_text(encoding="utf-8")))
    return "\n".join(lines)


def _beside_peers(book: dict[str, Any]) -> list[str]:
    """Feature adversaries by other libraries and by us, in one process on the same pairs."""
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
        f"| `speedup_art` | >= {_OVER_ART:g} | {ratio:.4g} | {'yes' if ratio >= _OVER_ART else 'no'} |",
        "",
        "| who | pairs | mean objective, in the box | over delta | CPU s a pair | CPU over ours |",
        "|---|---|---|---|---|---|",
        *table,
        "",
    ]


if __name__ == "__main__":
    Path("docs/figures.md").write_text(figures_page(), encoding="utf-8")
