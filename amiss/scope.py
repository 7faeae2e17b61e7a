"""A pass through somebody else's module that leaves no trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["untouched"]


@contextmanager
def untouched(network: Any) -> Iterator[None]:
    """Evaluation mode and frozen parameters for the length of one pass; every flag as it was, even after an error.

    Args:
        network: A module; anything else is left alone.
    """
    if not isinstance(network, nn.Module):
        yield
        return
    training = [module for module in network.modules() if module.training]
    # A parameter made under inference_mode cannot be thawed again, and learns nothing as it is.
    learning = [p for p in network.parameters() if p.requires_grad and not p.is_inference()]
    try:
        for module in training:
            module.training = False
        for p in learning:
            p.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for p in learning:
            p.requires_grad_(True)
