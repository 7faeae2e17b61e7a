"""The experiment before a camera: adversaries of one view and of many, searched for the same images in one bound."""

from dataclasses import dataclass

from torch import Tensor

from amiss.audit.asking import some
from amiss.audit.camera_asked import Camera
from amiss.audit.desk import Desk
from amiss.audit.experiment import Experiment, all_flags
from amiss.audit.frames import class_names
from amiss.audit.plan import Progress
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import ContractError, DataError, UsageError
from amiss.objectives import Become
from amiss.result import Result
from amiss.study import Inputs
from amiss.task import reaches
from amiss.trust import Flag, refuse_other_order, tallied

__all__ = ["KIND", "CameraExperiment", "Filmed", "Part"]

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

    @property
    def inputs(self) -> Inputs:
        """The images that were changed."""
        return Inputs.of_images(self.images)

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


@dataclass(frozen=True)
class Ready:
    """What the searches start from: the images to change, the class to become, how many of all are named rightly."""

    chosen: Images
    target: int | None
    right: int


@dataclass(frozen=True)
class CameraExperiment(Experiment[Ready, Filmed]):
    """Adversaries of one view and of many, searched for the same images in one bound.

    Attributes:
        images: Labeled images, all of one shape.
        asked: What is asked.

    References:
        Lu, Sibai, Fabry and Forsyth (2017), no need to worry about adversarial examples in object detection.
        Athalye, Engstrom, Ilyas and Kwok (2018), synthesizing robust adversarial examples, eq. 2.
    """

    kind = KIND
    recipe = KIND
    options = "--eps 0.1"

    images: Images
    asked: Camera

    def prepared(self, tell: Progress) -> Ready:
        """The images to change, and the class to become.

        Raises:
            ContractError: The classifier gives no gradients.
            DataError: No labels, or no image that is named rightly.
            UsageError: There is no such class to become, or the mask is not of the images' size.
        """

        def asking(done: int, n: int) -> None:
            tell("Asking the classifier", done, n)

        classifier, images, camera = self.classifier, self.images, self.asked
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
        return Ready(images.pick(some(rows, camera.images, camera.seed)), target, int(right.sum()))

    def inputs(self, ready: Ready) -> Inputs:
        """The images to change."""
        return Inputs.of_images(ready.chosen)

    def searched(self, desk: Desk, ready: Ready, flags: tuple[Flag, ...]) -> Filmed:
        """Both kinds, that of one view first."""
        said = {"single": "Searching at one view", "eot": "Searching over views"}
        parts = []
        for name, (recipe, probe) in self.asked.probes(ready.target).items():
            held = desk.search(name, recipe, said[name], probe, self.inputs(ready))
            claimed = sum(entry.claimed for entry in held.entries)
            parts.append(Part(name, held.result, claimed, desk.paths(held)))
        flags = all_flags(flags, {part.name: tallied(part.result.outcomes, part.claimed) for part in parts})
        data, given = self.images.fingerprint, len(self.images)
        return Filmed(self.asked, ready.chosen, data, ready.target, tuple(parts), ready.right, given, flags)


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
