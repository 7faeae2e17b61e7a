"""The experiment before a camera: adversaries of one view and of many, searched for the same images in one bound."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from amiss.audit.asking import some
from amiss.audit.camera_asked import Camera
from amiss.audit.desk import Carry, Desk
from amiss.audit.experiment import begun, refuse_strange, studies_of
from amiss.audit.frames import class_names
from amiss.audit.plan import Plan, Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, DataError, UsageError
from amiss.objectives import Become
from amiss.result import Result
from amiss.study import Inputs, Study
from amiss.study.identity import likeness
from amiss.task import reaches
from amiss.trust import KINDS, Flag, before, combined, refuse_other_order, tallied, votes_for

__all__ = ["KIND", "Filmed", "Part", "camera_studies", "read_camera", "run_camera"]

KIND = "camera"
"""What `run.json` calls the experiment."""


@dataclass(frozen=True)
class Part:
    """One kind of adversary.

    Attributes:
        name: "single" for those of one view, "eot" for those of many.
        result: One outcome an image; a success that its file does not hold is none.
        claimed: Successes before their files were read.
        paths: The files, relative to the run folder.
    """

    name: str
    result: Result
    claimed: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Filmed:
    """What was searched for.

    Attributes:
        camera: What was asked.
        images: Those that were changed, all named rightly.
        data: Fingerprint of all images that were given.
        target: Number of the class that they shall become; None for any but the true one.
        parts: The adversaries, those of one view first.
        right: Images named rightly, of all that were given.
        given: How many these were.
        flags: What was measured of the trust in it.
    """

    camera: Camera
    images: Images
    data: str
    target: int | None
    parts: tuple[Part, ...]
    right: int
    given: int
    flags: tuple[Flag, ...]

    def held(self, said: Tensor) -> Tensor:
        """Whether an adversary succeeds where the classifier says so.

        Args:
            said: Answers [n, ...] to images or photographs of each.

        Returns:
            bool [n, ...].
        """
        return ~self.named(said) if self.target is None else said == self.target

    def named(self, said: Tensor) -> Tensor:
        """Whether answers [n, ...] are the true labels."""
        return said == self.images.truth.reshape(-1, *[1] * (said.ndim - 1))


def run_camera(
    classifier: Classifier,
    images: Images,
    out: Path,
    camera: Camera,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    about: Mapping[str, Any] | None = None,
    settings: str = "",
) -> Filmed:
    """Search for both kinds of adversary; the same call goes on where it was stopped.

    Args:
        classifier: Who is asked.
        images: Labeled images, all of one shape.
        out: Run folder; each kind is a study under it.
        camera: What is asked.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        stop: Asked again and again whether to stop; what is done by then is kept.
        about: What `run.json` shall say beside fingerprints and versions. Plain values.
        settings: The text of `config.toml`, where a command made the run.

    Raises:
        ContractError: The classifier gives no gradients.
        DataError: No labels, no image that is named rightly, or the folder holds a run of something else.
        UsageError: There is no such class to become, or the mask is not of the images' size.
        Interrupted: `stop` said so.

    References:
        Lu, Sibai, Fabry and Forsyth (2017), no need to worry about adversarial examples in object detection.
        Athalye, Engstrom, Ilyas and Kwok (2018), synthesizing robust adversarial examples, eq. 2.
    """
    tell = progress or (lambda *_: None)
    chosen, target, right = _chosen(classifier, images, camera, tell)
    inputs = Inputs.of_images(chosen)
    said = {"kind": KIND, "recipe": KIND, "seed": camera.seed, "n": len(chosen), **(about or {})}
    said["unreadable"] = [list(pair) for pair in images.unreadable]
    marks = _fingerprints(classifier, images, camera)
    with begun(out, marks, said, settings, inputs, classifier, camera.batch):

        def carry(study: Study, told: Any) -> object:
            return study.run(stop=stop, progress=told)

        return _filmed(classifier, images, out, camera, chosen, target, right, accuracy, tell, carry)


def read_camera(
    classifier: Classifier,
    images: Images,
    out: Path,
    camera: Camera,
    *,
    accuracy: float | None = None,
    progress: Progress | None = None,
    visit: Callable[[Study], object] = lambda _: None,
) -> Filmed:
    """What was found, from the files of the studies: nothing is searched again.

    Args:
        classifier: As the run was made with; so are images, camera and accuracy.
        images: Labeled images.
        out: Run folder.
        camera: What was asked.
        accuracy: The accuracy that the classifier's owner knows.
        progress: Told what is being done.
        visit: Called with each study before it is read.

    Raises:
        DataError: The folder holds no such run, one of something else, or one that is not finished.
    """
    tell = progress or (lambda *_: None)
    chosen, target, right = _chosen(classifier, images, camera, tell)
    refuse_strange(out, _fingerprints(classifier, images, camera), KIND, "amiss run camera MODEL DATA --eps 0.1")
    carry: Carry = lambda study, _: visit(study)  # noqa: E731 - as short as it is
    return _filmed(classifier, images, out, camera, chosen, target, right, accuracy, tell, carry)


def camera_studies(
    classifier: Classifier, images: Images, out: Path, camera: Camera, **given: Any
) -> tuple[tuple[Study, ...], bool]:
    """The studies of the experiment with their model and data, as `read_camera` finds them.

    Args:
        classifier: As for `read_camera`; so are the others.
        images: Labeled images.
        out: Run folder.
        camera: What was asked.
        given: accuracy, progress.

    Returns:
        The studies in their order up to the first that is not finished, and whether that is all of them.

    Raises:
        DataError: The folder holds no such run, or one of something else.
    """
    return studies_of(partial(read_camera, classifier, images, out, camera, **given))


def _chosen(classifier: Classifier, images: Images, camera: Camera, tell: Progress) -> tuple[Images, int | None, int]:
    """The images to change, the class to become, and how many are named rightly; what can be refused is refused."""

    def asking(done: int, n: int) -> None:
        tell("Asking the classifier", done, n)

    _refuse(classifier, images, camera)
    labels = images.truth
    refuse_other_order(classifier, images)
    predicted = classifier.check(images.pixels, labels, batch=camera.batch, progress=asking).predicted
    target = _target(classifier, images, camera.target)
    right = predicted == labels
    rows = (right if target is None else right & (labels != target)).nonzero().flatten()
    if not len(rows):
        raise DataError(
            "There is no image whose right answer could be broken.",
            slug="camera-none",
            seen=f"{int(right.sum()):,} of {len(images):,} images named rightly"
            + ("" if target is None else f", all of them of the class {camera.target!r} to become"),
            needed="one image or more that the classifier names rightly, of another class than --target",
            why="a preprocessing that is not the model's, or labels of other classes",
            hint="amiss check MODEL DATA says how the model scores.",
        )
    return images.pick(some(rows, camera.images, camera.seed)), target, int(right.sum())


def _refuse(classifier: Classifier, images: Images, camera: Camera) -> None:
    """Refuse a model without gradients, and a mask that is not of the images' size."""
    if not reaches(classifier.gives, "grad"):
        raise ContractError(
            "Adversaries over views need gradients; this model gives "
            f"only {'labels' if classifier.gives == 'met' else 'logits'}.",
            slug="contract-ladder",
            seen=f"gives={classifier.gives!r}",
            needed="a network that torch can differentiate",
            why="an ONNX file, a model behind a service, or a Classifier that was told gives='loss'",
            hint="Give the network itself, as Python code or as weights.",
        )
    side = tuple(images.pixels.shape[2:])
    if camera.mask is not None and (tuple(camera.mask.shape) != side or not bool(camera.mask.any())):
        raise UsageError(
            "The mask does not say which pixels of the images may change.",
            slug="camera-mask",
            seen=f"{' x '.join(map(str, camera.mask.shape))} pixels, {int(camera.mask.sum()):,} of them white",
            needed=f"a picture of {side[0]} x {side[1]} pixels, white where pixels may change, and black elsewhere",
            why="a mask of another size, or one that is all black",
            hint="Draw it over one of the images as the model sees them: --size says how large these are.",
        )


def _target(classifier: Classifier, images: Images, word: str) -> int | None:
    """Number of a class by its name or its number, or a refusal where there is none."""
    names = class_names(images, classifier)
    if not word:
        return None
    if word in names:
        return names.index(word)
    task = images.task([0])
    found = Become(int(word) if word.isdecimal() else word).prepare(classifier, task).target
    assert found is not None  # noqa: S101 - it was named
    return int(found)


def _fingerprints(classifier: Classifier, images: Images, camera: Camera) -> dict[str, str]:
    return {"model": likeness(classifier), "data": images.fingerprint, "plan": repr(camera)}


def _filmed(
    classifier: Classifier,
    images: Images,
    out: Path,
    camera: Camera,
    chosen: Images,
    target: int | None,
    right: int,
    accuracy: float | None,
    tell: Progress,
    carry: Carry,
) -> Filmed:
    """The searches themselves; `carry` does each, or finds it done."""
    tell("Asking whether the classifier can be believed", 0, 1)
    flags = before(classifier, images, accuracy=accuracy, decoder=None, batch=camera.batch, seed=camera.seed)
    desk = Desk(classifier, Plan(batch=camera.batch, seed=camera.seed), out, tell, votes_for(flags), carry)
    said = {"single": "Searching at one view", "eot": "Searching over views"}
    parts = []
    for name, (recipe, probe) in camera.probes(target).items():
        held = desk.search(name, recipe, said[name], probe, Inputs.of_images(chosen))
        claimed = sum(entry.claimed for entry in held.entries)
        parts.append(Part(name, held.result, claimed, desk.paths(held)))
    told = {part.name: tallied(part.result.outcomes, part.claimed) for part in parts}
    flags += tuple(sorted(combined(told), key=lambda flag: list(KINDS).index(flag.slug)))
    return Filmed(camera, chosen, images.fingerprint, target, tuple(parts), right, len(images), flags)
