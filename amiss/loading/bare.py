"""A network before it is a classifier, with what its source knows of it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from amiss.errors import ModelError
from amiss.task import Level

__all__ = ["Bare", "package"]


@dataclass(frozen=True)
class Bare:
    """A network and what is known of it; what is None is not.

    Attributes:
        network: Images [N, C, H, W] to logits.
        mean: Mean for each channel, subtracted from images in [0, 1].
        std: Standard deviation for each channel.
        labels: Names of its outputs.
        size: Side of the square images that it was trained on.
        channels: Of the images that it takes.
        gives: How far up the ladder it goes.
        bytes: Whether it takes bytes 0..255, which cannot be normalized.
    """

    network: Callable[[Tensor], Any]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    size: int | None = None
    channels: int | None = None
    gives: Level = "jacobian"
    bytes: bool = False


def package(name: str, what: str) -> Any:
    """Import a package that amiss can do without.

    Args:
        name: Of the package, or of a module inside it.
        what: What it is wanted for, as the beginning of a sentence: "An ONNX file".

    Raises:
        ModelError: It is not installed, or does not work here.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # built for another torch it raises whatever it likes
        root = name.partition(".")[0]
        absent = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == root
        raise ModelError(
            f"{what} needs the package {root}, which {'is not installed' if absent else 'cannot be imported'}.",
            slug="model-package",
            seen=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}",
            needed=root,
            why="it is an extra that amiss does not install by itself" if absent else "built for another torch",
            hint=f"pip install {root}",
        ) from error
