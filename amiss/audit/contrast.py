"""The contrast group of imposters: the same sources, changed until their label is the guide's, and no further."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.geometry import Geometry, Reference, geometry, nearest_natural, read_features
from amiss.analysis.pairs import Pairs, pair_inputs
from amiss.audit.desk import Desk
from amiss.audit.imposters import Neighborhood
from amiss.data import Images, to_bytes
from amiss.recipes import label_opt
from amiss.result import Result

__all__ = ["CONTRAST", "Contrast", "among_natural", "label_adversaries"]

CONTRAST = "label adversaries"
"""How a page calls the group."""


@dataclass(frozen=True)
class Contrast:
    """Label adversaries of the pairs.

    Attributes:
        result: One outcome a pair.
        claimed: Successes before their files were read.
    """

    result: Result
    claimed: int


def label_adversaries(desk: Desk, images: Images, pairs: Pairs) -> Contrast:
    """Change every source as little as can be for it to have its guide's label.

    Args:
        desk: Where the search is done.
        images: Labeled images.
        pairs: Positions of sources and guides.

    References:
        Szegedy, Zaremba, Sutskever et al. (2014), intriguing properties of neural networks, section 4.1; the contrast
        is that of Sabour, Cao, Faghri and Fleet (2016), section 4.
    """
    probe = label_opt(target="task", seed=desk.plan.seed, batch=desk.plan.batch)
    held = desk.search("label-opt", "label_opt", "Changing labels alone", probe, pair_inputs(images, pairs))
    return Contrast(held.result, sum(entry.claimed for entry in held.entries))


def among_natural(
    desk: Desk, contrast: Contrast, images: Images, pairs: Pairs, around: Neighborhood, reference: Reference
) -> Geometry | None:
    """Where those that have their guide's label lie at a layer, around their nearest natural image of that class.

    The guides themselves are no such image: nobody asked for their features. None where none has its guide's label.

    Args:
        desk: Who is asked, and how.
        contrast: The label adversaries.
        images: Labeled images.
        pairs: Positions of sources and guides.
        around: Natural images at the layer.
        reference: The same by class, row by row.
    """
    met = contrast.result.met.nonzero().flatten()
    if not len(met):
        return None
    s, g = pairs.source[met], pairs.guide[met]
    made = to_bytes(contrast.result.images[met]).to(torch.float32) / 255
    source, guide, seen = (_features(desk, reference.layer, x) for x in (images.images(s), images.images(g), made))
    labels = images.truth[g]
    aside = {"without": guide, "guide_rows": around.places(g)}
    center, _ = nearest_natural(reference, seen, labels, **aside)
    of = {"source_labels": images.truth[s], "labels": labels, "keys": images.pick(s).keys()}
    return geometry(reference, source, center, seen, **of, **aside, seed=desk.plan.seed)


def _features(desk: Desk, layer: str, x: Tensor) -> Tensor:
    return read_features(desk.classifier, layer, x, desk.plan.batch)
