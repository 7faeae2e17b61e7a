"""What layers still know of a source, its imposter and its guide: images found from features alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from amiss.analysis.geometry import read_features
from amiss.audit.desk import Desk
from amiss.audit.imposters import Imposters
from amiss.data import Images, to_bytes
from amiss.objectives.features import above_rounding
from amiss.recipes import invert
from amiss.study import Inputs
from amiss.task import Task

__all__ = ["Inverted", "invert_pairs"]


@dataclass(frozen=True)
class Inverted:
    """What one layer gives back of one pair.

    Attributes:
        layer: Whose features were inverted.
        pair: Which of the pairs.
        paths: The files of what was found of source, imposter and guide [3], relative to the run folder.
        near: How far the features of each lie from those wanted, as a share of their length [3].
    """

    layer: str
    pair: int
    paths: tuple[str, ...]
    near: tuple[float, ...]


def invert_pairs(
    desk: Desk, images: Images, part: Imposters, layers: Sequence[str], names: Sequence[str], pairs: int
) -> tuple[Inverted, ...]:
    """Invert every layer for the first pairs: source, imposter and guide.

    Args:
        desk: Where the searches are done: one study a layer.
        images: Where sources and guides are.
        part: The imposters.
        layers: Whose features are inverted.
        names: Of the studies' folders, one a layer.
        pairs: How many pairs.
    """
    m = min(pairs, len(part))
    if not m:
        return ()
    source, guide = part.pairs.source[:m], part.pairs.guide[:m]
    made = to_bytes(part.result.images[:m]).to(torch.float32) / 255
    three = torch.stack([images.images(source), made, images.images(guide)], 1)
    # One start for all three of a pair; their place keeps files apart where two of them are one image.
    task = Task(torch.arange(m).repeat_interleave(3), image=three.flatten(0, 1))
    task = task.adding(place=torch.arange(3).repeat(m))
    called = [f"{word} of pair {k}" for k in range(m) for word in ("source", "imposter", "guide")]
    found = []
    for layer, name in zip(layers, names, strict=True):
        probe = invert(layer, seed=desk.plan.seed, batch=desk.plan.batch)
        held = desk.search(name, "invert", f"Inverting {layer}", probe, Inputs.of_task(task, called))
        paths = desk.paths(held)
        wanted, seen = (
            read_features(desk.classifier, layer, x, desk.plan.batch)
            for x in (three.flatten(0, 1), to_bytes(held.result.images).to(torch.float32) / 255)
        )
        length = above_rounding(wanted.pow(2).sum(1), wanted)
        near = ((seen - wanted).pow(2).sum(1) / length).sqrt().tolist()
        found += [Inverted(layer, k, paths[3 * k : 3 * k + 3], tuple(near[3 * k : 3 * k + 3])) for k in range(m)]
    return tuple(found)
