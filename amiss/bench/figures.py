"""docs/figures.md, and the table of docs/generative.md: every figure, made from the committed JSON."""

import json
from pathlib import Path
from typing import Any

from amiss.bench.bench import BENCHES, Bench, load_bench
from amiss.bench.peers import beside_features, beside_labels
from amiss.bench.side_by_side import with_table

__all__ = ["failing", "figures_page"]

_HEAD = """# Figures

Every figure that this project promises, with the command that measures it, its bar, and its last values, one a
seed or one of all seeds. `python -m amiss.bench.figures` remakes this page from `bench/results/`; a bar holds when
every value meets it.
"""


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
    for name, beside in {"features": beside_features, "labels": beside_labels}.items():
        if (file := results / f"peers-{name}.json").is_file():
            lines += beside(json.loads(file.read_text(encoding="utf-8")))
    return "\n".join(lines)


if __name__ == "__main__":
    Path("docs/figures.md").write_text(figures_page(), encoding="utf-8")
    models = Path("docs/generative.md")
    models.write_text(with_table(models.read_text(encoding="utf-8"), Path("bench/results")), encoding="utf-8")
