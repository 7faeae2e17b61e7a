"""What the figures are made of: images, a classifier that errs, a judge, and decoders, trained when first needed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from amiss.classifier import Classifier
from amiss.data import Images, open_data
from amiss.errors import DataError
from amiss.repro import digest, generator
from amiss.task import Task
from amiss.training import Preset, classifier_for, decoder_for, load_model, train
from amiss.training.presets import weak_classifier

__all__ = ["Effort", "Progress", "World"]

Progress = Callable[[str, int, int], None]
"""What is told of progress: (what, done, total)."""

_FEW = 1000  # images that the classifier learns from, at most: it is to make mistakes


@dataclass(frozen=True)
class Effort:
    """How much work goes into the figures.

    Attributes:
        nodes: Nodes along a side of a map.
        look: Mistakes looked at, in their order, for a case worth showing.
        mistakes: Mistakes that are repaired for the curves over dimensions.
        decoder: Steps of a decoder's training.
        flat: Steps of the training of the decoder of two dimensions, which has most to learn.
        judge: Steps of the judge's training.
        dimensions: Dimensions of the code that are compared.
        faces: Faces that the attribute classifier learns from.
        epochs: Passes over them.
        cohort: Faces that are drawn to find mistakes in.
        repairs: Faces of each kind of mistake that are repaired.
    """

    nodes: int = 121
    look: int = 32
    mistakes: int = 200
    decoder: int = 1200
    flat: int = 2400
    judge: int = 900
    dimensions: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    faces: int = 800
    epochs: int = 12
    cohort: int = 1000
    repairs: int = 50

    @classmethod
    def quick(cls) -> "Effort":
        """Small maps and short trainings: every figure in seconds, none of them worth a look."""
        return cls(21, 8, 24, 60, 120, 60, (2, 4, 16), 200, 2, 150, 8)


class World:
    """Images and models of one data set and one seed; models lie in the folder `models`, to be found again.

    Args:
        data: A source that `amiss.data.open_data` knows, labeled and square.
        seed: Of all trainings.
        place: Folder of the figures.
        effort: How much work.
        tell: Progress.
    """

    def __init__(
        self, data: str, seed: int, place: Path, effort: Effort | None = None, tell: Progress | None = None
    ) -> None:
        self.data, self.seed, self.place = data, seed, place
        self.effort = effort or Effort()
        self.tell: Progress = tell or (lambda *_: None)
        self.kept: dict[str, Any] = {}

    @cached_property
    def images(self) -> tuple[Images, Images]:
        """Images to learn from, and images to be tested on."""
        learned, asked = (_mixed(open_data(self.data, split=split), self.seed) for split in ("train", "test"))
        return learned, asked

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all images and labels."""
        learned, asked = self.images
        return digest(learned.fingerprint, asked.fingerprint)

    @cached_property
    def classifier(self) -> Classifier:
        """A classifier of few training images, so that there are mistakes to study."""
        learned, _ = self.images
        few = learned.pick(slice(0, max(10 * len(learned.classes), min(_FEW, len(learned) // 8))))
        like_mnist = few.pixels.shape[1:] == (1, 28, 28) and len(few.classes) == 10
        preset = weak_classifier(self.seed) if like_mnist else classifier_for(few, seed=self.seed, epochs=10)
        return self._classifier("classifier", preset, few, "Training a classifier that errs")

    @cached_property
    def judge(self) -> Classifier:
        """A classifier of all training images, with other initial weights."""
        learned, _ = self.images
        preset = classifier_for(learned, seed=self.seed + 1, epochs=1)
        epochs = self.effort.judge * preset.training.batch / len(learned)
        preset = replace(preset, training=replace(preset.training, epochs=epochs))
        return self._classifier("judge", preset, learned, "Training a judge")

    def decoder(self, latent: int) -> Any:
        """An autoencoder of all training images, with a code of so many dimensions."""
        learned, _ = self.images
        preset = decoder_for(learned, latent=latent, seed=self.seed)
        steps = self.effort.flat if latent == 2 else self.effort.decoder
        training = replace(preset.training, epochs=None, steps=steps, seconds=None)
        name, what = f"decoder-{latent}", f"Training a decoder of {latent} dimensions"
        return self.trained(name, replace(preset, training=training), learned, what)[0]

    @cached_property
    def mistakes(self) -> Task:
        """The test images that the classifier gets wrong, each with its true label as target.

        Raises:
            DataError: There is none.
        """
        _, asked = self.images
        wrong = asked.misclassified(self.classifier)
        if not len(wrong):
            raise DataError(
                "The classifier makes no mistake on these images, so there is nothing to repair.",
                slug="figures-no-mistake",
                seen=f"{len(asked):,} test images, all answered right",
                needed="some mistakes",
                why="test images that are too easy, or too few",
                hint="Name other images by --data, or another seed.",
            )
        return wrong

    def first(self, n: int) -> Task:
        """The first n mistakes, or all where there are fewer."""
        return self.mistakes.rows(torch.arange(min(n, len(self.mistakes))))

    def trained(self, name: str, preset: Preset, images: Images, what: str) -> tuple[Any, dict[str, Any]]:
        """A model and its facts: from its file, where that was made by the same preset from the same images."""
        if name not in self.kept:
            path, identity = self.place / "models" / f"{name}.safetensors", digest(repr(preset), images.fingerprint)
            if not path.is_file() or load_model(path)[1].get("identity") != identity:
                made = train(preset, images, on_step=lambda step: self.tell(what, round(100 * step.fraction), 100))
                replace(made, facts={**made.facts, "identity": identity}).save(path)
            self.kept[name] = load_model(path)
        model: tuple[Any, dict[str, Any]] = self.kept[name]
        return model

    def _classifier(self, name: str, preset: Preset, images: Images, what: str) -> Classifier:
        network, facts = self.trained(name, preset, images, what)
        return Classifier(network, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def _mixed(images: Images, seed: int) -> Images:
    """The images; those that come class by class, as from folders, in another order: the first shall be of all."""
    if bool((images.truth.diff() < 0).any()):
        return images
    return images.pick(torch.randperm(len(images), generator=generator(seed)))
