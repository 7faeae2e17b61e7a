"""Retraining with a class of rubbish: what fools a network becomes what the next one learns to refuse."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images
from amiss.defend.checking import check_layers, check_lessons, check_shift
from amiss.defend.defense import Defense, OnRow
from amiss.defend.hardening import FineTuning, Hardened, Row
from amiss.defend.nonsense import Archive, Encoding, climb, evolve
from amiss.defend.telling import figures_of, sentence_of
from amiss.defend.widening import widened
from amiss.defend.workshop import Workshop
from amiss.repro import generator
from amiss.training import TrainingRecipe

__all__ = ["RubbishClass"]

_SHOWN = 10  # champions that a report shows of each network
_TRAINING = -1  # the stream of a round's training, beside those of its evolutions, which count from 0


@dataclass(frozen=True)
class RubbishClass(Defense):
    """Retraining with a class of rubbish, round by round: a `Defense`.

    Each round evolves the same number of champions against the network of the round before, adds them to those of
    all rounds before, and goes on training from that network's weights, with all of them as a class of their own
    beside the images. The last network is attacked like the others. Champions of other seeds, pixels evolved
    likewise and a climb up the gradient are held out: no network learns from them.

    Attributes:
        rounds: Times that the network is retrained.
        champions: Images of nonsense that a round adds; of several evolutions where there are fewer classes.
        epochs: Passes over images and rubbish a round.
        share: Share of what is trained on that is rubbish, in (0, 1): its images are repeated until they are.
        encoding: How the nonsense is written down: "cppn" or "direct".
        confidence: Softmax probability that counts as fooled.
        learned_generations: Of an evolution that is learned from, after the first.
        generations: Of a long one, which measures what a network costs to fool and is held out.
        children: Images a generation.
        held_out: Champions of other seeds that are held out a round: as many of evolutions like those that are
            learned from, and as many of long ones.
        rate: Highest learning rate.
        shift: Images and rubbish are moved by up to so many pixels each way while they are learned from; half the
            shorter side at most.
        layers: Names of the modules that learn; empty: the whole network.
        batch: Images a pass and a step.
        seed: Of evolution and training.

    Raises:
        UsageError: A setting that cannot mean anything.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 3.5 (training networks to
        recognize fooling images).
    """

    rounds: int = 5
    champions: int = 100
    epochs: float = 1.0
    share: float = 0.25
    encoding: Encoding = "cppn"
    confidence: float = 0.99
    learned_generations: int = 20
    generations: int = 100
    children: int = 100
    held_out: int = 50
    rate: float = 1e-3
    shift: int = 0
    layers: tuple[str, ...] = ()
    batch: int = 128
    seed: int = 0

    needed: ClassVar[str] = (
        "counts of 1 or more, finite epochs and rate above 0, share and confidence between 0 and 1"
    )
    hint: ClassVar[str] = "RubbishClass(rounds=5, champions=100)"

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        names = ("rounds", "champions", "learned_generations", "generations", "children", "held_out", "batch")
        return {name: getattr(self, name) >= 1 for name in names} | {
            "epochs": 0 < self.epochs < math.inf,
            "rate": 0 < self.rate < math.inf,
            "shift": self.shift >= 0,
            "share": 0 < self.share < 1,
            "confidence": 0 < self.confidence < 1,
            "encoding": self.encoding in ("cppn", "direct"),
        }

    @property
    def mark(self) -> str:
        """All settings but the number of rounds, which may be added to later."""
        return repr(self).partition(", ")[2].rstrip(")")

    def check(self, classifier: Classifier, train: Images, test: Images) -> None:
        """Refuse a network that no class can be added to, layers that it does not have, images without labels."""
        start = widened(classifier, train.images([0]))
        check_lessons(len(start.labels or ()) - 1, train, test)
        check_layers(start.network, self.layers)
        check_shift(self.shift, train)

    def work(self, shop: Workshop, classifier: Classifier, train: Images, test: Images, on_row: OnRow) -> Hardened:
        """Retrain for all rounds, or go on after those that the folder holds.

        Returns:
            The last network, and a row for each, with `accuracy` on the test images (called rubbish is wrong); the
            median `confidence` of its answers there; `called_rubbish`, the share of them that it refuses; `recall`,
            the share that it refuses of held-out champions of all rounds before, each of which fooled the network
            of its round with the wanted confidence; their number `recall_of`, and `recall_called`, how many had the
            label with whatever confidence. `recall_first` is of those that fooled the classifier as it was given,
            `recall_newest` of those that fooled the network just before; `recall_long` of those that evolved longer,
            `recall_other` of the other encoding, and `recall_gradient` of climbs, of all rounds before. Of the long
            evolutions against this network `champion`, the median confidence of champions; `fooled`, the share of
            them with the wanted confidence; and evaluations until the median champion, and until all of them, had
            it, each the median of the evolutions: None where half of them never came so far within `budget`.
        """
        start = widened(classifier, train.images([0]))
        n = len(start.labels or ()) - 1
        recipe, now = self._recipe(), classifier
        attacks: list[_Attack] = []
        rows: list[Row] = []
        rubbish: list[Tensor] = []
        shown: list[Archive] = []
        for k in range(self.rounds + 1):
            if k:
                data, loss = self._lessons(train, torch.cat(rubbish), n), self._loss(start)
                what = f"Round {k}: retraining"
                paced = replace(recipe, seed=int(generator(self.seed, k, _TRAINING).initial_seed()))
                now = shop.trained(f"{k:02d}-model", now if k > 1 else start, data, loss, paced, what)
            row: Row = {"round": float(k), "rubbish": float(sum(len(part) for part in rubbish))}
            row |= _measured(now, n, test, self.batch) | self._recalls(now, n, attacks)
            found = self._attack(shop, now, n, tuple(train.pixels.shape[1:]), k)
            rows.append(row | self._costs(found))
            rubbish.append(self._chosen(found, k))
            shown.append(_some(found.long[0], n))
            attacks.append(replace(found, learned=()))  # what is learned from is in `rubbish`
            on_row(rows)
        return Hardened(now, tuple(rows), sentence_of(rows, self.confidence), figures_of(rows), tuple(shown))

    def _attack(self, shop: Workshop, now: Classifier, n: int, shape: tuple[int, ...], k: int) -> "_Attack":
        """Everything that is found against one network: archives to learn from, and archives held out."""
        learned, asked = -(-self.champions // n), -(-self.held_out // n)
        other: Encoding = "direct" if self.encoding == "cppn" else "cppn"
        count = learned + 2 * asked + 1

        def made(i: int, encoding: Encoding, generations: int) -> Archive:
            shop.progress(f"Round {k}: evolving nonsense", i, count)
            return shop.archive(
                f"{k:02d}-{encoding}-{i:03d}",
                lambda: evolve(
                    now,
                    n,
                    shape,
                    encoding=encoding,
                    confidence=self.confidence,
                    generations=generations,
                    children=self.children,
                    seed=int(generator(self.seed, k, i).initial_seed()),
                    batch=self.batch,
                    stop=shop.stop,
                ),
            )

        brief = [made(i, self.encoding, self.learned_generations) for i in range(learned + asked)]
        long = [made(i, self.encoding, self.generations) for i in range(learned + asked, count - 1)]
        strange = made(count - 1, other, self.generations)
        some = torch.linspace(0, n - 1, min(n, self.held_out)).round().long().tolist()
        climbed = shop.archive(
            f"{k:02d}-gradient",
            lambda: climb(now, some, shape, confidence=self.confidence, batch=self.batch, stop=shop.stop),
        )
        return _Attack(tuple(brief[:learned]), tuple(brief[learned:]), tuple(long), strange, climbed)

    def _chosen(self, found: "_Attack", k: int) -> Tensor:
        """The champions that the next network learns from [champions, C, H, W], uint8."""
        images = torch.cat([archive.images for archive in found.learned])
        return images[torch.randperm(len(images), generator=generator(self.seed, k))[: self.champions]]

    def _costs(self, found: "_Attack") -> Row:
        """What long evolutions cost, and what they came to."""
        own = found.long
        sure = torch.cat([archive.confidence for archive in own])
        return {
            "champion": float(sure.median()),
            "fooled": float((sure >= self.confidence).double().mean()),
            "evaluations_median": _middle([archive.reached(self.confidence) for archive in own]),
            "evaluations_all": _middle([archive.reached(self.confidence, "least") for archive in own]),
            "budget": float(self.children * (self.generations + 1)),
        }

    def _recalls(self, now: Classifier, n: int, attacks: "Sequence[_Attack]") -> Row:
        """Shares of what fooled the networks before, and was learned from by none, that this one calls rubbish."""
        row: Row = {}
        for name, archives in _kinds(attacks).items():
            images = [archive.images[archive.fooling(self.confidence)] for archive in archives]
            count = sum(len(part) for part in images)
            row[f"recall{name}"] = None
            if count:
                said = _answers(now, torch.cat(images), self.batch).argmax(1)
                row[f"recall{name}"] = float((said == n).double().mean())
            row[f"recall{name}_of"] = float(count)
            if not name:
                row["recall_called"] = float(sum(int(archive.fools.sum()) for archive in archives))
        return row

    def _lessons(self, train: Images, rubbish: Tensor, n: int) -> dict[str, Tensor]:
        """Images and rubbish with their labels; the rubbish is repeated until it is its share of all."""
        wanted = max(len(rubbish), round(self.share / (1 - self.share) * len(train)))
        again = rubbish[torch.arange(wanted) % len(rubbish)]
        label = torch.cat([train.truth, torch.full((wanted,), n, dtype=torch.int64)])
        return {"image": torch.cat([train.pixels, again]), "label": label}

    def _loss(self, start: Classifier) -> FineTuning:
        mean, std = start.preprocessing
        return FineTuning(mean=mean, std=std, layers=self.layers)

    def _recipe(self) -> TrainingRecipe:
        return TrainingRecipe(
            epochs=self.epochs, batch=self.batch, rate=self.rate, shift=self.shift, channels_last=True
        )


@dataclass(frozen=True)
class _Attack:
    """What was found against one network.

    Attributes:
        learned: Archives that the next network learns from.
        held_out: Archives of other seeds, which none learns from.
        long: Archives of more generations and other seeds, which none learns from either.
        other: One of the other encoding, as long.
        gradient: Climbs, for as many classes as champions are held out.
    """

    learned: tuple[Archive, ...]
    held_out: tuple[Archive, ...]
    long: tuple[Archive, ...]
    other: Archive
    gradient: Archive


def _some(found: Archive, n: int) -> Archive:
    """Champions of some of n classes, spread over all of them."""
    some = torch.linspace(0, n - 1, min(n, _SHOWN)).round().long()
    rows = {name: getattr(found, name)[some] for name in ("images", "label", "confidence", "fools")}
    return replace(found, **rows)


@torch.no_grad()
def _answers(now: Classifier, images: Tensor, batch: int) -> Tensor:
    """Softmax [k, classes] of images of bytes."""
    parts = [now.outputs(x.to(torch.float32) / 255)["answer"].cpu() for x in images.split(batch)]
    return torch.cat(parts).softmax(1)


def _measured(now: Classifier, n: int, test: Images, batch: int) -> Row:
    """What a network makes of the test images."""
    sure, said = _answers(now, test.pixels, batch).max(1)
    return {
        "accuracy": float((said == test.truth).double().mean()),
        "confidence": float(sure.median()),
        "called_rubbish": float((said == n).double().mean()),
    }


def _kinds(attacks: Sequence[_Attack]) -> dict[str, list[Archive]]:
    """What is held out of the attacks on all networks so far, by the ending of its column."""
    return {
        "": [archive for attack in attacks for archive in attack.held_out],
        "_first": [archive for attack in attacks[:1] for archive in attack.held_out],
        "_newest": [archive for attack in attacks[-1:] for archive in attack.held_out],
        "_long": [archive for attack in attacks for archive in attack.long],
        "_other": [attack.other for attack in attacks],
        "_gradient": [attack.gradient for attack in attacks],
    }


def _middle(spent: list[float | None]) -> float | None:
    """The median of what evolutions took, the higher one of two; None where it is one that never came there."""
    order = sorted(float("inf") if value is None else value for value in spent)
    middle = order[len(order) // 2]
    return None if middle == float("inf") else middle
