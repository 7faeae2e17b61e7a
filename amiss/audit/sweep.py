"""The experiment with feature adversaries: imposters of several layers within several bounds, each a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite

from amiss.analysis.geometry import Geometry, Reference
from amiss.analysis.pairs import Pairs, draw_pairs, pair_inputs
from amiss.audit.contrast import CONTRAST, Contrast, among_natural, label_adversaries
from amiss.audit.desk import Desk
from amiss.audit.experiment import Experiment, all_flags
from amiss.audit.imposters import DELTA, Imposters, Neighborhood, mimicked, neighborhood
from amiss.audit.inversions import Inverted, invert_pairs
from amiss.audit.plan import Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, UsageError
from amiss.objectives.features import features_of
from amiss.study import Inputs
from amiss.task import reaches
from amiss.trust import Flag, refuse_other_order, tallied

__all__ = ["CLASS", "KIND", "Sweep", "SweepExperiment", "Swept"]

CLASS = 60
"""Natural images of a guide's class that its neighborhoods need: the paper looks at the fifty nearest."""

_NATURAL = 10_000

KIND = "imposters"
"""What `run.json` calls the experiment."""


@dataclass(frozen=True)
class Sweep:
    """What the experiment asks.

    Attributes:
        layers: Names of layers, from the input on; "answer" for the logits.
        deltas: How far a pixel may move, in [0, 1], ascending: multiples of 1/255.
        pairs: Sources and guides, drawn by the seed; fewer where there are no more.
        steps: Passes of each search.
        inverted: Pairs of which every layer is inverted; 0 inverts none.
        batch: Images a pass.
        seed: Of everything drawn.
    """

    layers: tuple[str, ...]
    deltas: tuple[float, ...] = (5 / 255, 10 / 255, 15 / 255, 20 / 255, 25 / 255)
    pairs: int = 50
    steps: int = 50
    inverted: int = 2
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        bounds = (0.0, *self.deltas)
        rising = all(map(isfinite, bounds)) and all(a < b for a, b in pairwise(bounds))
        if len(bounds) < 2 or not rising or bounds[-1] > 1:
            raise UsageError(
                "The bounds of imposters must ascend from above 0 to at most 1.",
                slug="sweep-deltas",
                seen=f"deltas={self.deltas}",
                needed="one bound or more, each larger than the one before, in pixel values of [0, 1]",
                why="bounds in units of 0..255" if rising and bounds[-1] > 1 else "",
                hint="Sweep(layers, deltas=(5 / 255, 10 / 255)); on the command line --delta 5,10.",
            )
        levels = [round(255 * bound) for bound in bounds]
        exact = all(abs(255 * bound - level) < 1e-6 for bound, level in zip(bounds, levels, strict=True))
        if not exact or len(set(levels)) < len(levels):
            raise UsageError(
                "A bound of imposters is no whole number of gray levels.",
                slug="sweep-levels",
                seen=f"deltas={self.deltas}",
                needed="multiples of 1/255, each named once",
                why="imposters are files of 8 bits, where a part of a level is no change",
                hint="Sweep(layers, deltas=(5 / 255, 10 / 255)); on the command line --delta 5,10.",
            )
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise UsageError(
                "The experiment needs layers, each named once.",
                slug="sweep-layers",
                seen=f"layers={self.layers}",
                needed="one layer or more, from the input on",
                hint="Classifier.layers lists them; on the command line --layers conv2,fc1.",
            )
        least = {"pairs": 1, "steps": 1, "batch": 1, "inverted": 0}
        if low := [name for name, bound in least.items() if getattr(self, name) < bound]:
            raise UsageError(
                "A count of the experiment is too low.",
                slug="sweep-counts",
                seen=f"{low[0]}={getattr(self, low[0])}",
                needed=f"{least[low[0]]} or more",
                hint="Sweep(layers, pairs=50, steps=50); inverted=0 inverts nothing.",
            )


@dataclass(frozen=True)
class Swept:
    """What the experiment found.

    Attributes:
        sweep: What was asked.
        images: Where sources and guides are.
        pairs: Their positions.
        parts: One a layer and bound: layer by layer, bounds ascending.
        contrast: Label adversaries of the same pairs; None where nothing is told of natural images.
        around: Where these lie at each layer, by its name.
        inverted: What the layers give back of the first pairs.
        flags: What was measured of the trust in it, before and after.
    """

    sweep: Sweep
    images: Images
    pairs: Pairs
    parts: tuple[Imposters, ...]
    flags: tuple[Flag, ...]
    contrast: Contrast | None = None
    around: Mapping[str, Geometry] = field(default_factory=dict)
    inverted: tuple[Inverted, ...] = ()

    @property
    def inputs(self) -> Inputs:
        """The sources, each with its guide."""
        return pair_inputs(self.images, self.pairs)


@dataclass(frozen=True)
class SweepExperiment(Experiment[Pairs, Swept]):
    """Imposters of every layer within every bound.

    Attributes:
        images: Labeled images, all of one shape.
        asked: What is asked.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, eq. 1 and section 3.
    """

    kind = KIND
    recipe = "feature_opt"
    options = "--layers fc1 --delta 5,10"

    images: Images
    asked: Sweep

    def prepared(self, tell: Progress) -> Pairs:
        """The pairs of sources and guides.

        Raises:
            ContractError: The classifier gives no gradients.
            DataError: No labels, or no pair of two classes rightly classified.
            LayerError: The network has no such layer, or it returns no single tensor.
        """

        def asking(done: int, n: int) -> None:
            tell("Asking the classifier", done, n)

        classifier, images, sweep = self.classifier, self.images, self.asked
        _refuse_gradientless(classifier)
        labels = images.truth
        refuse_other_order(classifier, images)
        for layer in sweep.layers:  # two images: with one, a layer that folds images into places would pass
            features_of(classifier, images.images(slice(2)).to(classifier.device), layer)
        predicted = classifier.check(images.pixels, labels, batch=sweep.batch, progress=asking).predicted
        return draw_pairs(labels, predicted, sweep.pairs, sweep.seed)

    def inputs(self, ready: Pairs) -> Inputs:
        """The sources, each with its guide."""
        return pair_inputs(self.images, ready)

    def searched(self, desk: Desk, ready: Pairs, flags: tuple[Flag, ...]) -> Swept:
        """Layer by layer, bounds ascending; then what is told beside them."""
        sweep, images = self.asked, self.images
        # By place as well: two names may differ in what no file name can hold.
        words = (
            "".join(c if c.isascii() and (c.isalnum() or c in "._") else "-" for c in layer) for layer in sweep.layers
        )
        names = [f"{place}-{word[:40]}" for place, word in enumerate(words)]
        parts: list[Imposters] = []
        contrast: Contrast | None = None
        lies: dict[str, Geometry] = {}
        for layer, name in zip(sweep.layers, names, strict=True):  # one layer's natural images at a time in memory
            around, reference = _place(images, ready, neighborhood(desk, images, layer, _NATURAL))
            for delta in sweep.deltas:
                folder = f"{name}-{delta * 255:.6g}-255"
                parts.append(mimicked(desk, images, ready, around, delta, sweep.steps, folder, reference))
            if reference is not None:
                contrast = contrast or label_adversaries(desk, images, ready)
                found = among_natural(desk, contrast, images, ready, around, reference)
                lies |= {} if found is None else {layer: found}
        said = {f"{p.layer} at {p.delta * 255:g}/255": tallied(p.result.outcomes, p.claimed) for p in parts}
        said |= {} if contrast is None else {CONTRAST: tallied(contrast.result.outcomes, contrast.claimed)}
        telling = min((p for p in parts if p.layer == sweep.layers[-1]), key=lambda p: abs(p.delta - DELTA))
        places = [f"{name}-inverted" for name in names]
        inverted = invert_pairs(desk, images, telling, sweep.layers, places, sweep.inverted)
        return Swept(sweep, images, ready, tuple(parts), all_flags(flags, said), contrast, lies, inverted)


def _refuse_gradientless(classifier: Classifier) -> None:
    gives = classifier.gives
    if not reaches(gives, "grad"):
        raise ContractError(
            f"Imposters need gradients; this model gives only {'labels' if gives == 'met' else 'logits'}.",
            slug="contract-ladder",
            seen=f"gives={gives!r}",
            needed="a network that torch can differentiate",
            why="an ONNX file, a model behind a service, or a Classifier that was told gives='loss'",
            hint="Give the network itself, as Python code or as weights.",
        )


def _place(images: Images, pairs: Pairs, around: Neighborhood) -> tuple[Neighborhood, Reference | None]:
    """The same by class; None where a guide's class has too few images for neighborhoods to be told of."""
    labels = images.truth[around.rows]
    fewest = min(int((labels == label).sum()) for label in images.truth[pairs.guide].unique().tolist())
    return around, Reference.of(around.features, labels, around.layer) if fewest >= CLASS else None
