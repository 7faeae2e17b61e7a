"""Options of a recipe on the command line, read from the recipe's own signature."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any

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
    "sorted_words",
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


def sorted_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell arguments from options of a recipe, wherever these stand: "pgd --eps 8/255 nets.py:build photos".

    Args:
        words: What the command line left over, in order.

    Returns:
        The arguments, and the options with their values.
    """
    makers = (settings_of(recipe) for recipe in RECIPES.values())
    alone = {name for known in makers for name, p in known.items() if isinstance(p.default, bool)} | _ALONE
    arguments: list[str] = []
    options: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            arguments.append(word)
            continue
        options.append(word)
        name = word.removeprefix("--").removeprefix("no-").replace("-", "_")
        if rest and "=" not in word and name not in alone and not word.startswith("--no-"):
            options.append(rest.pop(0))
    return arguments, options


def parse_settings(name: str, words: Sequence[str]) -> dict[str, Any]:
    """Read `--eps 8/255 --steps 40 --no-residual` for a recipe.

    Args:
        name: Of the recipe.
        words: What the command line left over.

    Raises:
        UsageError: An option that the recipe does not have, one without a value, or a missing one.
    """
    known, found = settings_of(find_recipe(name)), {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        key = option.removeprefix("--").replace("-", "_")
        off = key.startswith("no_") and key[3:] in known
        parameter = known.get(key[3:] if off else key)
        if not option.startswith("--") or parameter is None:
            raise _unknown(name, word, known)
        if isinstance(parameter.default, bool):
            if equals:
                raise _wrong(name, option, value, f"{option} or --no-{key}, without a value")
            found[parameter.name] = not off
            continue
        if not equals:
            if not rest:
                raise _wrong(name, option, "nothing", "a value after it")
            value = rest.pop(0)
        found[key] = _value(name, option, value, parameter)
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


def _value(name: str, option: str, text: str, parameter: inspect.Parameter) -> Any:
    """A number where the recipe wants one: "8/255" is a fraction; "none" is none where that may be."""
    kind = str(parameter.annotation)
    if text.lower() == "none" and "None" in kind:
        return None
    if "int" in kind and text.lstrip("-").isdigit():
        return int(text)
    if "float" in kind:
        try:
            number = float(Fraction(text))
        except (ValueError, ZeroDivisionError, OverflowError):
            number = float("nan")
        if isfinite(number):
            return number
        raise _wrong(name, option, text, "a number such as 0.03 or 8/255")
    if "str" in kind or "Literal" in kind:
        return text
    raise _wrong(name, option, text, "a whole number")


def _unknown(name: str, word: str, known: dict[str, inspect.Parameter]) -> UsageError:
    flags = [f"--{key.replace('_', '-')}" for key in known]
    near = difflib.get_close_matches(word, flags, n=3)
    return UsageError(
        f"The recipe {name} has no option {word!r}.",
        slug="recipe-option",
        seen=word,
        needed=f"one of {', '.join(flags)}, or an option of every run",
        hint=f"Close names: {', '.join(near)}" if near else "amiss run --help lists those of every run.",
    )


def _wrong(name: str, option: str, value: str, needed: str) -> UsageError:
    return UsageError(
        f"The recipe {name} cannot take {option} like this.",
        slug="recipe-option",
        seen=f"{option} {value}",
        needed=needed,
        hint=f"docs/recipes/{name}.md says what each option means.",
    )
