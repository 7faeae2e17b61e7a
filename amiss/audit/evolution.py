"""The experiment with fooling images: nonsense for every class, in several encodings, each a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amiss.audit.chronicle import Chronicle, Told, moments
from amiss.audit.desk import Carry, Desk
from amiss.audit.encodings import RECIPES, STEEP, Evolution, cost
from amiss.audit.experiment import begun, refuse_strange, studies_of
from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.errors import ContractError, ModelError
from amiss.objectives import Confidence
from amiss.probe import Probe
from amiss.recipes import classes
from amiss.result import Result
from amiss.study import Inputs, Study
from amiss.study.identity import likeness
from amiss.task import reaches
from amiss.trust import KINDS, Flag, before, combined, refuse_other_order, tallied, votes_for

__all__ = [
    "KIND",
    "Encoded",
    "Evolution",
    "Evolved",
    "evolution_studies",
    "log_odds",
    "read_evolution",
    "run_evolution",
]

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


def run_evolution(
    classifier: Classifier,
    shape: tuple[int, ...],
    out: Path,
    evolution: Evolution,
    *,
    images: Images | None = None,
    accuracy: float | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    about: Mapping[str, Any] | None = None,
    settings: str = "",
) -> Evolved:
    """Make nonsense for every class in every encoding; the same call goes on where it was stopped.

    Args:
        classifier: Who is fooled.
        shape: Shape (C, H, W) of the images.
        out: Run folder; each encoding is a study under it.
        evolution: What is asked.
        images: Natural images, for what can be said of the classifier beside; none are needed.
        accuracy: The accuracy on them that the classifier's owner knows.
        progress: Told what is being done.
        stop: Asked again and again whether to stop; what is done by then is kept.
        about: What `run.json` shall say beside fingerprints and versions. Plain values.
        settings: The text of `config.toml`, where a command made the run.

    Raises:
        ContractError: The classifier gives labels alone, or no gradient where that is all that was asked for.
        ModelError: It tells one class alone, or answers no number.
        DataError: The folder holds a run of something else.
        Interrupted: `stop` said so.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled.
    """
    tell = progress or (lambda *_: None)
    inputs = _inputs(classifier, shape, images, evolution)
    said = {"kind": KIND, "recipe": KIND, "seed": evolution.seed, "n": len(inputs), **(about or {})}
    said["unreadable"] = [list(pair) for pair in images.unreadable] if images is not None else []
    marks = _fingerprints(classifier, shape, images, evolution)
    with begun(out, marks, said, settings, inputs, classifier, evolution.batch):

        def carry(study: Study, told: Any) -> object:
            return study.run(stop=stop, progress=told)

        return _evolved(classifier, shape, out, evolution, inputs, images, accuracy, tell, carry)


def read_evolution(
    classifier: Classifier,
    shape: tuple[int, ...],
    out: Path,
    evolution: Evolution,
    *,
    images: Images | None = None,
    accuracy: float | None = None,
    progress: Progress | None = None,
    visit: Callable[[Study], object] = lambda _: None,
) -> Evolved:
    """What the experiment came to, from the files of its studies: nothing is searched again.

    Args:
        classifier: As the run was made with; so are shape, evolution, images and accuracy.
        shape: Shape (C, H, W) of the images.
        out: Run folder.
        evolution: What was asked.
        images: Natural images.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        visit: Called with each study before it is read.

    Raises:
        DataError: The folder holds no such run, one of something else, or one that is not finished.
    """
    tell = progress or (lambda *_: None)
    inputs = _inputs(classifier, shape, images, evolution)
    marks = _fingerprints(classifier, shape, images, evolution)
    refuse_strange(out, marks, KIND, "amiss run fooling MODEL DATA")
    return _evolved(classifier, shape, out, evolution, inputs, images, accuracy, tell, lambda study, _: visit(study))


def evolution_studies(
    classifier: Classifier, shape: tuple[int, ...], out: Path, evolution: Evolution, **given: Any
) -> tuple[tuple[Study, ...], bool]:
    """The studies of the experiment with their model, as `read_evolution` finds them.

    Args:
        classifier: As for `read_evolution`; so are the others.
        shape: Shape (C, H, W) of the images.
        out: Run folder.
        evolution: What was asked.
        given: images, accuracy, progress.

    Returns:
        The studies in their order up to the first that is not finished, and whether that is all of them.

    Raises:
        DataError: The folder holds no such run, or one of something else.
    """
    return studies_of(partial(read_evolution, classifier, shape, out, evolution, **given))


def log_odds(nats: Tensor) -> Tensor:
    """Log-odds log(p / (1 - p)) of probabilities told as -log p, in nats; within 100 of 0, NaN for NaN.

    Args:
        nats: -log p, any shape.
    """
    return -torch.log(torch.expm1(nats.double())).clamp(-100, 100)


def _inputs(classifier: Classifier, shape: tuple[int, ...], images: Images | None, evolution: Evolution) -> Inputs:
    """One sample a class, once all that can be refused is refused."""
    if images is not None and images.labels is not None:
        refuse_other_order(classifier, images)
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


def _fingerprints(
    classifier: Classifier, shape: tuple[int, ...], images: Images | None, evolution: Evolution
) -> dict[str, str]:
    data = "none" if images is None else images.fingerprint
    return {"model": likeness(classifier), "data": data, "plan": f"{evolution!r}, shape={tuple(shape)}"}


def _evolved(
    classifier: Classifier,
    shape: tuple[int, ...],
    out: Path,
    evolution: Evolution,
    inputs: Inputs,
    images: Images | None,
    accuracy: float | None,
    tell: Progress,
    carry: Carry,
) -> Evolved:
    """The searches themselves; `carry` does each, or finds it done."""
    flags: tuple[Flag, ...] = ()
    if images is not None:
        tell("Asking whether the classifier can be believed", 0, 1)
        asked: dict[str, Any] = {"batch": evolution.batch, "seed": evolution.seed}
        flags = before(classifier, images, accuracy=accuracy, decoder=None, **asked)
    desk = Desk(classifier, Plan(batch=evolution.batch, seed=evolution.seed), out, tell, votes_for(flags), carry)
    gradient = reaches(classifier.gives, "grad")
    why = "This model gives logits and no gradients."
    left_out = {name: why for name in evolution.encodings if name in STEEP and not gradient}
    probes = {name: evolution.probe(name, shape) for name in evolution.encodings if name not in left_out}
    costs = [cost(probe, len(inputs)) for probe in probes.values()]
    parts = tuple(
        _encoded(desk, evolution, name, probe, inputs, sum(costs[:i]), costs[i], sum(costs))
        for i, (name, probe) in enumerate(probes.items())
    )
    said = {part.encoding: tallied(part.result.outcomes, part.claimed) for part in parts}
    flags += tuple(sorted(combined(said), key=lambda flag: list(KINDS).index(flag.slug)))
    return Evolved(evolution, inputs, tuple(shape), parts, left_out, flags, images)


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
