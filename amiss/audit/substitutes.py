"""Substitutes for models that give no gradient: networks trained on their answers, to be attacked in their place."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.constraints import Linf
from amiss.errors import DataError, UsageError
from amiss.models import SmallCNN
from amiss.objectives import Avoid, Become
from amiss.optimizers import Sign
from amiss.probe import Budget, Probe
from amiss.repro import fold, generator
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.training import ClassifierLoss, TrainingRecipe, fit

__all__ = ["Substitute", "substitute"]

_BATCH = 256  # images a pass of the model that is asked
_FAR = 1e6  # a margin that no step reaches, so that every step has a slope


@dataclass(frozen=True)
class Substitute:
    """A network that answers as another model does, as far as that was asked.

    Attributes:
        classifier: The network; it gives gradients.
        images: What the other was asked [q, C, H, W], in [0, 1].
        answers: What it answered [q], int64: labels.
        agreement: Share of `images` that the network names as the other does, round by round.
    """

    classifier: Classifier
    images: Tensor
    answers: Tensor
    agreement: tuple[float, ...]

    @property
    def queries(self) -> int:
        """Images that were shown to the other model."""
        return len(self.images)


def substitute(
    target: Classifier,
    images: Tensor,
    queries: int,
    *,
    network: nn.Module | None = None,
    step: float = 0.1,
    steps: int = 300,
    rate: float = 3e-3,
    seed: int = 0,
) -> Substitute:
    """Train a network on the answers of a model that is asked for labels alone.

    In each round the network is trained anew on all answers so far. Then each image is moved by one step of its sign
    gradient, toward the boundary of its answer in one round and away from it in the next, and the model is asked
    about the new images: their number doubles, until the queries are spent to the last. What is asked lies on the 256
    levels of a file.

    An attack on `Substitute.classifier` is judged on the model itself:
    `made = probe.run(known.classifier, task)`, then `probe.judge(target, task, made.images)`.

    Args:
        target: Who is asked; labels are enough.
        images: Images to begin with [n, C, H, W], in [0, 1], of the kind that the model is for; some of each class.
        queries: Images that the model may be shown in all, n or more.
        network: Untrained, images in [0, 1] to logits; a small convolutional one where left out. It is not changed.
        step: How far a pixel of a new image moves, in (0, 1].
        steps: Of Adam, each round.
        rate: Its highest learning rate.
        seed: Of the weights, the order of images, and who is moved where not all can be.

    Raises:
        DataError: No image, or images that are not square, where the network is left out.
        UsageError: Fewer queries than images, or a step outside (0, 1].

    References:
        Papernot, McDaniel, Goodfellow, Jha, Celik and Swami (2017), practical black-box attacks against machine
        learning, algorithm 1 and section 4.2 (their steps climb the answer's output, with a sign that changes from
        time to time).
    """
    _refuse(images, queries, step)
    known = images.mul(255).round().div(255)
    answers = _asked(target, known)
    names = target.labels or ()
    fresh = network if network is not None else _network(images, len(names), seed)
    agreement: list[float] = []
    while True:
        learner = Classifier(copy.deepcopy(fresh), labels=names)
        recipe = TrainingRecipe(steps=steps, batch=min(64, len(known)), rate=rate, seed=seed)
        assert isinstance(learner.network, nn.Module)  # noqa: S101 - as it was made
        fit(learner.network, ClassifierLoss(), {"image": known, "label": answers}, recipe)
        agreement.append(float((_asked(learner, known) == answers).double().mean()))
        left = queries - len(known)
        if not left:
            return Substitute(learner, known, answers, tuple(agreement))
        which = torch.randperm(len(known), generator=generator(seed, len(agreement)))[:left].sort().values
        new = _moved(learner, known[which], answers[which], step, inward=len(agreement) % 2 == 0)
        known, answers = torch.cat([known, new]), torch.cat([answers, _asked(target, new)])


def _moved(learner: Classifier, images: Tensor, answers: Tensor, step: float, inward: bool) -> Tensor:
    """Images one sign step toward the boundary of their answer, or away from it."""
    objective = Become(margin=_FAR) if inward else Avoid(_FAR)
    probe = Probe(Pixels(), objective, Linf(step), Sign(step), "budget", Budget(1))
    task = Task(fold(torch.arange(len(images)), 0), images, answers, answers)
    *_, last = probe.walk(learner, task)
    assert isinstance(last.query.p, Tensor)  # noqa: S101 - images
    return last.query.p.mul(255).round().div(255)


def _asked(classifier: Classifier, images: Tensor) -> Tensor:
    """Labels [n] of images."""
    return torch.cat([classifier.predict(part) for part in images.split(_BATCH)]).cpu()


def _network(images: Tensor, classes: int, seed: int) -> nn.Module:
    """A small convolutional network for images of this size."""
    channels, height, width = images.shape[1:]
    if height != width or height < 16:
        raise DataError(
            "There is no network for images of this shape.",
            slug="substitute-size",
            seen=f"images [n, {channels}, {height}, {width}]",
            needed="square images of 16 pixels or more, or a network of your own",
            hint="substitute(target, images, queries, network=net)",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, 0).initial_seed())
        return SmallCNN(channels, classes, height)


def _refuse(images: Tensor, queries: int, step: float) -> None:
    """Refuse what cannot be asked."""
    if not len(images):
        raise DataError(
            "There is no image to begin with.",
            slug="data-empty",
            seen="0 images",
            needed="one image or more, some of each class",
            hint="Give images [n, C, H, W] of the kind that the model is for.",
        )
    if queries < len(images) or not 0 < step <= 1:
        raise UsageError(
            "The model cannot be asked like this.",
            slug="substitute-queries",
            seen=f"{len(images)} images, queries={queries}, step={step}",
            needed="a query for each image or more, and a step in (0, 1]",
            hint=f"substitute(target, images, queries={8 * len(images)}, step=0.1)",
        )
