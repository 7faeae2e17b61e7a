"""What all recipes of models are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from amiss.data.images import Images
from amiss.errors import DataError
from amiss.training.losses import TrainingLoss
from amiss.training.recipe import TrainingRecipe

__all__ = ["Preset", "fast", "preset_of", "several", "square"]


@dataclass(frozen=True)
class Preset:
    """All that decides a trained model but its data.

    Attributes:
        kind: What it is a recipe for: a name in `amiss.training.KINDS`.
        model: What `amiss.models.build` needs; plain JSON.
        loss: What is minimized.
        training: How long, how fast, how exactly. Its seed also draws the initial weights.
        start: Weights by name that are put in place of the drawn ones before the first step.
    """

    kind: str
    model: dict[str, Any]
    loss: TrainingLoss
    training: TrainingRecipe
    start: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)


def preset_of(kind: str, name: str, arguments: dict[str, Any], loss: TrainingLoss, **training: Any) -> Preset:
    """A preset from an architecture's name and arguments, and the fields of a `TrainingRecipe`."""
    return Preset(kind, {"architecture": name, "arguments": arguments}, loss, TrainingRecipe(**training))


def fast(size: int = 28) -> dict[str, Any]:
    """The quick form of arithmetic: bf16 where the processor has it and images are large enough to gain."""
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    bf16 = size >= 16 and (able.get("avx512_bf16", False) or able.get("amx_bf16", False))
    return {"precision": "bf16" if bf16 else "float32", "channels_last": True}


def square(images: Images) -> tuple[int, int]:
    """Channels and side of square images.

    Raises:
        DataError: They are not square.
    """
    _, channels, height, width = images.pixels.shape
    if height != width:
        raise DataError(
            "The models of amiss take square images.",
            slug="data-not-square",
            seen=f"{height} x {width}",
            needed="height equal to width",
            hint=f"Open the data with size={min(height, width)}, which cuts the center out.",
        )
    return channels, height


def several(images: Images) -> None:
    """Refuse a single image, where a network normalizes over the images of a batch.

    Raises:
        DataError: There is one image alone.
    """
    if len(images) < 2:
        raise DataError(
            "One image is too few to train this model.",
            slug="training-single",
            seen="1 training image",
            needed="two or more",
            why="its batch norms compare the images of a batch",
            hint="Give more images, or a higher --limit.",
        )
