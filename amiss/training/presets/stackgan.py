"""Recipes of StackGAN: stage I on images of half the side, stage II with a finished stage I inside."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.images import Images
from amiss.data.worlds.captions import grammar_of
from amiss.errors import ModelError
from amiss.models import StackGAN, TextEncoder
from amiss.repro import digest
from amiss.training.kind import Kind, images_of
from amiss.training.losses.stackgan import StackGANLoss
from amiss.training.measures.sentences import critic_figures, nearly_right
from amiss.training.preset import Preset, fast, several, square
from amiss.training.recipe import TrainingRecipe

__all__ = ["STACKGAN", "stackgan_for"]

_STEPS = {1: 2500, 2: 2000}
_BATCH = 64
_WRONG = 2  # sentences of each image that are wrong in one label, for the critic to learn from
_NEARLY = 7919  # times the seed: lots that no test draws


def stackgan_for(
    images: Images,
    *,
    first: tuple[nn.Module, Mapping[str, Any]] | None = None,
    seed: int = 0,
    epochs: float | None = None,
    width: int = 32,
) -> Preset:
    """A StackGAN for square images with captions of a drawn world: stage I, or stage II where stage I is given.

    Args:
        images: The training images, each with its caption.
        first: A finished stage I, as `load_model` gives it: a `StackGAN` of one stage for the same images.
        seed: Of weights, order and noise.
        epochs: Passes over the images; by default what makes 2,500 steps of stage I, or 2,000 of stage II.
        width: Channels of stage I at its full side (see `StackGAN`); stage II takes that of stage I.

    Raises:
        DataError: The images are not square, have no captions of a known world, or are one alone.
        UsageError: Their side is no multiple of 8.
        ModelError: What is given is no stage I, or one of another world, or for images of another size.
    """
    channels, size = square(images)
    several(images)
    grammar = grammar_of(images.captions)
    arguments: dict[str, Any] = {
        "words": list(grammar.words),
        "levels": [len(names) for names in grammar.values],
        "channels": channels,
        "size": size,
        "width": width,
        "examples": list(dict.fromkeys(images.captions[:16])),
    }
    stage, start = 1, {}
    if first is not None:
        stage, start = 2, _inside(first, arguments)
        arguments |= {"width": first[1]["recipe"]["arguments"]["width"], "stages": 2}
    name = digest(*(part for key in sorted(start) for part in (key, start[key]))) if start else ""
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:
        length = {"steps": _STEPS[stage]}
    training = TrainingRecipe(
        **length, batch=_BATCH, rate=1e-3, schedule="cosine", betas=(0.5, 0.99), ema=0.995, seed=seed, **fast(size)
    )
    model = {"architecture": "StackGAN", "arguments": arguments}
    return Preset("stackgan", model, StackGANLoss(stage, start=name), training, start)


def _inside(first: tuple[nn.Module, Mapping[str, Any]], arguments: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of a finished stage I that stage II goes on with."""
    model, there = first[0], first[1].get("recipe", {}).get("arguments", {})
    stages = model.stages if isinstance(model, StackGAN) else 0
    differ = [name for name in ("words", "levels", "channels", "size") if there.get(name) != arguments[name]]
    if stages != 1 or differ:
        raise ModelError(
            "Stage II needs a stage I for the same images and sentences.",
            slug="stackgan-first",
            seen=f"another {', '.join(differ)}"
            if stages == 1
            else f"a {type(model).__name__}" + " of two" * (stages > 1),
            needed="a StackGAN of one stage that was trained on the same data",
            hint="Train it first: amiss train stackgan DATA --out first/, and pass first/model.safetensors.",
        )
    kept = ("text.", "first.")
    return {name: t.detach().clone() for name, t in model.state_dict().items() if name.startswith(kept)}


def _data(preset: Preset, images: Images) -> dict[str, Tensor]:
    """Images, the tokens of their sentences, the labels that these mean, and sentences wrong in one label."""
    arguments = preset.model["arguments"]
    text = TextEncoder(arguments["words"], arguments["levels"])
    grammar = grammar_of(images.captions)
    labels = [grammar.read(caption) for caption in images.captions]
    near = [text.read(nearly_right(labels, grammar, _NEARLY * (preset.training.seed + 1) + i)) for i in range(_WRONG)]
    return images_of(preset, images) | {
        "tokens": text.read(images.captions),
        "label": torch.tensor(labels),
        "near": torch.stack(near, 1),
    }


def _figures(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    assert isinstance(model, StackGAN)  # noqa: S101
    return critic_figures(model, test)


STACKGAN = Kind(
    "stackgan",
    "Images of sentences in two stages: train stage I first, then stage II with --first.",
    stackgan_for,
    _figures,
    bound="none",
    data=_data,
)
