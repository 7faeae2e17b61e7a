"""What makes two runs the same: digests of model, data and probe, and a refusal that shows the difference."""

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from typing import Any

from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.errors import DataError
from amiss.repro import digest

__all__ = ["experiment", "likeness", "refuse_other", "wording"]


def experiment(fingerprints: Mapping[str, str]) -> str:
    """One digest of all that makes two runs the same: what shards and states are marked with."""
    return digest(repr(sorted(fingerprints.items())))


def wording(value: Any) -> str:
    """An object in the words that construct it, without the addresses in memory that change with every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def likeness(value: Any) -> str:
    """Digest of everything that an object is made of: weights, tensors, numbers, and the names of code.

    Code itself is known by its qualified name alone, with what it is bound to and closes over: a function that was
    rewritten under the same name passes. Of a network its state is taken and what it was constructed with, of a
    classifier its fingerprint beside that, and of a dataclass its fields: what they remember of their passes makes
    them no other ones.
    """
    return digest(*_parts(value, set()))


def _parts(value: Any, above: set[int]) -> list[bytes | str | Tensor]:
    if isinstance(value, Tensor):
        return ["tensor", value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return [repr(value)]
    if id(value) in above:
        return ["(itself)"]
    above = above | {id(value)}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Mapping):
        inner = [part for k, item in value.items() for part in (repr(k), *_parts(item, above))]
        return ["mapping", *inner, "end"]
    if isinstance(value, set | frozenset):
        return [kind, *sorted(digest(*_parts(item, above)) for item in value), "end"]
    if isinstance(value, list | tuple):
        return [kind, *(part for item in value for part in _parts(item, above)), "end"]
    if inspect.ismodule(value):
        return [value.__name__]
    if inspect.isclass(value):
        return [f"{value.__module__}.{value.__qualname__}"]
    if inspect.isroutine(value):
        # A method is what it is bound to as well, and a function what it closes over.
        bound = [getattr(value, "__self__", None), getattr(value, "__defaults__", None)]
        bound += [getattr(cell, "cell_contents", None) for cell in getattr(value, "__closure__", None) or ()]
        return [f"{getattr(value, '__module__', '')}.{value.__qualname__}", *_parts(bound, above)]
    if isinstance(value, Classifier):
        network = _parts(value.network, above) if isinstance(value.network, nn.Module) else []
        return [kind, value.fingerprint, value.gives, *network]
    if isinstance(value, nn.Module):
        given = [_given(part) for part in value.modules()]
        return [kind, wording(value), *_parts([dict(value.state_dict()), given], above)]
    return [kind, *_parts(_made_of(value), above)]


def _given(module: nn.Module) -> dict[str, Any]:
    """The values that a module was constructed with and keeps by name; the rest may be memories of its passes."""
    held = vars(module)
    names = [name for name in inspect.signature(type(module).__init__).parameters if name in held]
    return {name: held[name] for name in names if not callable(held[name])}


def _made_of(value: Any) -> Any:
    """What an object of another kind holds, as values of known kinds."""
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tobytes") and hasattr(value, "dtype"):  # an array
        return [str(value.dtype), list(value.shape), value.tobytes()]
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    slots = [name for base in type(value).__mro__ for name in getattr(base, "__slots__", ())]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})
    made = {name for base in type(value).__mro__ for name, v in vars(base).items() if isinstance(v, cached_property)}
    held = {name: part for name, part in held.items() if not name.startswith("__") and name not in made}
    return held or wording(value)


def refuse_other(there: Mapping[str, str], here: Mapping[str, str], folder: str) -> None:
    """Refuse to go on with a run that was begun with something else.

    Args:
        there: What the folder's run was begun with: names, and digests or words.
        here: What this run is begun with.
        folder: How the folder is called.

    Raises:
        DataError: They differ; the message shows where.
    """
    names = [*there, *(name for name in here if name not in there)]
    changed = [name for name in names if there.get(name) != here.get(name)]
    if not changed:
        return
    rows = [f"{n}: {_told(there.get(n, ''), here.get(n, ''))}" for n in changed]
    raise DataError(
        f"The run in {folder!r} was begun with another {' and another '.join(changed)}.",
        slug="run-other",
        seen="; ".join(rows),
        needed="the same model, data and settings, for a run is one experiment",
        why="a file or an option was changed in between",
        hint="Put it back, give a new folder by --out, or let --fork begin a new run beside it.",
    )


def _told(before: str, now: str) -> str:
    """Two digests, or the settings in which two lists of settings differ."""
    if _bare(before) and _bare(now):
        return f"{before[:12]} before, {now[:12]} now"
    old, new = before.split(", "), now.split(", ")
    gone, come = [x for x in old if x not in new], [x for x in new if x not in old]
    return f"{', '.join(gone) or 'nothing'} before, {', '.join(come) or 'nothing'} now"


def _bare(value: str) -> bool:
    return len(value) == 64 and all(c in "0123456789abcdef" for c in value)
