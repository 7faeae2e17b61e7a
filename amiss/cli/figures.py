"""`amiss figures WHICH DIR`: the figures of a paper, made anew."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from amiss.cli.command import shown
from amiss.cli.progress import showing
from amiss.errors import UsageError

__all__ = ["figures"]


def figures(
    which: Annotated[str, typer.Argument(help="of which paper: lse")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="folder; what lies there already is not made again")],
    data: Annotated[str, typer.Option(help="labeled, square images to train on; faces are always drawn")] = "digits",
    seed: Annotated[int, typer.Option(help="of everything trained")] = 0,
    only: Annotated[str, typer.Option(help="numbers of figures, with commas between")] = "",
    quick: Annotated[bool, typer.Option(help="small maps and short trainings: to see that it works")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress, no captions")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print what each figure shows as JSON")] = False,
) -> None:
    """Make the figures of a paper on images of yours: pictures, and every number in them."""
    from amiss.figures import MAKERS, Effort, World, make
    from amiss.figures.draw import needs_matplotlib

    if which not in MAKERS:
        raise UsageError(
            f"There are no figures of {which!r}.",
            slug="figures-unknown",
            seen=which,
            needed=" or ".join(MAKERS),
            hint=f"amiss figures {next(iter(MAKERS))} runs/figures",
        )
    there = {str(figure.number): figure for figure in MAKERS[which]}
    numbers = [number.strip() for number in only.split(",") if number.strip()] or list(there)
    if unknown := [number for number in numbers if number not in there]:
        raise UsageError(
            f"There is no figure {unknown[0]!r}.",
            slug="figures-number",
            seen=f"--only {only}",
            needed=f"numbers out of {', '.join(there)}, with commas between",
            hint=f"--only {','.join(list(there)[:3])}",
        )
    needs_matplotlib()  # before anything is trained
    began, book = time.monotonic(), []
    with showing(quiet or as_json) as tell:
        world = World(data, seed, out, Effort.quick() if quick else Effort(), tell)
        for number in numbers:
            made = make(there[number], world)
            book.append(
                {"figure": int(number), "files": made.files, "fresh": made.fresh, "says": made.values["says"]}
            )
            if not (quiet or as_json):
                typer.echo(shown(f"Figure {number}: {made.values['says']}"))
    if as_json:
        typer.echo(json.dumps({"figures": book, "seconds": round(time.monotonic() - began, 1)}))
    elif not quiet:
        files = sum(len(row["files"]) for row in book)
        typer.echo(f"{out}: {len(book)} figures, {files} files, {time.monotonic() - began:.0f} s")
