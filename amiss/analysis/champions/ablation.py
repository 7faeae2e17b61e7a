"""What a champion stands upon: each gene, or each patch of the image, taken away in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from amiss.analysis.champions.asking import confidence
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import UsageError
from amiss.spaces import CPPN
from amiss.spaces.graphs import EDGES, Graphs

__all__ = ["Ablation", "Gene", "Occlusion", "ablate", "genes_of", "occlude", "without"]


@dataclass(frozen=True)
class Gene:
    """A part of a graph that can be taken away.

    Attributes:
        kind: A connection, or a hidden node with all its connections.
        name: In words: "x to output 0", "node 3 (sine)".
        place: Its place in the genome, among the connections or among the nodes that are no inputs.
    """

    kind: Literal["connection", "node"]
    name: str
    place: int


@dataclass(frozen=True)
class Ablation:
    """A champion without each of its k genes.

    Attributes:
        genes: Connections, then hidden nodes.
        before: Probability of the class, of the champion as it is.
        after: Without each gene [k], float64.
        image: The champion [C, H, W], uint8.
        images: Without each gene [k, C, H, W], uint8.
    """

    genes: tuple[Gene, ...]
    before: float
    after: Tensor
    image: Tensor
    images: Tensor

    @property
    def fall(self) -> Tensor:
        """What each gene costs [k], in [-1, 1]: below 0 where the classifier is surer without it."""
        return self.before - self.after

    @property
    def order(self) -> tuple[int, ...]:
        """The genes from the one that costs most on."""
        return tuple(self.fall.argsort(descending=True, stable=True).tolist())


@dataclass(frozen=True)
class Occlusion:
    """An image without each of its patches.

    Attributes:
        before: Probability of the class, of the image as it is.
        after: With each patch painted over [rows, columns], float64.
        side: Of a patch, in pixels; those at the right and at the bottom may be smaller.
    """

    before: float
    after: Tensor
    side: int

    @property
    def fall(self) -> Tensor:
        """What each patch costs [rows, columns], in [-1, 1]."""
        return self.before - self.after


def genes_of(space: CPPN, p: Tensor) -> tuple[Gene, ...]:
    """The genes of one genome [444]: its connections, then its hidden nodes."""
    (drawing,), graphs = space.describe(p[None]), Graphs.of(p[None])
    places = graphs.used[0].nonzero()[0].tolist()
    found = [Gene("connection", f"{a} to {b}", at) for at, (a, b, _) in zip(places, drawing.edges, strict=True)]
    nodes = (graphs.kind[0] >= 0).nonzero()[0].tolist()
    named = zip(nodes, drawing.nodes.items(), strict=True)
    found += [Gene("node", f"{name} ({kind})", at) for at, (name, kind) in named if at >= space.shape[0]]
    return tuple(found)


def without(p: Tensor, genes: Sequence[Gene]) -> Tensor:
    """A genome [444] without each of its genes [k, 444]; with a node go its connections."""
    rows = p.repeat(len(genes), 1)
    for row, gene in zip(rows, genes, strict=True):
        if gene.kind == "node":
            row[3 * EDGES + gene.place] = -1
        else:
            row[[gene.place, EDGES + gene.place]] = -1
    return Graphs.of(rows).tensor().to(p.device)


def ablate(classifier: Classifier, space: CPPN, p: Tensor, target: int, batch: int = 200) -> Ablation:
    """Take away each gene of a champion in turn, and see what of the confidence is left.

    A gene that changes no pixel of the file costs exactly 0: the classifier is not asked again.

    Args:
        classifier: Who is asked.
        space: That the genome is of.
        p: One genome [444].
        target: The class.
        batch: Images a pass.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled (elements of an image are removed
        one at a time, and the confidence falls or rises).
    """
    genes = genes_of(space, p)
    pictures = to_bytes(space.draw(torch.cat([p[None], without(p, genes)]))).cpu()
    before, after = _asked(classifier, pictures[0], pictures[1:], target, batch)
    return Ablation(genes, before, after, pictures[0], pictures[1:])


def occlude(classifier: Classifier, image: Tensor, target: int, side: int = 16, batch: int = 200) -> Occlusion:
    """Paint over each patch of an image in turn, with the image's own mean color: for images that have no genes.

    Args:
        classifier: Who is asked.
        image: One image [C, H, W], uint8.
        target: The class.
        side: Of a patch, in pixels.
        batch: Images a pass.

    Raises:
        UsageError: A side below 1.

    References:
        Zeiler and Fergus (2014), visualizing and understanding convolutional networks.
    """
    if side < 1:
        raise UsageError(
            "A patch must be one pixel wide or more.",
            slug="occlusion-side",
            seen=f"side={side}",
            needed="1 or more",
            hint="occlude(classifier, image, target, side=16)",
        )
    height, width = image.shape[1:]
    tops, lefts = range(0, height, side), range(0, width, side)
    images = image.repeat(len(tops) * len(lefts), 1, 1, 1)
    color = image.double().mean((1, 2), keepdim=True).round().to(torch.uint8)
    for i, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        images[i, :, top : top + side, left : left + side] = color
    before, after = _asked(classifier, image, images, target, batch)
    return Occlusion(before, after.reshape(len(tops), len(lefts)), side)


def _asked(classifier: Classifier, image: Tensor, images: Tensor, target: int, batch: int) -> tuple[float, Tensor]:
    """Probability of the class: of the image, and of its other forms [k], those that equal it not asked again."""
    other = (images != image).flatten(1).any(1).nonzero().flatten()
    rows = torch.cat([image[None], images[other]])
    seen = confidence(classifier, rows, torch.full((len(rows),), target), batch)
    return float(seen[0]), seen[:1].repeat(len(images)).index_copy(0, other, seen[1:])
