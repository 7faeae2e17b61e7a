"""The decoder that repairs go along: given, or trained on the spot."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from amiss.audit.plan import Plan, Progress
from amiss.data import Images
from amiss.errors import TrainingError
from amiss.spaces.latent import Codec

__all__ = ["TRAINED", "find_decoder", "moved"]

TRAINED = "decoder.safetensors"
"""Where a decoder that was trained on the spot lies, in the run folder."""

_CLOCKED = " until the clock ended it"


def find_decoder(
    given: Codec | None,
    images: Images,
    out: Path,
    plan: Plan,
    tell: Progress,
    *,
    device: torch.device,
    needed: bool,
    train: bool = True,
) -> tuple[Codec | None, str, str]:
    """The decoder given, or one trained on the images where there is none and they suffice.

    Args:
        given: What the user gave.
        images: What is audited.
        out: Run folder; a decoder that is trained lies in it.
        plan: How many images and seconds a training needs.
        tell: Progress.
        device: Where the classifier is.
        needed: Whether there is a mistake to repair.
        train: Whether one may be trained now; else it is there or it is not.

    Returns:
        The decoder or None, where it comes from, and, without one, why there is none.
    """
    if given is not None:
        return moved(given, device), "the decoder given", ""
    if not needed:
        return None, "none", "No decoder was given, and there is no mistake to train one for"
    n, height, width = len(images), *images.pixels.shape[2:]
    if n < plan.decoder_images:
        few = f"{n:,} images are too few to train one ({plan.decoder_images:,})"
        return None, "none", f"No decoder was given, and {few}; amiss train vae makes one of more such images"
    if height != width or not 8 <= height <= 64:
        odd = f"one is trained for squares of 8 to 64 pixels only, not {height} x {width}"
        return None, "none", f"No decoder was given, and {odd}"
    from amiss.training import decoder_for, load_model
    from amiss.training import train as fit

    source, path = f"a decoder trained on these {n:,} images", out / TRAINED
    if path.is_file():  # by a session before this one
        made, facts = load_model(path)
        return moved(made, device), source + _CLOCKED * bool(facts.get("clocked")), ""
    if not train:
        return None, source, "The run folder holds no decoder that was trained"
    preset = decoder_for(images, seed=plan.seed, seconds=plan.decoder_seconds)
    tell("Training a decoder on these images", 0, 100)

    def on_step(step: Any) -> None:
        tell("Training a decoder on these images", round(100 * step.fraction), 100)

    try:
        trained = fit(preset, images, out=out / "decoder", on_step=on_step)
    except TrainingError as error:
        return None, source, f"Training a decoder on these images failed: {error.what.rstrip('.')}"
    if trained.history.clocked:  # then a faster machine has another decoder, and other repairs
        source, trained = source + _CLOCKED, replace(trained, facts={**trained.facts, "clocked": True})
    trained.save(path)
    model: Any = trained.model.eval()
    return moved(model, device), source, ""


def moved(codec: Any, device: torch.device) -> Codec:
    """The decoder where the classifier is, if it is a module that can be moved.

    Args:
        codec: Encoder and decoder.
        device: Where the classifier is.
    """
    if isinstance(codec, torch.nn.Module):
        codec.to(device)
    return codec
