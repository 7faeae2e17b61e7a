"""MODEL in one word: a file and a function, a checkpoint of ours, an ONNX file, or a name of a collection."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.errors import ModelError, UsageError
from amiss.loading.bare import Bare
from amiss.loading.checkpoint import open_checkpoint
from amiss.loading.collections import COLLECTIONS
from amiss.loading.onnx import open_onnx
from amiss.loading.pickles import SUFFIXES, forbidden_globals
from amiss.loading.python import call
from amiss.loading.weights import put_weights, refuse_nan

__all__ = ["open_classifier"]


def open_classifier(
    model: str,
    *,
    device: torch.device | str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    head: int | str | None = None,
    weights: Path | str | None = None,
) -> Classifier:
    """The classifier that MODEL names.

    Args:
        model: `path/file.py:function` (it takes nothing and returns an `amiss.Classifier`, or a module that wants
            images in [0, 1]), `path.safetensors` (a classifier trained by amiss, of one label or of many),
            `path.onnx` or `path.onnx:output`, `timm:NAME` or `torchvision:NAME`.
        device: Where it is moved; it stays where it is if left out.
        mean: Preprocessing for a bare network; in place of the collection's own for a name of one.
        std: The same.
        head: For a bare network of many labels, or a checkpoint of one, the number or name of the one that is read.
        weights: A file of weights for the network that the function returns, or for the name of a collection, which
            then fetches nothing.

    Raises:
        UsageError: MODEL is none of these, or brings what is given once more.
        ModelError: It cannot be had, or is something else.
        CheckpointError: The file of weights or the checkpoint is refused.
    """
    made = _open(model, device, weights, head)
    if isinstance(made, Classifier):
        # A checkpoint has said already whether it has heads.
        given = {"--mean": mean, "--std": std, "--head": None if model.endswith(".safetensors") else head}
        _refuse(model, [name for name, value in given.items() if value is not None], "a classifier already")
        if device is not None:
            made.device = torch.device(device)
            if isinstance(made.network, nn.Module):
                made.network.to(made.device)
        return made
    if made.bytes:
        given = {"--mean": mean, "--std": std}
        _refuse(model, [name for name, value in given.items() if value is not None], "a network of bytes")
    return Classifier(
        made.network,
        mean=made.mean if mean is None else mean,
        std=made.std if std is None else std,
        labels=made.labels,
        head=head,
        gives=made.gives,
        device=device,
        size=made.size,
        channels=made.channels,
    )


def _open(
    model: str, device: torch.device | str | None, weights: Path | str | None, head: int | str | None
) -> Classifier | Bare:
    collection, colon, name = model.partition(":")
    if colon and collection in COLLECTIONS:
        return COLLECTIONS[collection](name, weights)
    path, _, name = model.rpartition(":")
    if path.endswith(".py"):
        return _of_function(model, call(Path(path), name), weights)
    onnx, output = (path, name) if path.endswith(".onnx") else (model, None)
    if weights is not None and (onnx.endswith(".onnx") or model.endswith(".safetensors")):
        _refuse(model, ["--weights"], "a network with its weights")
    if onnx.endswith(".onnx"):
        return open_onnx(Path(onnx), output, device)
    if model.endswith(".safetensors"):
        return open_checkpoint(model, head)
    raise _unknown(model)


def _of_function(model: str, made: Any, weights: Path | str | None) -> Classifier | Bare:
    """What a user's function returned, with weights put into it where some are given."""
    if not callable(made) and not isinstance(made, Classifier):
        function = model.rpartition(":")[2]
        raise ModelError(
            f"{function}() returns no classifier.",
            slug="model-function",
            seen=f"a {type(made).__name__}",
            needed="an amiss.Classifier or a torch.nn.Module",
            hint="return amiss.Classifier(net, mean=..., std=..., labels=[...])",
        )
    network = made.network if isinstance(made, Classifier) else made
    if isinstance(network, nn.Module):
        if weights is not None:
            put_weights(network, weights)
        refuse_nan(network)
    elif weights is not None:
        _refuse(model, ["--weights"], "a callable that has none")
    return made if isinstance(made, Classifier) else Bare(made)


def _refuse(model: str, options: list[str], why: str) -> None:
    if options:
        raise UsageError(
            f"{' and '.join(options)} mean nothing for this MODEL.",
            slug="usage-preprocessing",
            seen=" and ".join(options),
            needed="a function that returns a bare torch.nn.Module, or a name of a collection",
            why=f"{Path(model).name} is {why}",
            hint="Leave them out, or change it where the network is made.",
        )


def _unknown(model: str) -> UsageError:
    why = ""
    if model.endswith(".py"):
        why = "the function's name is missing after a colon"
    elif (path := Path(model)).suffix.lower() in SUFFIXES:
        why = "weights alone are no network, and such a file is a pickle, which may run code of anybody's"
        if not path.exists():
            why += "; there is no such file, either"
        elif names := forbidden_globals(path):
            why += f"; this one names {', '.join(names[:5])}"
    hint = "Write a function that returns your network: amiss audit nets.py:build photos/"
    return UsageError(
        f"MODEL {model!r} is none that amiss knows.",
        slug="model-unknown",
        seen=model or "an empty word",
        needed="file.py:function, a .safetensors file of ours, an .onnx file, timm:NAME or torchvision:NAME",
        why=why,
        hint=f"{hint} --weights {Path(model).name}" if "weights alone" in why else hint,
    )
