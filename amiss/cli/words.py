"""Options on the command line that a function's own signature names: read, refused, and explained."""

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from math import isfinite
from textwrap import wrap
from typing import Any, get_args

from amiss.errors import UsageError
from amiss.training import load_model

__all__ = ["Refuse", "explained", "page", "read_words", "sorted_words"]

Refuse = Callable[[str, str, str, str], UsageError]
"""What makes an error of: what failed, what was seen, what is needed, what to do."""

_WIDTH, _INDENT = 100, 18


def sorted_words(words: Sequence[str], alone: set[str]) -> tuple[list[str], list[str]]:
    """Tell arguments from options, wherever these stand: "pgd --eps 8/255 nets.py:build photos".

    Args:
        words: What the command line left over, in order.
        alone: Options without a value, but for those called `no-...`.

    Returns:
        The arguments, and the options with their values.
    """
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


def read_words(
    what: str, words: Sequence[str], known: Mapping[str, inspect.Parameter], refuse: Refuse, help_: tuple[str, str]
) -> dict[str, Any]:
    """Read `--eps 8/255 --steps 40 --no-residual` as arguments of a function.

    Numbers may be fractions, words of a list have commas between, and where the function takes a model that was
    loaded, a file of one is read.

    Args:
        what: Whose options they are, such as "recipe pgd".
        words: What the command line left over.
        known: The parameters that may be given, by name.
        refuse: Makes the error.
        help_: Where other options are listed, and where these are explained.

    Raises:
        UsageError: An option that is none of these, one without a value, or one that cannot be read.
        CheckpointError: A file that was named is no model.
    """
    found: dict[str, Any] = {}
    rest = list(words)

    def wrong(option: str, value: str, needed: str) -> UsageError:
        return refuse(f"The {what} cannot take {option} like this.", f"{option} {value}", needed, help_[1])

    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        key = option.removeprefix("--").replace("-", "_")
        off = key.startswith("no_") and key[3:] in known
        parameter = known.get(key[3:] if off else key)
        if not option.startswith("--") or parameter is None:
            flags = [f"--{name.replace('_', '-')}" for name in known]
            near = difflib.get_close_matches(option, flags, n=3)
            raise refuse(
                f"The {what} has no option {word!r}.",
                word,
                f"one of {', '.join(flags)}, or an option of every run" if flags else "an option of every run",
                f"Close names: {', '.join(near)}" if near else help_[0],
            )
        if isinstance(parameter.default, bool):
            if equals:
                raise wrong(option, value, f"{option} or --no-{key}, without a value")
            found[parameter.name] = not off
            continue
        if not equals:
            if not rest:
                raise wrong(option, "nothing", "a value after it")
            value = rest.pop(0)
        found[key] = _value(value, parameter, partial(wrong, option, value))
    return found


def _value(text: str, parameter: inspect.Parameter, wrong: Callable[[str], UsageError]) -> Any:
    """A number where one is wanted: "8/255" is a fraction; "none" is none where that may be."""
    kind = str(parameter.annotation)
    if text.lower() == "none" and "None" in kind:
        return None
    if "nn.modules" in kind or "nn.Module" in kind:
        return load_model(text)
    if "Sequence[str]" in kind:
        return tuple(word.strip() for word in text.split(","))
    if "int" in re.findall(r"\w+", kind) and text.lstrip("-").isdigit():
        return int(text)
    if "float" in kind:
        try:
            number = float(Fraction(text))
        except (ValueError, ZeroDivisionError, OverflowError):
            number = float("nan")
        if isfinite(number):
            return number
        raise wrong("a number such as 0.03 or 8/255")
    if "Literal" in kind and "str" not in re.findall(r"\w+", kind):  # else any text will do
        allowed = [str(word) for part in (parameter.annotation, *get_args(parameter.annotation))
                   for word in get_args(part) if isinstance(word, str)]  # fmt: skip
        if allowed and text not in allowed:
            raise wrong(f"one of {', '.join(dict.fromkeys(allowed))}")
        return text
    if "str" in kind:
        return text
    raise wrong("a whole number")


def explained(function: Callable[..., Any], known: Mapping[str, inspect.Parameter]) -> dict[str, str]:
    """For each option what its function's docstring says of it, and its value where it is left out."""
    part = (inspect.getdoc(function) or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", part, re.MULTILINE)
    texts, said = {name: " ".join(text.split()) for name, text in found}, {}
    for option, parameter in known.items():
        default = "" if parameter.default in (inspect.Parameter.empty, None) else f" [{parameter.default}]"
        said[f"--{option.replace('_', '-')}"] = f"{texts.get(option, '')}{default}".strip()
    return said


def page(verb: str, name: str, arguments: str, what: str, options: Mapping[str, str], more: str) -> str:
    """The page of `--help` of one recipe, experiment or kind."""
    lines = [f"Usage: amiss {verb} {name} {arguments} [OPTIONS]", "", *wrap(" ".join(what.split()), _WIDTH), ""]
    lines.append(
        f"Options of {name}, each with its value where it is left out:"
        if options
        else f"{name} has no options of its own."
    )
    for option, text in options.items():
        first, *rest = wrap(text, _WIDTH - _INDENT, break_on_hyphens=False) or [""]
        lines.append(f"  {option:<{_INDENT - 2}} {first}".rstrip())
        lines += [" " * (_INDENT + 1) + line for line in rest]
    return "\n".join([*lines, "", f"Options of every run: amiss {verb} --help. More: {more}"])
