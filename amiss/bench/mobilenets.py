"""The networks for photographs that the examples load, made quick, and pairs of photographs to search between."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amiss.analysis.pairs import draw_pairs
from amiss.bench.bench import Run, Skip
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.loading import open_classifier
from amiss.models import fused
from amiss.task import Task

__all__ = ["EARLY", "MIDDLE", "MOBILENETS", "POOL", "Mobile", "mobilenet", "paired", "photographs"]

EARLY, MIDDLE, POOL = "blocks.1.1", "blocks.3.1", "pool"
"""Layers of MobileNetV1: blocks 3 and 7 of 13, and the pooled features; the last is V2's too."""

_EXAMPLES = Path("examples")


@dataclass(frozen=True)
class Mobile:
    """Where a network is loaded from, and what it is shown.

    Attributes:
        file: Module in examples/.
        make: Its function.
        size: Side of the photographs in pixels.
    """

    file: str
    make: str
    size: int


MOBILENETS = {
    "v1-0.25": Mobile("mobilenet_v1.py", "mobilenetv1_025", 128),
    "v1-0.5": Mobile("mobilenet_v1.py", "mobilenetv1_050", 160),
    "v2": Mobile("mobilenet_v2.py", "mobilenet_v2", 224),
}
"""The networks by name."""


def mobilenet(run: Run, name: str) -> Classifier:
    """A network of the examples, its batch norms folded away, in the memory layout that is fast on processors.

    Args:
        run: Whose folder of real data holds the weights.
        name: In `MOBILENETS`.

    Raises:
        Skip: There are no examples or no weights here.
    """
    mobile = MOBILENETS[name]
    run.data("weights", f"{mobile.make}-tf-qat.safetensors")
    if not _EXAMPLES.is_dir():
        raise Skip("run it from the root of the project, where examples/ lies")
    classifier = open_classifier(f"{_EXAMPLES / mobile.file}:{mobile.make}")
    network: Any = classifier.network
    quick = fused(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Classifier(quick, mean=(0.5,) * 3, std=(0.5,) * 3, labels=classifier.labels)


def photographs(run: Run, size: int) -> Images:
    """The 200 photographs, one for each fifth class, as squares of that size.

    Raises:
        Skip: They are not here.
    """
    return open_data(str(run.data("imagenet-200")), size=size, channels=3)


def paired(classifier: Classifier, images: Images, n: int, seed: int) -> Task:
    """Sources, each with a guide of another class, all of them called by their true labels.

    Args:
        classifier: Who must be right.
        images: Labeled.
        n: Pairs; fewer where there are no more.
        seed: Of the choice.

    Returns:
        The sources, with `guide` their guides and `target` the guides' labels.
    """
    said = torch.cat([classifier.predict(images.images(rows)) for rows in torch.arange(len(images)).split(100)])
    pairs = draw_pairs(images.truth, said, n, seed)
    return images.pick(pairs.source).guided(images.pick(pairs.guide))
