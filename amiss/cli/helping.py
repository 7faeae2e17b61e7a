"""`amiss run RECIPE --help`: what one recipe or experiment takes; `amiss run --help` tells what every run does."""

import inspect
import re
from textwrap import wrap
from typing import Any

import typer
from typer.core import TyperCommand

from amiss.cli.experiment import Experiment
from amiss.cli.experiments import EXPERIMENTS
from amiss.cli.settings import settings_of
from amiss.recipes import RECIPES

__all__ = ["RunCommand", "help_of"]

_WIDTH, _INDENT = 100, 18


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
        return _page(experiment.name, arguments, experiment.what, said, experiment.page)
    if name not in RECIPES:
        return None
    recipe = RECIPES[name]
    documented = inspect.getdoc(recipe.make) or ""
    texts, said = _arguments(documented), {}
    for option, parameter in settings_of(recipe).items():
        default = "" if parameter.default is inspect.Parameter.empty else f" [{parameter.default}]"
        said[f"--{option.replace('_', '-')}"] = f"{texts.get(option, '')}{default}".strip()
    return _page(name, "MODEL DATA", documented.partition("\n\n")[0], said, f"docs/recipes/{name}.md")


def _experiment(experiment: Experiment) -> dict[str, str]:
    """Of each option what it is, what it may be, and its value where it is left out."""
    rows = {}
    for name, option in experiment.options.items():
        value = option.default if isinstance(option.default, list) else [option.default]
        words = ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
        default = "" if option.read is None or value == [None] or not words else f" [{words}]"
        rows[name] = f"{option.what}: {option.needed}{default}"
    return rows


def _arguments(documented: str) -> dict[str, str]:
    """The arguments of a Google docstring, by name."""
    part = documented.partition("\nArgs:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", part, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _page(name: str, arguments: str, what: str, options: dict[str, str], page: str) -> str:
    """The page of one recipe or experiment."""
    lines = [f"Usage: amiss run {name} {arguments} [OPTIONS]", "", *wrap(" ".join(what.split()), _WIDTH), ""]
    lines.append(
        f"Options of {name}, each with its value where it is left out:"
        if options
        else f"{name} has no options of its own."
    )
    for option, text in options.items():
        first, *rest = wrap(text, _WIDTH - _INDENT, break_on_hyphens=False) or [""]
        lines.append(f"  {option:<{_INDENT - 2}} {first}".rstrip())
        lines += [" " * (_INDENT + 1) + line for line in rest]
    return "\n".join([*lines, "", f"Options of every run: amiss run --help. More: {page}"])
