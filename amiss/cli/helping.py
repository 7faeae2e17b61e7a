"""`amiss run RECIPE --help`: what one recipe or experiment takes; `amiss run --help` tells what every run does."""

import inspect
from typing import Any

import typer
from typer.core import TyperCommand

from amiss.cli.experiment import Experiment
from amiss.cli.experiments import EXPERIMENTS
from amiss.cli.settings import settings_of
from amiss.cli.words import explained, page
from amiss.recipes import RECIPES

__all__ = ["RunCommand", "about_recipe", "help_of"]


class RunCommand(TyperCommand):
    """`amiss run`, whose `--help` after a recipe is about that recipe."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Answer `RECIPE --help`; leave all else to typer."""
        text = help_of(args[0]) if args and "--help" in args else None
        if text is not None:
            typer.echo(text)
            raise typer.Exit
        return super().parse_args(ctx, args)


def help_of(word: str) -> str | None:
    """What a recipe or an experiment takes; None where the word is neither.

    Args:
        word: Its name, with hyphens or not.
    """
    name = word.replace("-", "_")
    if name in EXPERIMENTS:
        experiment, arguments = EXPERIMENTS[name].asks, "MODEL [DATA]" if EXPERIMENTS[name].alone else "MODEL DATA"
        said = {f"--{option}": row for option, row in _experiment(experiment).items()}
        return page("run", experiment.name, arguments, experiment.what, said, experiment.page)
    if name not in RECIPES:
        return None
    recipe = RECIPES[name]
    said = explained(recipe.make, settings_of(recipe))
    return page("run", name, "MODEL DATA", about_recipe(name), said, f"docs/recipes/{name}.md")


def about_recipe(name: str) -> str:
    """What a recipe is, in a sentence or two: how its docstring begins."""
    return " ".join((inspect.getdoc(RECIPES[name].make) or "").partition("\n\n")[0].split())


def _experiment(experiment: Experiment) -> dict[str, str]:
    """Of each option what it is, what it may be, and its value where it is left out."""
    rows = {}
    for name, option in experiment.options.items():
        value = option.default if isinstance(option.default, list) else [option.default]
        words = ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
        default = "" if option.read is None or value == [None] or not words else f" [{words}]"
        rows[name] = f"{option.what}: {option.needed}{default}"
    return rows
