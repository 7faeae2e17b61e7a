"""Options of a recipe on the command line, read from the recipe's own signature."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from amiss.cli.words import read_words
from amiss.errors import UsageError
from amiss.recipes import RECIPES, Recipe

__all__ = [
    "ATTACKS",
    "CAMERA",
    "EXPERIMENT",
    "EXPERIMENTS",
    "FOOLING",
    "find_recipe",
    "parse_budget",
    "parse_settings",
    "refuse_misfit",
    "settings_of",
    "words_alone",
]

EXPERIMENT = "feature_opt"
"""The recipe that a command runs as an experiment, with settings of its own: several layers, several bounds."""
FOOLING = "fooling"
"""Likewise, and the name of no recipe: several encodings, over all classes."""
CAMERA = "camera"
"""Likewise: adversaries of one view and of many, photographed."""
ATTACKS = "attacks"
"""Likewise: every recipe of label attacks."""
EXPERIMENTS = (EXPERIMENT, FOOLING, CAMERA, ATTACKS)

_OURS = ("decoder", "shape", "seed", "batch", "codes", "labels")
"""What the command line gives a recipe itself, and what it has no words for."""
_ALONE = {"print"}
"""Options of experiments that have no value, beside those that are called `no-...`."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in RECIPES:
        single, experiments = sorted({*RECIPES} - {*EXPERIMENTS}), [e.replace("_", "-") for e in EXPERIMENTS]
        near = difflib.get_close_matches(name, [*single, *experiments], n=3)
        raise UsageError(
            f"There is no recipe {name!r}.",
            slug="recipe-unknown",
            seen=name,
            needed=f"one of {', '.join(single)}; or an experiment: {' or '.join(experiments)}",
            hint=f"Close names: {', '.join(near)}" if near else "amiss run pgd MODEL DATA --eps 8/255",
        )
    return RECIPES[name]


def settings_of(recipe: Recipe) -> dict[str, inspect.Parameter]:
    """The settings that a user may give, by name."""
    parameters = inspect.signature(recipe.make).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in _OURS}


def words_alone() -> set[str]:
    """Options of recipes and experiments that have no value, but for those called `no-...`."""
    makers = (settings_of(recipe) for recipe in RECIPES.values())
    return {name for known in makers for name, p in known.items() if isinstance(p.default, bool)} | _ALONE


def parse_settings(name: str, words: Sequence[str]) -> dict[str, Any]:
    """Read `--eps 8/255 --steps 40 --no-residual` for a recipe.

    Args:
        name: Of the recipe.
        words: What the command line left over.

    Raises:
        UsageError: An option that the recipe does not have, one without a value, or a missing one.
    """
    known = settings_of(find_recipe(name))
    help_ = ("amiss run --help lists those of every run.", f"docs/recipes/{name}.md says what each option means.")
    found = read_words(f"recipe {name}", words, known, _refused, help_)
    needed = [key for key, p in known.items() if p.default is inspect.Parameter.empty and key not in found]
    if needed:
        raise UsageError(
            f"The recipe {name} needs --{needed[0].replace('_', '-')}.",
            slug="recipe-option",
            seen=" ".join(words) or "no option",
            needed=", ".join(f"--{key.replace('_', '-')}" for key in needed),
            hint=f"amiss run {name} MODEL DATA --{needed[0].replace('_', '-')} 8/255",
        )
    return found


def refuse_misfit(recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """Refuse settings, read from a file, that are none of a recipe's or of another kind.

    Raises:
        ValueError: There is one; the message names it.
    """
    known = settings_of(recipe)
    for name, value in settings.items():
        kind = str(known[name].annotation) if name in known else ""
        kinds = {"None": type(None), "bool": bool, "int": int, "float": int | float, "str": str, "Literal": str}
        fits = [isinstance(value, of) for word, of in kinds.items() if word in kind]
        if not any(fits) or (isinstance(value, bool) and "bool" not in kind):
            raise ValueError(f"{name} = {value!r}")
    if missing := [
        name for name, p in known.items() if p.default is inspect.Parameter.empty and name not in settings
    ]:
        raise ValueError(f"{missing[0]} is missing")


def parse_budget(text: str | None) -> dict[str, Any]:
    """The limits of `--budget steps=40,queries=1000,seconds=60`; none where nothing was given.

    Raises:
        UsageError: A limit is unknown, or no number.
    """
    found: dict[str, Any] = {}
    for part in (text or "").split(",") if text is not None else ():
        name, _, value = part.strip().partition("=")
        whole = name in ("steps", "queries")
        try:
            found[name] = {"steps": int, "queries": int, "seconds": float}[name](value)
        except (KeyError, ValueError) as error:
            raise UsageError(
                "The budget cannot be read.",
                slug="run-budget",
                seen=repr(part.strip()),
                needed="a whole number after the =" if whole else "steps=N, queries=N or seconds=N, comma between",
                hint="--budget queries=1000,seconds=60",
            ) from error
    return found


def _refused(message: str, seen: str, needed: str, hint: str) -> UsageError:
    return UsageError(message, slug="recipe-option", seen=seen, needed=needed, hint=hint)
