"""The networks for photographs that the examples load, made fast, and pairs of photographs to search between."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.pairs import draw_pairs
from amiss.bench.bench import Run, Skip
from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.demo import demo_classifier, demo_faces
from amiss.loading import open_classifier
from amiss.models import fused
from amiss.objectives import Mimic
from amiss.task import Task

__all__ = [
    "EARLY",
    "MIDDLE",
    "MOBILENETS",
    "POOL",
    "Mobile",
    "Scene",
    "mobilenet",
    "paired",
    "photographs",
    "ratios",
    "scene",
]

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
    fast = fused(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Classifier(fast, mean=(0.5,) * 3, std=(0.5,) * 3, labels=classifier.labels, size=mobile.size)


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


@dataclass(frozen=True)
class Scene:
    """A network, pairs of images for it, and three of its layers.

    Attributes:
        classifier: The network.
        task: Sources with guides of other classes.
        layers: An early one, a middle one, and the last hidden one.
    """

    classifier: Classifier
    task: Task
    layers: tuple[str, str, str]


def scene(run: Run, name: str, n: int) -> Scene:
    """A network of the examples with n pairs of photographs; if quick, that of the demo with 8 pairs of drawn faces.

    Args:
        run: Its seed chooses the pairs.
        name: In `MOBILENETS`.
        n: Pairs.

    Raises:
        Skip: There are no examples, weights or photographs here.
    """
    if run.quick:
        demo = demo_classifier()
        return Scene(demo, paired(demo, demo_faces(60), min(n, 8), run.seed), ("pool1", "pool2", "relu5"))
    classifier = mobilenet(run, name)
    task = paired(classifier, photographs(run, MOBILENETS[name].size), n, run.seed)
    return Scene(classifier, task, (EARLY, MIDDLE, POOL))


def ratios(classifier: Classifier, layer: str, task: Task, images: Tensor) -> Tensor:
    """R1 of each image [n], d(a, g) / d(s, g) at a layer, whatever it was made by.

    Args:
        classifier: Who is asked.
        layer: Where distances are taken.
        task: Sources and guides.
        images: What was made of the sources [n, C, H, W].
    """
    objective, found = Mimic(layer), []
    with torch.no_grad():
        for rows in torch.arange(len(task)).split(25):
            part = objective.prepare(classifier, task.rows(rows))
            found.append(objective.score(objective.read(classifier, images[rows], part, None), part)[0].sqrt())
    return torch.cat(found)
