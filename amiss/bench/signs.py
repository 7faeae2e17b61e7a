"""Drawn traffic signs for the parts of a bench: one camera, streets to search and to judge in, two networks."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.classifier import Classifier
from amiss.constraints import Constraint, Linf, Mask, Quantized
from amiss.data import Images
from amiss.data.worlds.signs import KINDS, Signs, draw_streets, sample_signs, sign_mask
from amiss.models import Detector, build
from amiss.objectives.expectation import Transform
from amiss.repro import fold
from amiss.task import Task
from amiss.tensorfile import read_tensors, write_tensors
from amiss.training import DetectionLoss, classifier_for, fit, load_model, train
from amiss.transforms import Light, Noise, Scene, View

__all__ = ["EPS", "SCALES", "SHOTS", "TILTS", "VIEWS", "Street", "classifier", "detector", "unseen"]

EPS = 0.3
"""L_inf radius of every attack of the bench, in pixel values of [0, 1]."""

VIEWS = View((0.4, 1.5), (-30, 30), (-45, 45), shift=(-0.05, 0.05), over=2)
"""Where signs are seen from: distance, rotation in the plane, viewing angle, and a little to any side."""

SCALES, TILTS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.5), (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0)
"""Distances and viewing angles of a map."""

SHOTS = tuple(
    View((scale, scale), (turn, turn), (tilt, tilt), over=2)
    for scale, turn, tilt in ((1.0, 0, 0), (1.4, 0, 0), (0.5, 0, 0), (1.0, 0, 40), (0.8, -25, -30), (0.6, 20, 20))
)
"""Where examples are photographed from."""

_ANYWHERE = View((0.4, 1.5), (-30, 30), (-45, 45), shift=(-0.3, 0.3))  # what a detector learns from
_LEARN, _VIEW, _STREET, _JUDGE, _CLEAN = 1, 2, 3, 4, 5  # streams of a seed
_SENSOR: tuple[Transform, ...] = (Light((0.8, 1.2), (-0.1, 0.1)), Noise(0.02))


@dataclass(frozen=True)
class Street:
    """Signs to attack, and the camera before which they are judged.

    Attributes:
        seed: Of all of it.
        each: Signs of each kind.
        streets: How many there are to search in, and as many others to be judged in.
    """

    seed: int
    each: int
    streets: int = 200

    @cached_property
    def signs(self) -> Signs:
        """The signs, seen from the front: their pictures are what is attacked."""
        kinds = [kind for kind in range(len(KINDS)) for _ in range(self.each)]
        return sample_signs(len(kinds), _stream(self.seed, _JUDGE), kinds=kinds)

    @cached_property
    def task(self) -> Task:
        """The pictures, what they show, and another kind for each to become."""
        kinds, n = self.signs.kinds, len(self.signs)
        moves = torch.randint(1, len(KINDS), (n,), generator=torch.Generator().manual_seed(self.seed))
        image = self.signs.draw().float() / 255
        return Task(self.signs.looks, image, kinds, (kinds + moves) % len(KINDS))

    def rows(self, kind: int) -> Tensor:
        """Which signs are of a kind."""
        return (self.signs.kinds == kind).nonzero()[:, 0]

    def bound(self, kind: int) -> Constraint:
        """What may change: the sign's own pixels, by no more than `EPS`, to what a file can hold."""
        return Linf(EPS) & Mask(sign_mask(kind)) & Quantized(256, inward=True)

    def camera(self, kind: int, view: View = VIEWS) -> tuple[Transform, ...]:
        """The transforms that a search may draw from: streets that judging never shows."""
        return (Scene(view, sign_mask(kind), self._streets[0]), *_SENSOR)

    def seen(self, images: Tensor, views: int, view: View = VIEWS) -> tuple[Tensor, Tensor]:
        """What the camera takes of each picture in the streets of judging, with the poses that it was taken at.

        Args:
            images: One picture a sign [n, 3, H, W].
            views: How many of each.
            view: From where.

        Returns:
            Photographs [n, views, 3, H, W] and homographies [n, views, 3, 3].
        """
        taken, poses = [], []
        for image, kind, look in zip(images, self.signs.kinds.tolist(), self.signs.looks, strict=True):
            key = fold(fold(look.expand(views), _stream(self.seed, _VIEW)), torch.arange(views))
            scene = Scene(view, sign_mask(kind), self._streets[1])
            x = scene(image.expand(views, *image.shape), key)
            for place, transform in enumerate(_SENSOR, 1):
                x = transform(x, fold(key, place))
            taken.append(x)
            poses.append(view.homography(key))
        return torch.stack(taken), torch.stack(poses)

    @cached_property
    def _streets(self) -> tuple[Tensor, Tensor]:
        """Streets to search in, and others to be judged in."""
        first, second = (draw_streets(self.streets, _stream(self.seed, _STREET, i)).float() / 255 for i in range(2))
        return first, second


def classifier(run: Run) -> Classifier:
    """A SmallCNN of drawn signs at any of the views, trained once and read from its file ever after."""
    path = run.place / "signs-classifier.safetensors"
    if not path.is_file():
        torch.set_num_threads(1)
        images = _taken(_learned(run, VIEWS))
        train(classifier_for(images, run.seed, 2 if run.quick else 10, "SmallCNN"), images).save(path)
    model, facts = load_model(path)
    return Classifier(model, mean=facts["mean"], std=facts["std"], labels=facts["classes"])


def detector(run: Run) -> Detector:
    """A detector of drawn signs anywhere in the picture, trained once and read from its file ever after."""
    path = run.place / "signs-detector.safetensors"
    net = build({"architecture": "Detector", "arguments": {"labels": KINDS, "size": 64}}, run.seed)
    assert isinstance(net, Detector)  # noqa: S101 - it was asked for
    if not path.is_file():
        torch.set_num_threads(1)
        signs = _learned(run, _ANYWHERE)
        images = _taken(signs)
        data = {"image": images.pixels, "label": images.truth, "box": signs.boxes()}
        # As a classifier of them, but in longer steps, and nothing is shifted: the boxes would stay where they were.
        preset = classifier_for(images, run.seed, 2 if run.quick else 16, "SmallCNN")
        recipe = replace(preset.training, rate=3e-3, shift=0)
        fit(net, DetectionLoss(), data, recipe)
        write_tensors(path, net.state_dict(), {})
    net.load_state_dict(read_tensors(path)[0])
    return net.eval()


def unseen(run: Run) -> Street:
    """Signs that nobody attacks, many more than are attacked: what a network is right about is told of these."""
    return Street(_stream(run.seed, _CLEAN), 1, 20) if run.quick else Street(_stream(run.seed, _CLEAN), 25)


def _taken(signs: Signs) -> Images:
    """The signs drawn, each in light of its own and with a sensor's noise."""
    images = signs.images()
    x = images.images()
    for place, transform in enumerate(_SENSOR, 1):
        x = transform(x, fold(signs.looks, place))
    return replace(images, pixels=(x.clamp(0, 1) * 255).round().to(torch.uint8))


def _learned(run: Run, view: View) -> Signs:
    """The signs that a network learns from, drawn at views of their own."""
    n = 240 if run.quick else 6000
    seed = _stream(run.seed, _LEARN)
    return sample_signs(n, seed, view.homography(fold(torch.arange(n), seed)))


def _stream(*words: int) -> int:
    """A seed for each purpose."""
    key = torch.zeros((), dtype=torch.int64)
    for word in words:
        key = fold(key, word)
    return int(key) & 0x7FFFFFFF
