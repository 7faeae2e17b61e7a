"""What defenses share that train the network itself: settings, the run folder, and a table of before and after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend.checking import check_layers, check_lessons, check_shift, check_trainable
from amiss.defend.hardening import FineTuning, Hardened, Row
from amiss.defend.outcome import before_and_after, gains
from amiss.defend.robustness import Ordeal, endured
from amiss.defend.workshop import Workshop
from amiss.errors import UsageError
from amiss.study import Store, held
from amiss.study.identity import experiment
from amiss.training import TrainingRecipe

__all__ = ["Retraining"]

_MODEL = "model"  # name of the hardened network's files


@dataclass(frozen=True)
class Retraining:
    """A network goes on learning from its own weights, and is attacked before and after.

    Attributes:
        eps: L_inf radius of adversaries, in pixel values of [0, 1]: those of training and those of the table.
        epochs: Passes over the images.
        rate: Highest learning rate.
        batch: Images a step and a pass.
        shift: Images are moved by up to so many pixels each way while they are learned from.
        layers: Names of the modules that learn; empty: the whole network.
        precision: "bf16" trains in the quick arithmetic that some processors have.
        images: Test images that the table attacks.
        few: Steps of its short attack.
        many: Steps of its long one.
        restarts: Starts of the long one.
        worst: Whether the table asks for the worst case as well.
        seed: Of training and attacks.

    Raises:
        UsageError: A setting that cannot mean anything.
    """

    eps: float = 8 / 255
    epochs: float = 5.0
    rate: float = 2e-3
    batch: int = 128
    shift: int = 0
    layers: tuple[str, ...] = ()
    precision: Literal["float32", "bf16"] = "float32"
    images: int = 200
    few: int = 10
    many: int = 100
    restarts: int = 5
    worst: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        counts = ("batch", "images", "few", "many", "restarts")
        ranges = {name: getattr(self, name) >= 1 for name in counts}
        ranges |= {name: 0 < getattr(self, name) < inf for name in ("epochs", "rate")}
        ranges |= {"eps": 0 < self.eps <= 1, "shift": self.shift >= 0}
        ranges |= {"precision": self.precision in ("float32", "bf16"), **self.ranges()}
        refuse_settings(self, ranges)

    def ranges(self) -> dict[str, bool]:
        """Whether each further setting can mean something, by name."""
        return {}

    def lessons(self, shop: Workshop, classifier: Classifier, train: Images) -> dict[str, Tensor]:
        """What is learned from: the images and their labels."""
        return {"image": train.pixels, "label": train.truth}

    def loss(self, mean: tuple[float, ...], std: tuple[float, ...]) -> FineTuning:
        """What is minimized, of images that are normalized so."""
        return FineTuning(mean=mean, std=std, layers=self.layers)

    def harden(
        self,
        classifier: Classifier,
        train: Images,
        test: Images,
        out: Path,
        *,
        about: Mapping[str, Any] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        on_row: Callable[[list[Row]], None] | None = None,
    ) -> Hardened:
        """Train on, or go on where an earlier run in the folder was stopped, to the same weights.

        Args:
            classifier: A network with gradients; it is not changed.
            train: What it goes on learning from, labeled by its classes.
            test: What it is measured by, labeled; none of these are learned from.
            out: Folder of the run.
            about: What `run.json` shall say of the run beside what makes it the same run.
            progress: Told (what, done, total).
            stop: Asked now and then; where it says so, what is finished is kept and the rest ends.
            on_row: Told all rows so far after each.

        Returns:
            The hardened network, and two rows, `round` 0 of the network as it was given and 1 of this one, with
            `accuracy` on all test images; `robust_few`, `robust_many` and `robust_worst`, the shares of `images`
            that stay right under those attacks; and `cpu_minutes` that the training took.

        Raises:
            ModelError: It cannot be trained, or has one class.
            UsageError: Layers that it does not have, or a shift of more than half an image.
            DataError: There are no labels, labels that are none of its classes, or another run in the folder.
            Interrupted: It was asked to stop.
        """
        network = check_trainable(classifier, train.images([0]))
        check_lessons(classifier.outputs(train.images([0]))["answer"].shape[1], train, test)
        check_layers(network, self.layers)
        check_shift(self.shift, train)
        prints = {"model": classifier.fingerprint, "train": train.fingerprint, "test": test.fingerprint}
        marks = {**prints, "settings": repr(self)}
        with held(Store(out), marks, {"kind": "defense", **(about or {})}, classifier.device):
            shop = Workshop(out, experiment(marks), progress or (lambda *_: None), stop)
            now, rows = classifier, list[Row]()
            for k in range(2):
                if k:
                    data, loss = self.lessons(shop, classifier, train), self.loss(*classifier.preprocessing)
                    now = shop.trained(_MODEL, classifier, data, loss, self._recipe(), "Training")
                row: Row = {"round": float(k)}
                row |= endured(now, test, self._ordeal(), shop=shop, name=f"{k:02d}-attacked")
                rows.append(row | {"cpu_minutes": shop.seconds(_MODEL) / 60 if k else 0.0})
                if on_row is not None:
                    on_row(rows)
        return Hardened(now, tuple(rows), before_and_after(rows, self.eps), gains(rows))

    def _ordeal(self) -> Ordeal:
        return Ordeal(self.eps, self.images, self.few, self.many, self.restarts, self.worst, self.seed, self.batch)

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


def refuse_settings(defense: object, ranges: Mapping[str, bool]) -> None:
    """Refuse settings that are outside their ranges.

    Args:
        defense: Whose they are.
        ranges: Whether each lies within, by name.

    Raises:
        UsageError: One does not.
    """
    wrong = [f"{name}={getattr(defense, name)!r}" for name, holds in ranges.items() if not holds]
    if wrong:
        raise UsageError(
            "A network cannot be hardened like this.",
            slug="defend-options",
            seen=", ".join(wrong),
            needed="counts of 1 or more, finite numbers above 0, eps in pixel values of [0, 1]",
            hint=f"{type(defense).__name__}(eps={8 / 255:.3g}); a radius in units of 0..255 is divided by 255 first.",
        )
