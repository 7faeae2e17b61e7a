"""The verbs, as one typer application."""

from typing import Annotated

import typer

from amiss._version import __version__
from amiss.cli.audit import audit
from amiss.cli.bench import bench
from amiss.cli.check import check
from amiss.cli.codec import codec
from amiss.cli.compare import compare
from amiss.cli.defend import defend
from amiss.cli.demo import demo
from amiss.cli.figures import figures
from amiss.cli.helping import RunCommand
from amiss.cli.listing import list_
from amiss.cli.run import run as run_recipe
from amiss.cli.sample import sample
from amiss.cli.show import show
from amiss.cli.train import TrainCommand, train

__all__ = ["app", "run"]

_INTERRUPTED = 130

app = typer.Typer(
    name="amiss",
    help="See where an image classifier goes amiss, why, and what would put it right.",
    epilog="Everywhere: --debug shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (demo, audit, check, show, compare, sample, defend, figures, bench):
    app.command()(verb)
# What is left over are options of the recipe, or of the kind.
extra = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("run", cls=RunCommand, context_settings=extra)(run_recipe)
app.command("train", cls=TrainCommand, context_settings=extra)(train)
app.command("list")(list_)
app.add_typer(codec, name="codec")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="print the version and stop")] = False) -> None:
    """See where an image classifier goes amiss, why, and what would put it right."""
    if show:
        typer.echo(f"amiss {__version__}")
        raise typer.Exit


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code, and lets errors of ours through."""
    try:
        code = app(arguments, prog_name="amiss", standalone_mode=False)
    except typer.Abort:
        code = _INTERRUPTED
    except Exception as error:
        # Typer's usage errors know how to show themselves; everything else is for the caller.
        show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
        if show is None or code is None:
            raise
        show()
    if code == _INTERRUPTED:
        # Typer swallows Ctrl-C; the caller says what became of it.
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
