"""Objectives about hidden features: mimic what a layer makes of another image, or raise one unit."""

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError, DataError, LayerError, UsageError
from amiss.foreign import pushed
from amiss.objectives.objective import Objective, View
from amiss.task import Task

__all__ = ["Activate", "Mimic", "MimicLinear", "above_rounding", "features_of", "flat"]


class Mimic(Objective):
    """The features of one layer become those of the guide.

    The loss is the squared distance to the guide's features as a share of the source's own, (d(x, g) / d(s, g))^2:
    1 at the source, 0 at the guide. Its square root is the ratio R1. The pass ends at the layer.

    Of two successes the nearer to the guide is kept, whatever its size: the constraint says how far it may go.

    Args:
        layer: Name of a layer; "answer" for the logits.
        near: It is met where R1 is at most this. Below 0.5 an image is nearer to its guide than to its source.

    Raises:
        UsageError: `near` is not in (0, 1).

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, eq. 1.
    """

    keeps = "lowest"
    relative = True

    def __init__(self, layer: str, near: float = 0.5) -> None:
        if not 0 < near < 1:
            raise UsageError(
                "A distance to the guide is told as a share of the source's own.",
                slug="mimic-near",
                seen=f"near={near}",
                needed="a number above 0 and below 1",
                hint="Mimic(layer, near=0.5)",
            )
        self.layer, self.near = layer, near
        self.layers = (layer,)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Put the guide's features, and the source's distance to them, into the task."""
        if task.image is None or task.guide is None:
            raise ContractError(
                "There is nothing to mimic.",
                slug="contract-no-guide",
                seen="a task without " + ("images" if task.image is None else "guides"),
                needed="a source and a guide for each sample",
                hint="images.guided(guides) pairs them; Task(image=..., guide=...) takes tensors.",
            )
        if task.guide.shape != task.image.shape:
            raise DataError(
                "A guide must be of its source's shape.",
                slug="guide-shape",
                seen=f"sources {tuple(task.image.shape)}, guides {tuple(task.guide.shape)}",
                needed="one guide [C, H, W] for each source [C, H, W]",
                hint="Bring both to one size: --size on the command line, `size` in am.open_data.",
            )
        source, guide = (features_of(classifier, x, self.layer) for x in (task.image, task.guide))
        apart = above_rounding((source - guide).pow(2).sum(1), source, guide)
        return task.adding(**{self._key("guide"): guide, self._key("apart"): apart})

    def view(self, outputs: View) -> View:
        """The layer's features [R, D], flat."""
        return {"features": flat(outputs[self.layer])}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """Squared distance to the guide as a share of the source's; met where its root is at most `near`."""
        away = self._away(y["features"], task)
        return away, away <= self.near**2

    def slack(self, y: View, task: Task) -> Tensor:
        """How far below `near` R1 is, squared [R]."""
        return self.near**2 - self._away(y["features"], task)

    def _away(self, features: Tensor, task: Task) -> Tensor:
        """R1 squared of features [..., D]."""
        return (features - task.extra[self._key("guide")]).pow(2).sum(-1) / task.extra[self._key("apart")]

    def _key(self, what: str) -> str:
        # By layer, so that a sum over layers keeps them apart.
        return f"{what}:{self.layer}"


class MimicLinear(Mimic):
    """The guide is mimicked by a layer that is linearized at the source, phi(s) + J (x - s).

    The loss is what the linear model promises. It is met where the layer itself is near the guide, so that a promise
    which does not hold is no success. A reading costs a pass for either: one at the source, one at the image.

    Args:
        layer: Name of a layer; "answer" for the logits.
        near: It is met where the layer's own R1 is at most this.

    Raises:
        UsageError: `near` is not in (0, 1).

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, section 4
        (feature-linear).
    """

    looks = 2

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """Features [R, D] of the linear model, and those that are there."""
        assert task.image is not None  # noqa: S101 - prepare has seen to it
        with torch.no_grad():
            there = flat(classifier.outputs(x, self.layers)[self.layer])
        with torch.enable_grad():
            source = task.image.detach().clone().requires_grad_()
            features = flat(classifier.outputs(source, self.layers)[self.layer])
        moved = pushed(features, source, x - task.image, again=torch.is_grad_enabled())
        return {"features": features.detach() + moved, "there": there}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """R1 squared of the linear model; met where the layer's own R1 is at most `near`."""
        return self._away(y["features"], task), self._away(y["there"], task) <= self.near**2

    def slack(self, y: View, task: Task) -> Tensor:
        """None: what is descended is not what is judged."""
        return Objective.slack(self, y, task)


class Activate(Objective):
    """One unit of a layer is raised, or the mean of one channel.

    The loss is the activation with its sign turned, which goes on falling after a success. Of two successes the
    smaller change is kept, and without one the higher activation.

    Args:
        layer: Name of a layer; "answer" for the logits.
        unit: Its number along the layer's second dimension; a channel's activation is its mean over all places. The
            numbers (channel, row, column) name one place.
        value: It is met where the activation is at least this; None: nowhere, and the highest is kept.

    References:
        Erhan, Bengio, Courville and Vincent (2009), visualizing higher-layer features of a deep network, section 3.
    """

    def __init__(self, layer: str, unit: int | tuple[int, ...], value: float | None = None) -> None:
        self.layer, self.unit, self.value = layer, unit, value
        self.layers = (layer,)

    def view(self, outputs: View) -> View:
        """The unit's activation [R].

        Raises:
            LayerError: The layer has no such unit.
        """
        features = outputs[self.layer]
        place = self.unit if isinstance(self.unit, tuple) else (self.unit,)
        sides = tuple(features.shape[1:])
        if not place or len(place) > len(sides) or not all(0 <= i < n for i, n in zip(place, sides, strict=False)):
            raise LayerError(
                f"Layer {self.layer!r} has no unit {self.unit}.",
                slug="layer-unit",
                seen=f"features of shape {sides} for each image",
                needed="a number from 0 for the first of these dimensions, or one for each",
                hint="Choose a unit that is there, or another layer: Classifier.layers lists them all.",
            )
        return {"activation": flat(features[:, *place]).mean(1)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """The activation with its sign turned; met where it is at least `value`."""
        activation = y["activation"]
        return -activation, activation >= (torch.inf if self.value is None else self.value)

    def slack(self, y: View, task: Task) -> Tensor:
        """How far the activation is above `value` [R]."""
        return y["activation"] - self.value if self.value is not None else super().slack(y, task)

    def __repr__(self) -> str:
        return f"Activate(layer={self.layer!r}, unit={self.unit!r}, value={self.value!r})"


def features_of(classifier: Classifier, x: Tensor, layer: str) -> Tensor:
    """Features [n, D] of images [n, C, H, W] at a layer, flat and without a gradient.

    Raises:
        LayerError: The layer gives no row an image.
    """
    with torch.no_grad():
        features = classifier.outputs(x, (layer,))[layer]
    if features.ndim < 1 or len(features) != len(x):
        raise LayerError(
            f"Layer {layer!r} gives no row for each image.",
            slug="layer-rows",
            seen=f"features of shape {tuple(features.shape)} for {len(x)} images",
            needed=f"[{len(x)}, ...], images along the first dimension",
            why="a layer that works on places or tokens with the images folded in",
            hint="Choose a layer before or after it: Classifier.layers lists them all.",
        )
    return flat(features)


def above_rounding(squared: Tensor, *features: Tensor) -> Tensor:
    """What a squared distance is told as a share of: never less than what rounding alone makes of the features.

    The floor follows the features' own size, so that a network and the same one in other units are told alike.

    Args:
        squared: Squared distances, or squared lengths [R].
        features: What they are of [R, D] each, in the same type.

    Returns:
        Numbers above 0 [R].
    """
    limits = torch.finfo(squared.dtype)
    longest = torch.stack([x.pow(2).sum(1) for x in features]).amax(0)
    # Dead features have no size: the number is small, and not so small that dividing by it overflows.
    floor = torch.where(longest > 0, limits.eps**2 * longest, limits.tiny / limits.eps**2)
    return torch.maximum(squared, floor).clamp_min(limits.tiny)


def flat(features: Tensor) -> Tensor:
    """Features [R, ...] as rows [R, D], in single precision at the least: squares of halves lose what differs."""
    rows = features.flatten(1) if features.ndim > 1 else features.unsqueeze(1)
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
