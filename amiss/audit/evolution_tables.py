"""What else is told of fooling images, each a table of the report: genes, and related classes."""

from typing import Any

import torch
from torch import Tensor

from amiss.analysis.champions import ablate, confusion_distance, imagenet_distance, is_imagenet, relate
from amiss.audit.evolution import Evolved
from amiss.audit.figures import percent
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import DataError
from amiss.spaces import CPPN

__all__ = ["Table", "ablation_table", "related_table"]

Table = dict[str, Any]
"""Title, text, head, rows and note: what the page draws."""

_CHAMPIONS = 10  # whose genes are taken away: a few dozen images each
_COSTS = 0.5
_CLASSES = 10  # below that an order of the classes tells next to nothing


def ablation_table(found: Evolved, classifier: Classifier) -> Table | None:
    """Of the surest champions that graphs drew, what the costliest gene carries; None where there are none.

    Args:
        found: The experiment.
        classifier: Who was fooled.
    """
    rows = []
    for part in found.parts:
        space, p = part.probe.space, part.result.p
        if not isinstance(space, CPPN) or not isinstance(p, Tensor):
            continue
        for c in part.confidence.nan_to_num(0.0).argsort(descending=True, stable=True)[:_CHAMPIONS].tolist():
            told = ablate(classifier, space, p[c].cpu(), found.classes[c], found.evolution.batch)
            if not told.genes:
                continue
            first, fall = told.order[0], told.fall
            left = percent(max(0.0, told.before - float(fall[first])))
            many = f"{int((fall > _COSTS).sum())} of {len(told.genes)}"
            rows.append([found.names[c], percent(told.before), told.genes[first].name, left, many])
    if not rows:
        return None
    return {
        "title": "What single genes carry",
        "text": "Each connection and each hidden node of a graph was taken away in turn, and the rest shown again.",
        "head": ["Class", "Confidence", "Costliest gene", "Without it", f"Genes that cost over {_COSTS}"],
        "rows": rows,
        "note": f"The {len(rows)} surest champions of the CPPN.",
    }


def related_table(found: Evolved, classifier: Classifier) -> Table | None:
    """Whether champions of related classes look alike, by encoding; None where relations are not known.

    Args:
        found: The experiment; with labeled images of all classes, where these are not those of ImageNet.
        classifier: Who was fooled.
    """
    if len(found.names) < _CLASSES:
        return None
    if is_imagenet(classifier.labels or ()):
        far, of = imagenet_distance(), "levels of a table of kinds that they do not share"
    elif found.images is not None and found.images.labels is not None:
        try:
            far, of = confusion_distance(classifier, found.images), "how seldom the model takes one for the other"
        except DataError:  # a class without images
            return None
    else:
        return None
    asked = torch.tensor(found.classes)
    far, rows = far[asked][:, asked], []
    for part in found.parts:
        try:
            told = relate(to_bytes(part.result.images).cpu(), part.confidence.nan_to_num(0.0), far)
        except DataError:  # next to all champions are one picture
            continue
        pictures, test = f"{told.pictures} of {len(found.names)}", told.distinct
        rows.append([part.encoding, pictures, f"{test.rho:.3f}", f"{test.p:.3g}", f"{told.every.p:.3g}"])
    if not rows:
        return None
    return {
        "title": "Are champions of related classes alike?",
        "text": f"Distances of pictures beside distances of classes ({of}): the correlation of ranks, and how often "
        "an order of the classes drawn by chance agrees as well.",
        "head": ["Encoding", "Different pictures", "Correlation", "p", "p with repeated pictures"],
        "rows": rows,
        "note": "Champions of one run descend from each other, which makes them alike as well; a test across two "
        "runs tells the two apart.",
    }
