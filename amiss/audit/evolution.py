"""The experiment with fooling images: nonsense for every class, in several encodings, each a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from amiss.audit.chronicle import Chronicle, Told, moments
from amiss.audit.desk import Desk
from amiss.audit.encodings import RECIPES, STEEP, Evolution, cost
from amiss.audit.experiment import Experiment, all_flags
from amiss.audit.plan import Progress
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.errors import ContractError, ModelError
from amiss.objectives import Confidence
from amiss.probe import Probe
from amiss.recipes import classes
from amiss.result import Result
from amiss.study import Inputs
from amiss.task import reaches
from amiss.trust import Flag, refuse_other_order, tallied

__all__ = ["KIND", "Encoded", "Evolution", "EvolutionExperiment", "Evolved", "log_odds"]

KIND = "fooling"
"""What `run.json` calls the experiment."""

_MARKS = (1.0, 2.0, 5.0)
_TICKS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)


@dataclass(frozen=True)
class Encoded:
    """What was found in one encoding.

    Attributes:
        encoding: Its name.
        probe: What searched.
        result: One outcome a class; a success that its file does not hold is none.
        claimed: Successes before their files were read.
        nats: -log p of each class in its file [n].
        paths: The files, relative to the run folder.
        told: What was noted on the way.
    """

    encoding: str
    probe: Probe
    result: Result
    claimed: int
    nats: Tensor
    paths: tuple[str, ...]
    told: Told

    @property
    def confidence(self) -> Tensor:
        """Softmax probability of each class in its file [n]; NaN where the network answers none."""
        return (-self.nats).exp()


@dataclass(frozen=True)
class Evolved:
    """What the experiment found.

    Attributes:
        evolution: What was asked.
        inputs: One sample a class.
        shape: Of the images (C, H, W).
        parts: One an encoding.
        left_out: Encodings that could not be searched in, and why.
        flags: What was measured of the trust in it.
        images: Natural images, where some were given.
    """

    evolution: Evolution
    inputs: Inputs
    shape: tuple[int, ...]
    parts: tuple[Encoded, ...]
    left_out: Mapping[str, str]
    flags: tuple[Flag, ...]
    images: Images | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes that were asked for."""
        return self.inputs.names

    @property
    def classes(self) -> tuple[int, ...]:
        """Their numbers."""
        assert self.inputs.target is not None  # noqa: S101 - every sample wants a class
        return tuple(self.inputs.target.tolist())


@dataclass(frozen=True)
class EvolutionExperiment(Experiment[Inputs, Evolved]):
    """Nonsense for every class in every encoding.

    Attributes:
        images: Natural images, for what can be said of the classifier beside; none are needed.
        asked: What is asked.
        shape: Shape (C, H, W) of the images that are made.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled.
    """

    kind = KIND
    recipe = KIND

    images: Images | None
    asked: Evolution
    shape: tuple[int, ...] = field(kw_only=True)

    def prepared(self, tell: Progress) -> Inputs:
        """One sample a class.

        Raises:
            ContractError: The classifier gives labels alone, or no gradient where that is all that was asked for.
            ModelError: It tells one class alone, or answers no number.
        """
        if self.images is not None and self.images.labels is not None:
            refuse_other_order(self.classifier, self.images)
        return _inputs(self.classifier, self.shape, self.asked)

    def inputs(self, ready: Inputs) -> Inputs:
        """One sample a class."""
        return ready

    def fingerprints(self) -> dict[str, str]:
        """What makes two runs the same, by name; without images the shape counts."""
        return {**super().fingerprints(), "plan": f"{self.asked!r}, shape={tuple(self.shape)}"}

    def searched(self, desk: Desk, ready: Inputs, flags: tuple[Flag, ...]) -> Evolved:
        """Every encoding, one after the other."""
        evolution = self.asked
        gradient = reaches(self.classifier.gives, "grad")
        why = "This model gives logits and no gradients."
        left_out = {name: why for name in evolution.encodings if name in STEEP and not gradient}
        probes = {name: evolution.probe(name, self.shape) for name in evolution.encodings if name not in left_out}
        costs = [cost(probe, len(ready)) for probe in probes.values()]
        parts = tuple(
            _encoded(desk, evolution, name, probe, ready, sum(costs[:i]), costs[i], sum(costs))
            for i, (name, probe) in enumerate(probes.items())
        )
        flags = all_flags(flags, {part.encoding: tallied(part.result.outcomes, part.claimed) for part in parts})
        return Evolved(evolution, ready, tuple(self.shape), parts, left_out, flags, self.images)


def log_odds(nats: Tensor) -> Tensor:
    """Log-odds log(p / (1 - p)) of probabilities told as -log p, in nats; within 100 of 0, NaN for NaN.

    Args:
        nats: -log p, any shape.
    """
    return -torch.log(torch.expm1(nats.double())).clamp(-100, 100)


def _inputs(classifier: Classifier, shape: tuple[int, ...], evolution: Evolution) -> Inputs:
    """One sample a class, once all that can be refused is refused."""
    with torch.no_grad():
        gray = torch.full((1, *shape), 0.5, device=classifier.device)
        answer = classifier.outputs(gray)["answer"]
    if not reaches(classifier.gives, "loss"):
        raise ContractError(
            "Fooling images need logits; this model gives only labels.",
            slug="contract-ladder",
            seen=f"gives={classifier.gives!r}",
            needed="logits, from which a confidence follows",
            why="a model behind a service, or a Classifier that was told gives='met'",
            hint="Give the network itself, or have the service return logits.",
        )
    if {*evolution.encodings} <= {*STEEP} and not reaches(classifier.gives, "grad"):
        raise ContractError(
            f"The encoding {evolution.encodings[0]} needs gradients; this model gives only logits.",
            slug="contract-ladder",
            seen=f"gives={classifier.gives!r}",
            needed="a network that torch can differentiate",
            why="an ONNX file, or a Classifier that was told gives='loss'",
            hint="Evolve by queries alone: --encodings direct,cppn.",
        )
    if answer.shape[1] < 2:
        Confidence().view({"answer": answer})  # which refuses one class
    if bool(answer.isnan().all()):
        raise ModelError(
            "The network answers no number.",
            slug="model-not-finite",
            seen="NaN for a gray image, in every class",
            needed="logits that are numbers",
            why="weights that are damaged, or a training that diverged",
            hint="Look for NaN in the weights; amiss check MODEL DATA says more.",
        )
    task = classes(classifier, evolution.classes or None)
    return Inputs.of_task(task, [(classifier.labels or ())[int(c)] for c in task.key])


def _encoded(
    desk: Desk, evolution: Evolution, encoding: str, probe: Probe, inputs: Inputs, done: int, own: int, whole: int
) -> Encoded:
    """One encoding, its own evaluations after those that are done, of those of the whole run."""
    steps, n = probe.budget.steps, len(inputs)
    witness = Chronicle(moments(steps, _MARKS), moments(steps, _TICKS))
    study = desk.study(encoding, RECIPES[encoding], probe, inputs, witness=witness)

    what = f"Fooling {n:,} class{'' if n == 1 else 'es'}, in evaluations ({encoding})"

    def tell(ended: float, _n: int, _met: int) -> None:
        desk.tell(what, done + round(own * ended / n), whole)

    desk.carry(study, tell)
    found = study.read(range(n))
    pixels, target = to_bytes(found.result.images), found.result.task.target
    assert target is not None  # noqa: S101 - every sample wants a class
    confidence = Confidence()
    parts = []
    for rows in torch.arange(n).split(evolution.batch):
        with torch.no_grad():
            x = pixels[rows].to(torch.float32).to(desk.classifier.device) / 255
            nats = confidence.view({"answer": desk.classifier.outputs(x)["answer"]})["nats"]
        parts.append(nats.cpu()[torch.arange(len(rows)), target[rows].cpu()])
    claimed = sum(entry.claimed for entry in found.entries)
    told = Told.of(study.notes(), n)
    return Encoded(encoding, probe, found.result, claimed, torch.cat(parts), desk.paths(found), told)
