"""Objectives about hidden features: mimic what a layer makes of another image."""

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError, DataError, UsageError
from amiss.objectives.objective import Objective, View
from amiss.task import Task

__all__ = ["Mimic"]

_LEAST = 1e-12  # squared distance of two features that are taken for the same


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
        with torch.no_grad():
            source, guide = (
                classifier.outputs(x, self.layers)[self.layer].flatten(1) for x in (task.image, task.guide)
            )
        apart = (source - guide).pow(2).sum(1)
        return task.adding(**{self._key("guide"): guide, self._key("apart"): apart.clamp_min(_LEAST)})

    def view(self, outputs: View) -> View:
        """The layer's features [R, D], flat."""
        return {"features": outputs[self.layer].flatten(1)}

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """Squared distance to the guide as a share of the source's; met where its root is at most `near`."""
        away = (y["features"] - task.extra[self._key("guide")]).pow(2).sum(-1) / task.extra[self._key("apart")]
        return away, away <= self.near**2

    def slack(self, y: View, task: Task) -> Tensor:
        """How far below `near` R1 is, squared [R]."""
        return self.near**2 - self.score(y, task)[0]

    def _key(self, what: str) -> str:
        # By layer, so that a sum over layers keeps them apart.
        return f"{what}:{self.layer}"
