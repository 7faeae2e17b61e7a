"""SafetyNet: a detector of adversaries beside the network, fitted on one attack, tested on others and on its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend.checking import check_lessons
from amiss.defend.defense import Attacked, OnRow
from amiss.defend.detectors import CodeDetector, Detector, LinearDetector, activations, late_layer
from amiss.defend.hardening import Hardened, Row
from amiss.defend.outcome import before_and_after, gains
from amiss.defend.workshop import Workshop
from amiss.errors import DataError
from amiss.objectives import Accepted, Avoid
from amiss.probe import Probe
from amiss.recipes import RECIPES, ddn, fgsm
from amiss.repro import generator
from amiss.task import Task

__all__ = ["TYPE1", "SafetyNet"]

TYPE1 = {"minimal_l2": "smallest L2", "deepfool": "DeepFool"}
"""The attacks that know the network alone, as figures name them, and in words."""

Fitted = TypeVar("Fitted", bound=Detector)

_RADII = 12  # of FGSM, up to eps: the first that fools the network makes the adversary
_PURSUED = 256  # test images, at the most, of which the smallest change of type II is searched for
_FEW = 10  # adversaries, below which nothing is fitted
_TRIED = 32  # training images, at the most, of which the smallest change of type II chooses between fits
_SHARPNESS = (1.0, 3.0, 10.0, 30.0)  # of SafetyNet's kernel, to choose from
_COSTS = (0.1, 1.0, 10.0)  # of the linear detector's errors, likewise
_SPEEDS = (0.1, 0.03)  # of the search for the smallest change


@dataclass(frozen=True)
class SafetyNet(Attacked):
    """A radial SVM on quantized late activations rejects adversaries; the network stays as it is: a `Defense`.

    It is fitted on training images and on FGSM's adversaries of them, each of the smallest of twelve radii that fools
    the network. It is tested on test images and on adversaries of other attacks. Attacks of type I know the network
    alone; attacks of type II search for the smallest change that fools the network and passes the detector as well.
    A linear detector on the same activations, fitted and attacked alike, stands beside it.

    How narrow the kernel is, is chosen among four by validation: that against which the smallest change of type II is
    longest, on training images that no machine was fitted on. What an error of the linear detector costs is chosen
    likewise.

    Attributes:
        layer: Whose activations are read; empty: the layer before the last ReLU.
        levels: Of a code, 2 or more.
        share: Share of natural images that the detectors let pass, in (0, 1).
        learned: Natural images that are learned from, and as many that set the threshold.
        steps: Steps of the smallest changes of types I and II.

    References:
        Lu, Issaranon and Forsyth (2017), SafetyNet: detecting and rejecting adversarial examples robustly.
    """

    layer: str = ""
    levels: int = 4
    share: float = 0.95
    learned: int = 2000
    steps: int = 300

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        counts = {name: getattr(self, name) >= 1 for name in ("learned", "steps")}
        return super().ranges() | counts | {"levels": self.levels >= 2, "share": 0 < self.share < 1}

    def check(self, classifier: Classifier, train: Images, test: Images) -> None:
        """Refuse a network without the layer, and images without its labels."""
        check_lessons(classifier.outputs(train.images([0]))["answer"].shape[1], train, test)
        classifier.outputs(train.images([0]), (self._reads(classifier),))

    def work(self, shop: Workshop, classifier: Classifier, train: Images, test: Images, on_row: OnRow) -> Hardened:
        """Fit and test the detector.

        Returns:
            The classifier as it was, the detector, and two rows: `round` 0 of the network alone, 1 of both, where a
            rejected test image is wrong and an attack has to pass the detector. `figures` has `auc_NAME` and
            `passed_NAME`, the area under the curve and the share let pass of each type I attack; `natural_passed`;
            `type2_l2` and `type2_met`, the median smallest change that fools both and how often there was one; and
            the same under `linear_...` for the linear detector. `type2_ratio` is the median, over images where both
            were found, of SafetyNet's smallest change over the linear detector's.
        """
        began = time.process_time()
        made = self._fitted(shop, classifier, train, self._reads(classifier))
        spent = torch.tensor([time.process_time() - began], dtype=torch.float64)
        minutes = float(shop.tensors("fitting", lambda: {"cpu": spent})["cpu"]) / 60
        rows: list[Row] = [self.row(shop, 0, classifier, test, minutes=0.0)]
        on_row(rows)
        rows.append(self.row(shop, 1, classifier, test, minutes=minutes, detector=made[0]))
        on_row(rows)
        figures = gains(rows) | self._tested(shop, classifier, test, made)
        return Hardened(classifier, tuple(rows), self._sentence(rows, figures), figures, detector=made[0])

    def _reads(self, classifier: Classifier) -> str:
        return self.layer or late_layer(classifier)

    def _fitted(
        self, shop: Workshop, classifier: Classifier, train: Images, layer: str
    ) -> tuple[CodeDetector, LinearDetector]:
        """Both detectors, with thresholds that natural images have set which they were not fitted on."""
        some = torch.randperm(len(train), generator=generator(self.seed))[: 2 * self.learned]
        some = some[(self._answers(classifier, train, some) == train.truth[some])]
        known, aside = some[: len(some) // 2], some[len(some) // 2 :]
        tried, aside = aside[: min(_TRIED, len(aside) // 4)], aside[min(_TRIED, len(aside) // 4) :]
        made = shop.tensors("fgsm", lambda: {"image": self._fgsm(shop, classifier, train, known)})["image"]
        if len(made) < _FEW or len(aside) < _FEW:
            raise DataError(
                "There are too few adversaries to fit a detector on.",
                slug="defend-adversaries",
                seen=f"{len(made)} of {len(known)} images were changed by FGSM within eps={self.eps:.3g}",
                needed=f"{_FEW} or more, and as many natural images",
                why="a radius that is too small, a network whose gradient is masked, or few images",
                hint="Give a larger --eps, or more images.",
            )
        natural = activations(classifier, layer, train.images(known), self.batch)
        adversarial = activations(classifier, layer, made, self.batch)
        fresh, task = activations(classifier, layer, train.images(aside), self.batch), train.task(tried)
        codes = [
            self._settled(CodeDetector.fit(layer, natural, adversarial, self.levels, sharpness=value), fresh)
            for value in _SHARPNESS
        ]
        lines = [
            self._settled(LinearDetector.fit(layer, natural, adversarial, cost=value), fresh) for value in _COSTS
        ]
        return self._chosen(shop, classifier, task, codes), self._chosen(shop, classifier, task, lines)

    def _chosen(self, shop: Workshop, classifier: Classifier, task: Task, fits: Sequence[Fitted]) -> Fitted:
        """The detector against which the median smallest change of type II is longest; the first of several."""
        lengths = []
        for i, one in enumerate(fits):
            name = f"tried-{one.name}-{i}"
            size = self._smallest(shop, classifier, task, one, name, _SPEEDS[:1], -(-self.steps // 3))
            lengths.append(float(size.median()))
        return fits[lengths.index(max(lengths))]

    def _settled(self, detector: Fitted, fresh: Tensor) -> Fitted:
        """The detector with the threshold that lets its share of fresh natural images pass."""
        scores = detector.judge(fresh)
        lowest = scores.sort().values[int((1 - self.share) * len(scores))]
        return replace(detector, threshold=float(lowest), spread=max(float(scores.std(correction=0)), 1e-9))

    def _fgsm(self, shop: Workshop, classifier: Classifier, train: Images, known: Tensor) -> Tensor:
        """FGSM's adversaries of those images that it fools within eps, each of the smallest radius of a few."""
        left, made = known, []
        for i in range(1, _RADII + 1):
            shop.tell("Making adversaries", i - 1, _RADII)
            if len(left):
                found = fgsm(self.eps * i / _RADII, seed=self.seed).run(classifier, train.task(left))
                made.append(found.images[found.met].cpu())
                left = left[~found.met.cpu()]
        return torch.cat(made)

    def _tested(
        self, shop: Workshop, classifier: Classifier, test: Images, made: tuple[CodeDetector, LinearDetector]
    ) -> dict[str, float]:
        """What the detectors make of attacks that they were not fitted on, and of those that know them."""
        some = torch.randperm(len(test), generator=generator(self.seed))[: self.images].sort().values
        some = some[self._answers(classifier, test, some) == test.truth[some]]
        task, figures = test.task(some), dict[str, float]()
        attacks = {"minimal_l2": ddn(steps=self.steps, seed=self.seed, batch=self.batch)}
        if "deepfool" in RECIPES:
            attacks["deepfool"] = replace(RECIPES["deepfool"].make(), seed=self.seed, batch=self.batch)
        natural = test.images(some)
        for name, probe in attacks.items():
            found = self._found(shop, classifier, task, probe, f"type1-{name}")
            for mark, detector in zip(("", "linear_"), made, strict=True):
                ours = detector.judge(activations(classifier, detector.layer, natural, self.batch))
                theirs = detector.judge(activations(classifier, detector.layer, found["image"], self.batch))
                figures[f"{mark}natural_passed"] = float((ours >= detector.threshold).double().mean())
                figures[f"{mark}auc_{name}"] = _auc(ours, theirs)
                figures[f"{mark}passed_{name}"] = float((theirs >= detector.threshold).double().mean())
        sizes, task = [], test.task(some[:_PURSUED])
        for mark, detector in zip(("", "linear_"), made, strict=True):
            size = self._smallest(shop, classifier, task, detector, f"type2-{detector.name}", _SPEEDS, self.steps)
            sizes.append(size)
            figures[f"{mark}type2_met"] = float(size.isfinite().double().mean())
            if bool(size.isfinite().any()):
                figures[f"{mark}type2_l2"] = float(size[size.isfinite()].median())
        pairs = (sizes[0] / sizes[1])[sizes[0].isfinite() & sizes[1].isfinite()]
        return figures | ({"type2_ratio": float(pairs.median())} if len(pairs) else {})

    def _found(
        self, shop: Workshop, classifier: Classifier, task: Task, probe: Probe, name: str
    ) -> dict[str, Tensor]:
        """What an attack found: images that fool, and the length of each sample's change, inf where none did."""

        def tell(done: int, total: int, _met: int) -> None:
            shop.tell("Attacking: the smallest change", done, total)

        def make() -> dict[str, Tensor]:
            result = probe.run(classifier, task, progress=tell)
            assert task.image is not None  # noqa: S101 - test images
            size = (result.images.cpu() - task.image).flatten(1).norm(dim=1)
            return {"image": result.images[result.met].cpu(), "size": torch.where(result.met.cpu(), size, torch.inf)}

        return shop.tensors(name, make)

    def _smallest(
        self,
        shop: Workshop,
        classifier: Classifier,
        task: Task,
        detector: Detector,
        name: str,
        speeds: Sequence[float],
        steps: int,
    ) -> Tensor:
        """The smallest changes [n] that fool the network and pass the detector, inf where no search finds one.

        Every gradient that the detector can be followed by is followed at every speed.
        """
        least = torch.full((len(task),), torch.inf)
        for i, followed in enumerate(detector.pursued()):
            both = Avoid() + Accepted(followed, detector.threshold, detector.spread)
            for gamma in speeds:
                search = ddn(steps=steps, gamma=gamma, seed=self.seed, batch=self.batch)
                probe = replace(search, objective=both)
                found = self._found(shop, classifier, task, probe, f"{name}-{i}-{gamma:g}")
                least = torch.minimum(least, found["size"])
        return least

    def _answers(self, classifier: Classifier, images: Images, rows: Tensor) -> Tensor:
        return torch.cat([classifier.predict(images.images(part)).cpu() for part in rows.split(self.batch)])

    def _sentence(self, rows: list[Row], figures: Mapping[str, float]) -> str:
        """The table in plain words, and what the detector tells of attacks that know the network alone."""
        known = [name.removeprefix("auc_") for name in figures if name.startswith("auc_")]
        told = ", ".join(f"{figures[f'auc_{name}']:.3f} ({TYPE1[name]})" for name in known)
        text = (
            before_and_after(rows, self.eps, "Fitting took")
            + f" Area under the curve against attacks of type I: {told}."
        )
        if "type2_ratio" in figures:
            text += (
                f" The smallest change that fools both is {figures['type2_ratio']:.2f} times as long as beside a "
                "linear detector."
            )
        return text


def _auc(natural: Tensor, adversarial: Tensor) -> float:
    """The chance that a natural image scores higher than an adversary, ties half; 1 where there is no adversary."""
    if not len(adversarial):
        return 1.0
    apart = natural.unsqueeze(1) - adversarial.unsqueeze(0)
    return float((apart.sign() + 1).mean() / 2)
