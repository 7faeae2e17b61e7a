"""MODEL and DATA's options as every verb takes them."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.classifier import Classifier
from amiss.loading import open_classifier

__all__ = ["MODEL_HELP", "Head", "Table", "Weights", "named"]

MODEL_HELP = "file.py:function, a .safetensors file of ours, an .onnx file, timm:NAME or torchvision:NAME"

Head = Annotated[
    str | None, typer.Option(help="which of a network's many labels is read: its number from 0, or its name")
]
Weights = Annotated[
    Path | None,
    typer.Option(help="weights for the network that MODEL builds: .safetensors, or .pt with weights alone"),
]

Table = Annotated[
    str | None, typer.Option(help="a CSV of attributes, one row an image, for images that have labels without it")
]


def named(
    model: str,
    *,
    device: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    head: str | None,
    weights: Path | None,
) -> Classifier:
    """The classifier that MODEL and its options name; a head of digits is a number."""
    column = int(head) if head is not None and head.isdecimal() else head
    return open_classifier(model, device=device, mean=mean, std=std, head=column, weights=weights)
