"""Imposters: images that look like one class and whose hidden features are those of an image of another."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.analysis.geometry import Geometry, Reference, geometry, nearest, read_features, shared_neighbors
from amiss.analysis.geometry.reference import NEIGHBORS
from amiss.analysis.pairs import Pairs, draw_pairs, pair_inputs
from amiss.audit.asking import some
from amiss.audit.desk import Desk
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.objectives.features import above_rounding, flat
from amiss.recipes import feature_opt
from amiss.result import Result
from amiss.trust import wilson

__all__ = ["DELTA", "Imposters", "Neighborhood", "imposters", "last_hidden", "mimicked", "neighborhood"]

DELTA = 10 / 255
"""How far a pixel of an audit's imposters may move."""
STEPS = 25
"""Passes of an audit's search: what brought a MobileNet's pooled features to a third of their distance."""
_SHOWN = 4  # pairs whose units a page shows
_WIDE = 2**25  # numbers that the features of a neighborhood may be: 128 MB


@dataclass(frozen=True)
class Neighborhood:
    """Natural images as one layer sees them.

    Attributes:
        layer: Its name.
        rows: Positions of the images [n].
        features: What the layer makes of them [n, D].
    """

    layer: str
    rows: Tensor
    features: Tensor

    def places(self, of: Tensor) -> Tensor:
        """Which of the rows each position [k] is [k], int64; -1 where it is none of them."""
        own = self.rows[None] == of[:, None]
        return torch.where(own.any(1), own.int().argmax(1), -1)

    def shared(self, features: Tensor, guides: Tensor, of: Tensor) -> Tensor:
        """How many of the three nearest natural images each row has in common with its guide [k], int64.

        Args:
            features: Of the rows [k, D].
            guides: Of their guides [k, D].
            of: Positions of the guides [k]; no guide counts as a neighbor.
        """
        own = self.rows[None] == of[:, None]
        k = min(NEIGHBORS, len(self.rows) - 1)
        near = [nearest(x, self.features, k, own)[1] for x in (features, guides)]
        return shared_neighbors(*near)


@dataclass(frozen=True)
class Imposters:
    """Imposters of one layer within one bound.

    Attributes:
        layer: Whose features they mimic.
        delta: How far a pixel may move, in [0, 1].
        pairs: Positions of sources and guides [k].
        result: One outcome a pair; met where R1 is at most a half.
        claimed: Successes before their files were read.
        answers: What the classifier calls each file [k].
        taken: Whether that is the guide's label [k].
        kept: Whether it is still the source's [k].
        ratio: R1 of each file: its distance to the guide as a share of the source's [k].
        shared: Nearest natural images in common with the guide, 0 to 3 [k].
        shared_before: The same of the sources [k].
        among: How many natural images neighbors were looked for in.
        paths: The files, relative to the run folder.
        units: What the layer makes of source, imposter and guide of the first pairs [m, 3, D].
        geometry: Where the imposters lie among natural images of the guides' classes; None where these are too few,
            or nobody asked.
    """

    layer: str
    delta: float
    pairs: Pairs
    result: Result
    claimed: int
    answers: Tensor
    taken: Tensor
    kept: Tensor
    ratio: Tensor
    shared: Tensor
    shared_before: Tensor
    among: int
    paths: tuple[str, ...]
    units: Tensor
    geometry: Geometry | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def label(self) -> float:
        """Share that take their guide's label."""
        return float(self.taken.double().mean())

    @property
    def label_interval(self) -> tuple[float, float]:
        """95 % interval of that share."""
        return wilson(int(self.taken.sum()), len(self))

    @property
    def neighbors(self) -> float | None:
        """Share whose three nearest natural images are all those of their guide; None where all have the same."""
        return self._alike(self.shared)

    @property
    def neighbors_before(self) -> float | None:
        """Share of the sources of which that was so before."""
        return self._alike(self.shared_before)

    def _alike(self, shared: Tensor) -> float | None:
        # Beside the guide there must be more than three to choose from.
        return float((shared == NEIGHBORS).double().mean()) if self.among > NEIGHBORS + 1 else None


def imposters(desk: Desk, images: Images, predicted: Tensor) -> tuple[Imposters | None, str]:
    """The small form that an audit makes: the last hidden layer, within 10/255, a few dozen pairs.

    Args:
        desk: Where the search is done.
        images: Labeled images.
        predicted: The classifier's answers [n].

    Returns:
        What was found, or why there is nothing.
    """
    plan = desk.plan
    if not plan.imposters:
        return None, ""
    labels = images.truth
    if len(labels[predicted == labels].unique()) < 2:
        return None, "a pair needs a source and a guide of two classes, both rightly classified"
    layer = last_hidden(desk.classifier, images.images(slice(2)))
    pairs = draw_pairs(labels, predicted, plan.imposters, plan.seed)
    around = neighborhood(desk, images, layer)
    return mimicked(desk, images, pairs, around, DELTA, STEPS, f"imposters-{DELTA * 255:g}-255"), ""


def neighborhood(desk: Desk, images: Images, layer: str, most: int = 1000) -> Neighborhood:
    """Natural images, drawn by the seed, as a layer sees them; fewer where the layer is wide.

    Args:
        desk: Where the search is done.
        images: All there are.
        layer: One of the classifier's.
        most: How many at the most.
    """
    desk.tell(f"Reading the layer {layer}", 0, 1)
    width = read_features(desk.classifier, layer, images.images(slice(1))).shape[1]
    rows = some(torch.arange(len(images)), max(2 * NEIGHBORS, min(most, _WIDE // width)), desk.plan.seed)
    parts = rows.split(desk.plan.batch)
    features = torch.cat([read_features(desk.classifier, layer, images.images(part)) for part in parts])
    return Neighborhood(layer, rows, features)


def mimicked(
    desk: Desk,
    images: Images,
    pairs: Pairs,
    around: Neighborhood,
    delta: float,
    steps: int,
    name: str,
    reference: Reference | None = None,
) -> Imposters:
    """Search for the imposters of all pairs at one layer, and ask what their files are to the classifier.

    Args:
        desk: Where the search is done.
        images: Labeled images.
        pairs: Positions of sources and guides.
        around: Natural images as the layer sees them.
        delta: How far a pixel may move, in [0, 1].
        steps: Passes of the search.
        name: Of the study's folder.
        reference: Natural images of the guides' classes at the layer, where imposters are to be placed among them;
            row by row those of `around`.
    """
    layer, classifier = around.layer, desk.classifier
    probe = feature_opt(layer, delta, steps, seed=desk.plan.seed, batch=desk.plan.batch)
    what = f"Mimicking {layer} within {delta * 255:g}/255"
    held = desk.search(name, "feature_opt", what, probe, pair_inputs(images, pairs))
    pixels = to_bytes(held.result.images)
    seen, said = _seen(desk, pixels, layer)
    source, guide = (
        torch.cat([read_features(classifier, layer, images.images(part)) for part in rows.split(desk.plan.batch)])
        for rows in (pairs.source, pairs.guide)
    )
    # As the search reckoned it: in the features' own type, with the same floor.
    apart = above_rounding((source - guide).pow(2).sum(1), source, guide)
    ratio = ((seen - guide).pow(2).sum(1) / apart).sqrt().double()
    before, after = (around.shared(x, guide, pairs.guide) for x in (source, seen))
    labels = images.truth
    taken, kept = (_voted(said, labels[rows]) for rows in (pairs.guide, pairs.source))
    claimed = sum(entry.claimed for entry in held.entries)
    among = len(around.rows)
    units = torch.stack([source[:_SHOWN], seen[:_SHOWN], guide[:_SHOWN]], 1)
    told = taken, kept, ratio, after, before, among, desk.paths(held), units
    lies = None
    if reference is not None:
        of = {"source_labels": labels[pairs.source], "labels": labels[pairs.guide]}
        keys = images.pick(pairs.source).keys()
        at = around.places(pairs.guide)
        lies = geometry(reference, source, guide, seen, **of, guide_rows=at, keys=keys, seed=desk.plan.seed)
    return Imposters(layer, delta, pairs, held.result, claimed, said[0], *told, lies)


def last_hidden(classifier: Classifier, images: Tensor) -> str:
    """The layer that speaks right before the last one with weights; "answer" where there is none.

    Args:
        classifier: Whose network is listened to, for one pass.
        images: Two images or more [n, C, H, W] in [0, 1].
    """
    network = classifier.network
    if not isinstance(network, nn.Module):
        return "answer"
    heard: list[tuple[str, bool, bool]] = []

    def listen(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        weighted = any(True for _ in module.parameters())

        def hook(_module: nn.Module, _inputs: object, out: object) -> None:
            rows = isinstance(out, Tensor) and out.ndim > 1 and len(out) == len(images)
            heard.append((name, weighted, rows))

        return module.register_forward_hook(hook)

    leaves = [
        (name, module) for name, module in network.named_modules() if name and next(module.children(), None) is None
    ]
    handles = [listen(name, module) for name, module in leaves]
    try:
        classifier.predict(images)
    finally:
        for handle in handles:
            handle.remove()
    last = max((i for i, (_, weighted, _) in enumerate(heard) if weighted), default=0)
    return next((name for name, _, rows in reversed(heard[:last]) if rows), "answer")


@torch.no_grad()
def _seen(desk: Desk, pixels: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Of uint8 images [k, C, H, W] the features of a layer [k, D], and the answers of every vote [v, k]."""
    parts = [part.to(torch.float32) / 255 for part in pixels.split(desk.plan.batch)]
    found = [desk.classifier.outputs(part, (layer, "answer")) for part in parts]
    features = torch.cat([flat(out[layer]).cpu() for out in found])
    first = torch.cat([out["answer"].argmax(1).cpu() for out in found])
    more = [torch.cat([desk.classifier.predict(part).cpu() for part in parts]) for _ in range(desk.votes - 1)]
    return features, torch.stack([first, *more])


def _voted(said: Tensor, labels: Tensor) -> Tensor:
    """Whether each image is called by its label [k]: of several votes [v, k] clearly so."""
    votes = len(said)
    agree = (said == labels).sum(0)
    return agree == 1 if votes == 1 else torch.tensor([wilson(k, votes)[0] > 0.5 for k in agree.tolist()])
