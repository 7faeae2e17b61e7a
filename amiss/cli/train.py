"""`amiss train KIND DATA`: any model of the table from images, with progress, resume, figures and pictures."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from amiss.cli.launching import launch
from amiss.cli.model import Table
from amiss.cli.training import MODEL_FILE, STATE_FILE, TrainRequest, kind_of, option_error, train_to_folder
from amiss.cli.words import explained, page, read_words, sorted_words
from amiss.errors import UsageError
from amiss.training import KINDS, Kind, Look, Progress, rank_here, turned

__all__ = ["TrainCommand", "help_of_kind", "read_options", "train"]

_EVERY = 5.0  # seconds between two lines of progress
_DATA = {
    "images": "digits, faces, scenes, a folder, a CSV, idx files or an npz file of images",
    "text": "a file of text in UTF-8, or hello",
    "sequences": "an npz file of sequences; cells, signals or digit-movies, of which each has one label; parity, "
    "echo or chained, of which each frame has one",
}


class TrainCommand(TyperCommand):
    """`amiss train`, whose `--help` after a kind is about that kind; it remembers its words for other processes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Answer `KIND --help`; leave all else to typer."""
        if "--help" in args and args[0] in KINDS:
            typer.echo(help_of_kind(KINDS[args[0]]))
            raise typer.Exit
        ctx.meta["words"] = list(args)
        return super().parse_args(ctx, args)


def help_of_kind(kind: Kind) -> str:
    """What a kind takes."""
    more = "docs/training.md, and docs/models/ for each model"
    about = f"{kind.about} DATA: {_DATA[kind.source]}."
    return page("train", kind.name, "DATA --out DIR", about, explained(kind.preset, kind.options), more)


def read_options(kind: Kind, words: list[str]) -> dict[str, Any]:
    """The options of a kind, from what the command line left over.

    Raises:
        UsageError: One that the kind does not take, or cannot take like this.
        CheckpointError: A model that an option names cannot be read.
    """
    help_ = f"amiss train {kind.name} --help tells what it takes; amiss train --help what every kind takes."
    return read_words(f"kind {kind.name}", words, kind.options, option_error, (help_, help_))


def train(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS)}")],
    data: Annotated[str, typer.Argument(help="images, texts or sequences; KIND --help says which")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the model; an unfinished run goes on")],
    epochs: Annotated[float | None, typer.Option(help="passes over the images; else the preset's")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="steps in all, instead of epochs")] = None,
    more: Annotated[
        int | None, typer.Option(min=1, help="go on for so many steps more than the folder has done")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="the column of labels, where DATA has a CSV")] = None,
    table: Table = None,
    seed: Annotated[int, typer.Option(help="of weights, order, noise and subset")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="at most so many training images")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="side that images are brought to")] = None,
    device: Annotated[str, typer.Option(help="where to train: cpu, cuda, ...")] = "cpu",
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="so many share every batch; torchrun does it over machines")
    ] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress, no summary")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print training.json instead of a summary")] = False,
) -> None:
    """Train a model of any kind. Options of a kind, such as --latent 16: amiss train KIND --help.

    The same command goes on where it was interrupted. While it runs, its folder shows the loss on training and on
    test images (curve.svg), and samples or reconstructions (samples.png, reconstructions.png).
    """
    rank, world = rank_here()
    if processes > 1 and world == 1:
        if code := launch(["train", *context.meta["words"]], processes):
            raise typer.Exit(code)
        return
    # An option of the kind may have stood before an argument, and been taken for one.
    alone = {name for row in KINDS.values() for name, p in row.options.items() if isinstance(p.default, bool)}
    arguments, options = sorted_words([kind, data, *context.args], alone)
    if len(arguments) != 2:
        raise UsageError(
            "This names no kind and no images, or more than these.",
            slug="train-words",
            seen=" ".join(arguments)[:100] or "options alone",
            needed="amiss train KIND DATA --out DIR",
            hint=f"KIND is one of {', '.join(KINDS)}.",
        )
    chosen = kind_of(arguments[0])
    given = read_options(chosen, options)
    request = TrainRequest(
        chosen.name, arguments[1], out, given, epochs, steps, more, seed, limit, size, device, label_column, table
    )
    silent = quiet or as_json or rank > 0
    with _reporter(silent) as told:
        try:
            report = train_to_folder(request, told.step if told else None, told.look if told else None)
        except KeyboardInterrupt:
            if not silent and (out / STATE_FILE).is_file():
                typer.echo(f"What was done lies in {out}: the same command goes on there.", err=True)
            raise
    if rank > 0:
        return
    if as_json:
        typer.echo(json.dumps(report))
    elif not quiet:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in report["figures"].items() if ":" not in name)
        typer.echo(f"{out / MODEL_FILE}: {report['kind']}, {figures or 'nothing to test on, so no figures'}")
        if (worse := turned(report["history"]["held"])) is not None:
            step, least, last = worse
            typer.echo(
                f"On test data the loss was least at step {step}, {least:.4g}, and is {last:.4g} now: it has begun "
                f"to learn the training data by heart. --steps {step} into a new folder, or more data, may help.",
                err=True,
            )


@dataclass
class _Reporter:
    """Says where a run stands: a bar on a terminal, elsewhere a line every few seconds."""

    bar: Any = None
    task: Any = None
    said: float = field(default_factory=time.monotonic)
    held: str = ""

    def look(self, here: Look) -> None:
        """Keep the loss on test images, to be said with the next step."""
        last = {name: points[-1][1] for name, points in here.held.items() if points}
        self.held = ", on test images " + " ".join(f"{value:.4g}" for value in last.values()) if last else ""

    def step(self, p: Progress) -> None:
        """Say where the run stands."""
        loss = ", ".join(f"{name} {value:.4g}" for name, value in p.losses.items()) + self.held
        if self.bar is not None:
            text = f"epoch {p.epoch:.1f}  loss {loss}  {_clock(p.remaining)} to go"
            self.bar.update(self.task, completed=p.fraction, description=text)
        elif time.monotonic() - self.said >= _EVERY or p.fraction >= 1:
            self.said = time.monotonic()
            typer.echo(
                f"step {p.step} ({p.fraction:.0%}), epoch {p.epoch:.1f}, loss {loss}, "
                f"{_clock(p.seconds)} gone, {_clock(p.remaining)} to go",
                err=True,
            )


@contextmanager
def _reporter(quiet: bool) -> Iterator[_Reporter | None]:
    if quiet or not sys.stderr.isatty():
        yield None if quiet else _Reporter()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Reporter(bar, bar.add_task("training", total=1.0))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if seconds < 360_000 else "-:--"
