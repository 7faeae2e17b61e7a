"""The experiment with feature adversaries: imposters of several layers within several bounds, each a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

from amiss.analysis.geometry import Geometry, Reference
from amiss.analysis.pairs import Pairs, draw_pairs, pair_inputs
from amiss.audit.contrast import CONTRAST, Contrast, among_natural, label_adversaries
from amiss.audit.desk import Carry, Desk
from amiss.audit.experiment import begun, refuse_strange, studies_of
from amiss.audit.imposters import DELTA, Imposters, Neighborhood, mimicked, neighborhood
from amiss.audit.inversions import Inverted, invert_pairs
from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, UsageError
from amiss.objectives.features import features_of
from amiss.study import Study
from amiss.study.identity import likeness
from amiss.task import reaches
from amiss.trust import KINDS, Flag, before, combined, refuse_other_order, tallied, votes_for

__all__ = ["CLASS", "KIND", "Sweep", "Swept", "read_sweep", "run_sweep", "sweep_studies"]

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


def run_sweep(
    classifier: Classifier,
    images: Images,
    out: Path,
    sweep: Sweep,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    about: Mapping[str, Any] | None = None,
    settings: str = "",
) -> Swept:
    """Make the imposters of every layer within every bound; the same call goes on where it was stopped.

    Args:
        classifier: Whose features are mimicked.
        images: Labeled images, all of one shape.
        out: Run folder; each layer and bound is a study under it.
        sweep: What is asked.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        stop: Asked again and again whether to stop; what is done by then is kept.
        about: What `run.json` shall say beside fingerprints and versions. Plain values.
        settings: The text of `config.toml`, where a command made the run.

    Raises:
        ContractError: The classifier gives no gradients.
        DataError: No labels, no pair of two classes rightly classified, or the folder holds a run of something else.
        LayerError: The network has no such layer, or it returns no single tensor.
        Interrupted: `stop` said so.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, eq. 1 and section 3.
    """
    tell = progress or (lambda *_: None)
    pairs = _paired(classifier, images, sweep, tell)
    inputs = pair_inputs(images, pairs)
    said = {"kind": KIND, "recipe": "feature_opt", "seed": sweep.seed, "n": len(pairs), **(about or {})}
    said["unreadable"] = [list(pair) for pair in images.unreadable]
    with begun(out, _fingerprints(classifier, images, sweep), said, settings, inputs, classifier, sweep.batch):
        desk = classifier, images, out, sweep, pairs, tell
        return _swept(*desk, lambda study, told: study.run(stop=stop, progress=told), accuracy)


def read_sweep(
    classifier: Classifier,
    images: Images,
    out: Path,
    sweep: Sweep,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
    visit: Callable[[Study], object] = lambda _: None,
) -> Swept:
    """What the experiment came to, from the files of its studies: nothing is searched again.

    Args:
        classifier: As the run was made with; so are images, sweep and accuracy.
        images: Labeled images.
        out: Run folder.
        sweep: What was asked.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        visit: Called with each study before it is read.

    Raises:
        DataError: The folder holds no such run, one of something else, or one that is not finished.
    """
    tell = progress or (lambda *_: None)
    pairs = _paired(classifier, images, sweep, tell)
    command = "amiss run feature-opt MODEL DATA --layers fc1 --delta 5,10"
    refuse_strange(out, _fingerprints(classifier, images, sweep), "feature-opt", command)
    return _swept(classifier, images, out, sweep, pairs, tell, lambda study, _: visit(study), accuracy)


def sweep_studies(
    classifier: Classifier,
    images: Images,
    out: Path,
    sweep: Sweep,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Study, ...], bool]:
    """The studies of the experiment with their model and data, as `read_sweep` finds them.

    Returns:
        The studies in their order up to the first that is not finished, and whether that is all of them.

    Raises:
        DataError: The folder holds no such run, or one of something else.
    """
    return studies_of(partial(read_sweep, classifier, images, out, sweep, accuracy=accuracy, progress=progress))


def _paired(classifier: Classifier, images: Images, sweep: Sweep, tell: Progress) -> Pairs:
    """The pairs, once all that can be refused is refused."""

    def asking(done: int, n: int) -> None:
        tell("Asking the classifier", done, n)

    _refuse_gradientless(classifier)
    labels = images.truth
    refuse_other_order(classifier, images)
    for layer in sweep.layers:  # two images: with one, a layer that folds images into places would pass
        features_of(classifier, images.images(slice(2)).to(classifier.device), layer)
    predicted = classifier.check(images.pixels, labels, batch=sweep.batch, progress=asking).predicted
    return draw_pairs(labels, predicted, sweep.pairs, sweep.seed)


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


def _fingerprints(classifier: Classifier, images: Images, sweep: Sweep) -> dict[str, str]:
    return {"model": likeness(classifier), "data": images.fingerprint, "plan": repr(sweep)}


def _swept(
    classifier: Classifier,
    images: Images,
    out: Path,
    sweep: Sweep,
    pairs: Pairs,
    tell: Progress,
    carry: Carry,
    accuracy: float | None,
) -> Swept:
    """The searches themselves; `carry` does each, or finds it done."""
    tell("Asking whether the classifier can be believed", 0, 1)
    flags = before(classifier, images, accuracy=accuracy, decoder=None, batch=sweep.batch, seed=sweep.seed)
    plan = Plan(batch=sweep.batch, seed=sweep.seed)
    desk = Desk(classifier, plan, out, tell, votes_for(flags), carry)
    # By place as well: two names may differ in what no file name can hold.
    words = (
        "".join(c if c.isascii() and (c.isalnum() or c in "._") else "-" for c in layer) for layer in sweep.layers
    )
    names = [f"{place}-{word[:40]}" for place, word in enumerate(words)]
    parts: list[Imposters] = []
    contrast: Contrast | None = None
    lies: dict[str, Geometry] = {}
    for layer, name in zip(sweep.layers, names, strict=True):  # one layer's natural images at a time are in memory
        around, reference = _place(images, pairs, neighborhood(desk, images, layer, _NATURAL))
        for delta in sweep.deltas:
            folder = f"{name}-{delta * 255:.6g}-255"
            parts.append(mimicked(desk, images, pairs, around, delta, sweep.steps, folder, reference))
        if reference is not None:
            contrast = contrast or label_adversaries(desk, images, pairs)
            found = among_natural(desk, contrast, images, pairs, around, reference)
            lies |= {} if found is None else {layer: found}
    said = {f"{p.layer} at {p.delta * 255:g}/255": tallied(p.result.outcomes, p.claimed) for p in parts}
    said |= {} if contrast is None else {CONTRAST: tallied(contrast.result.outcomes, contrast.claimed)}
    telling = min((p for p in parts if p.layer == sweep.layers[-1]), key=lambda p: abs(p.delta - DELTA))
    inverted = invert_pairs(
        desk, images, telling, sweep.layers, [f"{name}-inverted" for name in names], sweep.inverted
    )
    flags += tuple(sorted(combined(said), key=lambda flag: list(KINDS).index(flag.slug)))
    return Swept(sweep, images, pairs, tuple(parts), flags, contrast, lies, inverted)


def _place(images: Images, pairs: Pairs, around: Neighborhood) -> tuple[Neighborhood, Reference | None]:
    """The same by class; None where a guide's class has too few images for neighborhoods to be told of."""
    labels = images.truth[around.rows]
    fewest = min(int((labels == label).sum()) for label in images.truth[pairs.guide].unique().tolist())
    return around, Reference.of(around.features, labels, around.layer) if fewest >= CLASS else None
