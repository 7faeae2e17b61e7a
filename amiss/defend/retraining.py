"""What defenses share that train the network itself: their settings, and a table of before and after."""

from dataclasses import dataclass, fields
from math import inf
from typing import ClassVar, Literal

from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend.checking import check_layers, check_lessons, check_shift, check_trainable
from amiss.defend.defense import Attacked, OnRow
from amiss.defend.hardening import FineTuning, Hardened, Row
from amiss.defend.outcome import before_and_after, gains
from amiss.defend.workshop import Workshop
from amiss.training import TrainingRecipe

__all__ = ["Retraining"]

_MODEL = "model"  # name of the hardened network's files


@dataclass(frozen=True)
class Retraining(Attacked):
    """A network goes on learning from its own weights, and is attacked before and after.

    A subclass names by `criterion` the loss that is minimized. Those of its attributes that the defense has too are
    settings of the defense.

    Attributes:
        epochs: Passes over the images.
        rate: Highest learning rate.
        shift: Images are moved by up to so many pixels each way while they are learned from.
        layers: Names of the modules that learn; empty: the whole network.
        precision: "bf16" trains in the quick arithmetic that some processors have.
    """

    epochs: float = 5.0
    rate: float = 2e-3
    shift: int = 0
    layers: tuple[str, ...] = ()
    precision: Literal["float32", "bf16"] = "float32"

    criterion: ClassVar[type[FineTuning]] = FineTuning

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        lengths = {name: 0 < getattr(self, name) < inf for name in ("epochs", "rate")}
        rest = {"shift": self.shift >= 0, "precision": self.precision in ("float32", "bf16")}
        return super().ranges() | lengths | rest

    def lessons(self, shop: Workshop, classifier: Classifier, train: Images) -> dict[str, Tensor]:
        """What is learned from: the images and their labels."""
        return {"image": train.pixels, "label": train.truth}

    def loss(self, mean: tuple[float, ...], std: tuple[float, ...]) -> FineTuning:
        """What is minimized, of images that are normalized so."""
        own = {one.name for one in fields(self)}
        settings = {one.name: getattr(self, one.name) for one in fields(self.criterion) if one.name in own}
        return self.criterion(mean=mean, std=std, **settings)

    def check(self, classifier: Classifier, train: Images, test: Images) -> None:
        """Refuse a network that cannot be trained, layers that it does not have, and images without its labels."""
        network = check_trainable(classifier, train.images([0]))
        check_lessons(classifier.outputs(train.images([0]))["answer"].shape[1], train, test)
        check_layers(network, self.layers)
        check_shift(self.shift, train)

    def work(self, shop: Workshop, classifier: Classifier, train: Images, test: Images, on_row: OnRow) -> Hardened:
        """Train on, and attack before and after.

        Returns:
            The hardened network, and two rows, `round` 0 of the network as it was given and 1 of this one, with
            `accuracy` on all test images; `robust_few`, `robust_many` and `robust_worst`, the shares of `images`
            that stay right under those attacks; and `cpu_minutes` that the training took.
        """
        rows: list[Row] = [self.row(shop, 0, classifier, test, minutes=0.0)]
        on_row(rows)
        data, loss = self.lessons(shop, classifier, train), self.loss(*classifier.preprocessing)
        now = shop.trained(_MODEL, classifier, data, loss, self._recipe(), "Training")
        rows.append(self.row(shop, 1, now, test, minutes=shop.seconds(_MODEL) / 60))
        on_row(rows)
        return Hardened(now, tuple(rows), before_and_after(rows, self.eps), gains(rows))

    def _recipe(self) -> TrainingRecipe:
        return TrainingRecipe(
            epochs=self.epochs,
            batch=self.batch,
            rate=self.rate,
            shift=self.shift,
            precision=self.precision,
            channels_last=True,
            seed=self.seed,
        )
