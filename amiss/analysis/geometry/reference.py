"""Reference images as one layer sees them: what natural neighbors look like, class by class."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError, ModelError
from amiss.objectives.features import features_of

__all__ = ["Population", "Reference", "read_features", "read_reference"]

NEIGHBORS = 3
"""K: neighbors that scores, ranks and intersections look at."""

_ROWS = 1024  # distances at a time: 8 MB for each thousand members


@dataclass(frozen=True)
class Population:
    """The reference images of one class.

    Attributes:
        rows: Their rows in the reference [n].
        scores: Their mean distances to their K nearest of the class [n], float64; NaN for a single image.
        spacing: dbar_1: the mean distance to the nearest one of the class; NaN for a single image.
        spread: dbar: the mean distance of two of them; NaN for a single image.
    """

    rows: Tensor
    scores: Tensor
    spacing: float
    spread: float


@dataclass(frozen=True)
class Reference:
    """Labeled images as one layer sees them.

    Attributes:
        layer: Its name.
        features: [N, D], single or double precision, on the CPU.
        labels: Their classes [N], int64.
        populations: What is known of each class, by its number.
    """

    layer: str
    features: Tensor
    labels: Tensor
    populations: Mapping[int, Population]

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, layer: str = "features") -> "Reference":
        """Measure the classes of features [N, D] with labels [N].

        Raises:
            DataError: Another number of labels than of rows.
            ModelError: Features that are not finite.
        """
        if len(features) != len(labels) or features.ndim != 2:
            raise DataError(
                "Each reference image needs a row of features and one label.",
                slug="geometry-shapes",
                seen=f"features {tuple(features.shape)}, labels {tuple(labels.shape)}",
                needed="features [N, D], labels [N]",
                hint="Flatten the features of each image: features.flatten(1).",
            )
        check_finite(features, layer)
        populations = {}
        for label in labels.unique().tolist():
            rows = (labels == label).nonzero().flatten()
            populations[int(label)] = _population(features[rows], rows)
        return cls(layer, features, labels, populations)

    def population(self, label: int) -> Population:
        """What is known of a class.

        Raises:
            DataError: No reference image is of this class.
        """
        if label not in self.populations:
            some = sorted(self.populations)
            raise DataError(
                f"Class {label} is not among the reference images.",
                slug="geometry-class",
                seen="classes " + ", ".join(map(str, some[:8])) + (", ..." if len(some) > 8 else ""),
                needed="images of every class that guides come from",
                hint="Give images of all classes, such as those of training.",
            )
        return self.populations[label]


def read_reference(classifier: Classifier, layer: str, images: Images, batch: int = 256) -> Reference:
    """Show labeled images to the classifier and keep what one layer makes of them.

    Args:
        classifier: Who is asked; the pass ends at the layer.
        layer: One of `classifier.layers`; for sparsity one that comes after a ReLU.
        images: Labeled images, a thousand a class in the paper; as a rule those of training.
        batch: Images a pass.

    Raises:
        DataError: The images have no labels.
        LayerError: There is no such layer, or it gives no row an image.
        ModelError: Its features are not finite.
    """
    labels = images.truth
    parts = torch.arange(len(images)).split(batch)
    features = torch.cat([read_features(classifier, layer, images.images(part), batch) for part in parts])
    return Reference.of(features, labels, layer)


def read_features(classifier: Classifier, layer: str, x: Tensor, batch: int = 256) -> Tensor:
    """What a layer makes of images [n, C, H, W] in [0, 1]: features [n, D], on the CPU, single or double precision.

    Raises:
        LayerError: There is no such layer, or it gives no row an image.
    """
    return torch.cat([features_of(classifier, part, layer).cpu() for part in x.split(batch)])


def check_finite(features: Tensor, layer: str) -> None:
    """Refuse features that no distance can be told of."""
    bad = ~features.isfinite().flatten(1).all(1)
    if bool(bad.any()):
        raise ModelError(
            f"The layer {layer!r} gives numbers that are not finite.",
            slug="geometry-not-finite",
            seen=f"NaN or infinity for {int(bad.sum())} of {len(bad)} images",
            why="a layer that takes the logarithm of 0 or overflows, or NaN in the weights",
            hint="Choose another layer, such as one that comes after a ReLU.",
        )


def _population(features: Tensor, rows: Tensor) -> Population:
    # Centered, for the matrix product that distances are made with rounds in proportion to squared lengths.
    x = features.double()
    x = x - x.mean(0)
    n, k = len(x), min(NEIGHBORS, len(x) - 1)
    if n == 1:
        return Population(rows, torch.full((1,), torch.nan, dtype=torch.float64), torch.nan, torch.nan)
    near, total = [], 0.0
    for part in torch.arange(n).split(_ROWS):
        apart = torch.cdist(x[part], x)
        apart[torch.arange(len(part)), part] = 0
        total += float(apart.sum())
        apart[torch.arange(len(part)), part] = torch.inf
        near.append(apart.topk(k, dim=1, largest=False).values)
    distances = torch.cat(near)
    return Population(rows, distances.mean(1), float(distances[:, 0].mean()), total / (n * (n - 1)))
