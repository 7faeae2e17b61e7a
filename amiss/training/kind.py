"""A kind of model that can be trained: one row of the table, and all that the trainer's users ask of it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from amiss.data.images import Images
from amiss.models.density import Bound
from amiss.training.preset import Preset

__all__ = ["Kind", "images_of"]


def images_of(_: Preset, images: Images) -> dict[str, Tensor]:
    """What most losses read: the pixels alone."""
    return {"image": images.pixels}


def _nothing(_: Preset) -> dict[str, Any]:
    """No facts beside the usual ones."""
    return {}


@dataclass(frozen=True)
class Kind:
    """What `amiss train NAME DATA` trains.

    Attributes:
        name: The word on the command line.
        about: What it is, in one sentence.
        preset: The recipe for the data; its keyword names beside `seed` and `epochs` are the options of the kind.
        evaluate: Figures of a trained model on data that it has not seen, in eval mode on the CPU.
        bound: What its `log_prob` is; None for a model that is no density.
        data: The tensors [n, ...] that its loss reads, by name.
        facts: What the model's file says beside the figures, plain JSON.
        labeled: Whether the training images need labels.
        source: What it learns from: `Images`, a `Text`, or `Sequences`.
        counts: What the length of its data counts.
    """

    name: str
    about: str
    preset: Callable[..., Preset]
    evaluate: Callable[[nn.Module, Preset, Any], dict[str, float]]
    bound: Bound | None = None
    data: Callable[[Preset, Any], dict[str, Tensor]] = images_of
    facts: Callable[[Preset], dict[str, Any]] = _nothing
    labeled: bool = False
    source: Literal["images", "text", "sequences"] = "images"
    counts: str = "images"

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The parameters of the recipe behind its data that are this kind's own, by name."""
        known = inspect.signature(self.preset).parameters
        return {name: p for name, p in list(known.items())[1:] if name not in ("seed", "epochs", "seconds")}
