"""`amiss bench NAME --seed N`: our figures, merged into JSON."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.errors import UsageError

__all__ = ["bench"]


def bench(
    name: Annotated[str, typer.Argument(help="which bench")],
    seed: Annotated[int, typer.Option(help="the seed to measure")] = 0,
    quick: Annotated[bool, typer.Option(help="in under a minute, with looser bars")] = False,
    file: Annotated[Path | None, typer.Option("--json", help="where the results are merged")] = None,
    only: Annotated[str, typer.Option(help="parts to measure, with commas between")] = "",
    again: Annotated[bool, typer.Option(help="measure what is there already")] = False,
) -> None:
    """Measure the figures of one seed; parts that are there already are not measured again."""
    from amiss.bench import BENCHES, run_bench
    from amiss.bench.bench import load_bench
    from amiss.bench.figures import failing

    if name not in BENCHES:
        raise UsageError(
            f"There is no bench {name!r}.",
            slug="bench-unknown",
            seen=name,
            needed=" or ".join(BENCHES),
            hint=f"amiss bench {next(iter(BENCHES))}",
        )
    chosen = load_bench(name)
    parts = tuple(part for part in only.split(",") if part)
    if unknown := set(parts) - set(chosen.parts):
        raise UsageError(
            f"The bench has no part {sorted(unknown)[0]!r}.",
            slug="bench-part",
            seen=f"--only {only}",
            needed="parts of the bench, with commas between",
            hint=f"It has: {', '.join(chosen.parts)}",
        )
    place = Path("bench/results") if not quick else Path("runs/bench")
    file = file or place / f"{name}{'-quick' if quick else ''}.json"
    book = run_bench(chosen, seed, file, quick=quick, only=parts, again=again, tell=typer.echo)
    missed = failing(book, chosen, quick)
    typer.echo(f"{file}: seeds {book['seeds']}; " + (f"missed: {', '.join(missed)}" if missed else "no bar missed"))
    raise typer.Exit(3 if missed else 0)
