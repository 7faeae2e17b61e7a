"""States as files: nested tensors and plain values, taken apart for safetensors and put together bit for bit."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from torch import Tensor

from amiss.errors import ContractError

__all__ = ["pack", "unpack"]


def pack(value: Any) -> tuple[dict[str, Tensor], Any]:
    """Take a state apart.

    Args:
        value: Tensors, numbers, text, booleans and None, in dictionaries, lists and tuples.

    Returns:
        The tensors by number, and JSON that says where each belongs.

    Raises:
        ContractError: The state holds something else, which could not be saved.
    """
    tensors: dict[str, Tensor] = {}

    def plain(part: Any, place: str) -> Any:
        if part is None or isinstance(part, bool | int | str):
            return part
        if isinstance(part, float):
            return part if isfinite(part) else {"float": repr(part)}
        if isinstance(part, Tensor):
            tensors[str(len(tensors))] = part
            return {"tensor": str(len(tensors) - 1)}
        if type(part) is list:  # what is more than a list would come back as less than it was
            return [plain(item, f"{place}[{i}]") for i, item in enumerate(part)]
        if type(part) is tuple:
            return {"tuple": [plain(item, f"{place}[{i}]") for i, item in enumerate(part)]}
        if type(part) is dict:
            # Pairs, for JSON would turn every key into text.
            return {"dict": [[plain(k, place), plain(item, f"{place}[{k!r}]")] for k, item in part.items()]}
        raise ContractError(
            "A state holds something that cannot be saved.",
            slug="state-not-plain",
            seen=f"a {type(part).__name__} at {place}",
            needed="tensors, numbers, text, booleans and None, in dictionaries, lists and tuples",
            hint="Keep plain values in the optimizer's state, and build objects from them where they are used.",
        )

    return tensors, plain(value, "state")


def unpack(tensors: Mapping[str, Tensor], plain: Any) -> Any:
    """What `pack` took apart."""
    if isinstance(plain, list):
        return [unpack(tensors, item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, part),) = plain.items()
    if kind == "tensor":
        return tensors[part]
    if kind == "float":
        return float(part)
    if kind == "tuple":
        return tuple(unpack(tensors, item) for item in part)
    return {unpack(tensors, k): unpack(tensors, item) for k, item in part}
