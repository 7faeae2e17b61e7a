"""What every defense is: settings that harden a classifier in a folder of its own, and what it refuses beforehand."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, ClassVar

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend.detectors import Detector
from amiss.defend.hardening import Hardened, Row
from amiss.defend.robustness import Ordeal, endured
from amiss.defend.workshop import Workshop
from amiss.errors import UsageError
from amiss.study import Store, held
from amiss.study.identity import experiment

__all__ = ["Attacked", "Defense", "OnRow"]

OnRow = Callable[[list[Row]], None]
"""Told all rows so far after each."""


@dataclass(frozen=True)
class Defense(ABC):
    """A way to harden a classifier. Make it a frozen dataclass: its `repr` is what a resumed run must agree on.

    A subclass says by `ranges` which settings mean something, by `check` what it refuses, and by `work` what it does.

    Raises:
        UsageError: A setting that cannot mean anything.
    """

    needed: ClassVar[str] = "settings within their ranges"
    hint: ClassVar[str] = "Leave them out: every setting has a default."

    def __post_init__(self) -> None:
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in self.ranges().items() if not holds]
        if wrong:
            raise UsageError(
                "A network cannot be hardened like this.",
                slug="defend-options",
                seen=", ".join(wrong),
                needed=self.needed,
                hint=self.hint,
            )

    @property
    def mark(self) -> str:
        """The settings that a run must agree on to go on."""
        return repr(self)

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
        on_row: OnRow | None = None,
    ) -> Hardened:
        """Harden a classifier, or go on where an earlier run in the folder was stopped, to the same weights.

        Args:
            classifier: A network with gradients; it is not changed.
            train: What it may learn from, labeled by its classes.
            test: What it is measured by, labeled; none of these are learned from.
            out: Folder of the run.
            about: What `run.json` shall say of the run beside what makes it the same run.
            progress: Told (what, done, total).
            stop: Asked now and then; where it says so, what is finished is kept and the rest ends.
            on_row: Told all rows so far after each.

        Returns:
            What `work` says.

        Raises:
            ModelError: The network has one class, or cannot be hardened.
            UsageError: Layers that it does not have, or a shift of more than half an image.
            DataError: There are no labels, labels that are none of its classes, or another run in the folder.
            Interrupted: It was asked to stop.
        """
        self.check(classifier, train, test)
        prints = {"model": classifier.fingerprint, "train": train.fingerprint, "test": test.fingerprint}
        marks = {**prints, "settings": self.mark}
        with held(Store(out), marks, {"kind": "defense", **(about or {})}, classifier.device):
            shop = Workshop(out, experiment(marks), progress or (lambda *_: None), stop)
            return self.work(shop, classifier, train, test, on_row or (lambda _: None))

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        return {}

    @abstractmethod
    def check(self, classifier: Classifier, train: Images, test: Images) -> None:
        """Refuse what cannot be hardened, before anything is written."""

    @abstractmethod
    def work(self, shop: Workshop, classifier: Classifier, train: Images, test: Images, on_row: OnRow) -> Hardened:
        """Harden a classifier in a folder that is held.

        Args:
            shop: The folder: what lies there already is taken from it.
            classifier: The network; it is not changed.
            train: What it may learn from.
            test: What it is measured by.
            on_row: Told all rows so far after each.
        """


@dataclass(frozen=True)
class Attacked(Defense):
    """A defense that is told by two rows, before and after, under the same attacks within the same radius.

    Attributes:
        eps: L_inf radius of adversaries, in pixel values of [0, 1]: those of the defense and those of the table.
        images: Test images that the table attacks.
        few: Steps of its short attack.
        many: Steps of its long one.
        restarts: Starts of the long one.
        worst: Whether the table asks for the worst case as well.
        batch: Images a pass and a step.
        seed: Of all that is drawn.
    """

    eps: float = 8 / 255
    images: int = 200
    few: int = 10
    many: int = 100
    restarts: int = 5
    worst: bool = True
    batch: int = 128
    seed: int = 0

    needed: ClassVar[str] = "counts of 1 or more, finite numbers above 0, eps in pixel values of [0, 1]"
    hint: ClassVar[str] = f"eps={8 / 255:.3g}; a radius in units of 0..255 is divided by 255 first."

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        counts = ("images", "few", "many", "restarts", "batch")
        return {"eps": 0 < self.eps <= 1, **{name: 1 <= getattr(self, name) < inf for name in counts}}

    def row(
        self,
        shop: Workshop,
        k: int,
        classifier: Classifier,
        test: Images,
        *,
        minutes: float,
        detector: Detector | None = None,
    ) -> Row:
        """Row k of the table.

        Args:
            shop: Where attacks are kept as they are done.
            k: 0 of the network as it was given, 1 of what became of it.
            classifier: Who is attacked.
            test: Labeled images that nothing has been learned from.
            minutes: CPU minutes that the defense took.
            detector: What rejects images beside the classifier.

        Returns:
            `round`, which is k, what `endured` says, and `cpu_minutes`.
        """
        ordeal = Ordeal(self.eps, self.images, self.few, self.many, self.restarts, self.worst, self.seed, self.batch)
        stood = endured(classifier, test, ordeal, detector=detector, shop=shop, name=f"{k:02d}-attacked")
        return {"round": float(k), **stood, "cpu_minutes": minutes}
