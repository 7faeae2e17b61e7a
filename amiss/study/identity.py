"""What makes two runs the same: digests of model, data and probe, and a refusal that shows the difference."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from amiss.errors import DataError
from amiss.repro import digest

__all__ = ["likeness", "refuse_other"]


def likeness(value: Any) -> str:
    """Digest of everything that an object is made of: weights, tensors, numbers, and the names of code.

    Code itself is known by its qualified name alone: a function that was rewritten under the same name passes.
    """
    return digest(*_parts(value, set()))


def _parts(value: Any, above: set[int]) -> list[str | Tensor]:
    if isinstance(value, Tensor):
        return ["tensor", value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return [repr(value)]
    if id(value) in above:
        return ["(itself)"]
    above = above | {id(value)}
    if isinstance(value, Mapping):
        inner = [part for k, item in value.items() for part in (repr(k), *_parts(item, above))]
        return ["mapping", *inner, "end"]
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [type(value).__name__, *(part for item in items for part in _parts(item, above)), "end"]
    if inspect.isroutine(value) or inspect.isclass(value):
        return [f"{value.__module__}.{value.__qualname__}"]
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, nn.Module):
        return [kind, *_parts(dict(value.state_dict()), above)]
    held = {k: v for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("__")}
    return [kind, *_parts(held, above)]


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
