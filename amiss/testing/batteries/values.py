"""What batteries compare: trees of values, saved and loaded again, and everything of a model that could change."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from amiss.task import Task
from amiss.testing.batteries.verdicts import need

__all__ = ["apart", "cloned", "parts_of", "refuse_strange", "same", "saved", "shaken", "tolerance", "traces"]


def same(a: Any, b: Any) -> bool:
    """Whether two trees of values are equal bit for bit; NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device:
            return False
        return bool(((a == b) | ((a != a) & (b != b))).all())
    return type(a) is type(b) and bool(a == b or (a != a and b != b))


def apart(a: Tensor, b: Tensor) -> float:
    """Largest difference of two tensors; infinite where their shapes differ or one is not finite."""
    if a.shape != b.shape:
        return float("inf")
    if not a.numel():
        return 0.0
    gap = (a.double() - b.double()).abs()
    return float(torch.where(gap.isfinite(), gap, torch.inf).amax())


def tolerance(*tensors: Tensor, fine: float = 1e-9, coarse: float = 1e-4) -> float:
    """How far numbers of these types may be apart: `fine` in float64, `coarse` below."""
    return fine if all(t.dtype == torch.float64 for t in tensors) else coarse


def cloned(value: Any) -> Any:
    """A copy of a tree of values."""
    if isinstance(value, dict):
        return {key: cloned(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(cloned, value))
    return value.detach().clone() if isinstance(value, Tensor) else value


def parts_of(task: Task) -> dict[str, Any]:
    """The fields of a task as a tree of values."""
    return {f.name: getattr(task, f.name) for f in fields(task)}


def refuse_strange(value: Any, path: str = "state") -> None:
    """Refuse what no file of tensors and plain values can hold.

    Raises:
        Broken: Something else than tensors, numbers, strings, booleans, None, lists and dicts with string keys.
    """
    if isinstance(value, dict):
        for key, v in value.items():
            need(type(key) is str, f"{path} has the key {key!r}", "keys that are strings")
            refuse_strange(v, f"{path}[{key!r}]")
    elif type(value) is list:
        for i, v in enumerate(value):
            refuse_strange(v, f"{path}[{i}]")
    elif isinstance(value, Tensor):
        need(not value.requires_grad, f"{path} requires a gradient", "tensors that carry no graph")
    else:
        known = value is None or type(value) in (bool, int, float, str)
        need(known, f"{path} is a {type(value).__name__}", "tensors, numbers, strings, None, lists and dicts")


def saved(state: Any) -> Any:
    """The state as it comes back from a file of tensors and a text of plain values."""
    from safetensors.torch import load, save

    tensors: dict[str, Tensor] = {}

    def pack(value: Any) -> Any:
        if isinstance(value, dict):
            return {"dict": {key: pack(v) for key, v in value.items()}}
        if isinstance(value, list):
            return [pack(v) for v in value]
        if isinstance(value, Tensor):
            tensors[str(len(tensors))] = value.detach().cpu().contiguous().clone()
            return {"tensor": str(len(tensors) - 1), "device": str(value.device)}
        return value

    def unpack(value: Any) -> Any:
        if isinstance(value, list):
            return [unpack(v) for v in value]
        if isinstance(value, dict) and "dict" in value:
            return {key: unpack(v) for key, v in value["dict"].items()}
        return loaded[value["tensor"]].to(value["device"]) if isinstance(value, dict) else value

    text = json.dumps(pack(state))
    loaded = load(save(tensors))
    return unpack(json.loads(text))


def traces(model: Any) -> dict[str, Any]:
    """Everything of a model, and of the process, that a search must leave as it is."""
    import numpy as np

    found: dict[str, Any] = {
        "torch's random state": torch.get_rng_state(),
        "Python's random state": repr(random.getstate()),
        "NumPy's random state": repr(np.random.get_state()),  # noqa: NPY002 - the global one is what is watched
        "torch's gradient mode": torch.is_grad_enabled(),
    }
    if not isinstance(model, nn.Module):
        return found
    parameters = dict(model.named_parameters())
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        **found,
        "parameters": {name: p.detach().clone() for name, p in parameters.items()},
        "buffers": {name: b.detach().clone() for name, b in model.named_buffers()},
        "training flags": {name: module.training for name, module in model.named_modules()},
        "requires_grad": {name: p.requires_grad for name, p in parameters.items()},
        "gradients": {name: None if p.grad is None else p.grad.clone() for name, p in parameters.items()},
        "hooks": {f"{name}.{k}": len(getattr(m, k)) for name, m in model.named_modules() for k in kinds},
    }


@contextmanager
def shaken() -> Iterator[None]:
    """Other global random states than before, for the length of a block."""
    import numpy as np

    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            torch.manual_seed(torch.initial_seed() + 1)
            random.seed(random.random())  # noqa: S311 - no secret
            np.random.seed(random.randrange(2**32))  # noqa: NPY002, S311
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002
