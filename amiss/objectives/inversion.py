"""Inversion: an image whose features at a layer are those of a given one, and that is no rougher than it must be."""

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import ContractError, UsageError
from amiss.objectives.features import above_rounding, features_of, flat
from amiss.objectives.objective import Objective, View
from amiss.task import Task

__all__ = ["Invert", "alpha_norm", "total_variation"]


class Invert(Objective):
    """An image is found from its features at a layer: what the layer keeps of it.

    The loss is |phi(x) - phi(x0)|^2 / |phi(x0)|^2 + bright * R_alpha(x) + rough * R_V(x). The first term is 0 where
    nothing of the features is missing and 1 for an image without features; the others are means over the image's
    pixels, so that weights hold for every size. Of two successes the one of lower loss is kept.

    Inverted are the task's guides, or its images where it has none: search in `Pixels(anew=True)`, which starts from
    grey, not in `Pixels()`, which starts from the answer.

    Args:
        layer: Name of a layer; "answer" for the logits.
        near: It is met where |phi(x) - phi(x0)| / |phi(x0)| is at most this.
        bright: Weight of the alpha norm, which keeps pixels off the walls of [0, 1].
        rough: Weight of the total variation.
        alpha: Exponent of the alpha norm.
        beta: Exponent of the total variation, 1 or more: 2 smooths, 1 leaves edges.

    Raises:
        UsageError: A weight below 0, or another exponent or distance that means nothing.

    References:
        Mahendran and Vedaldi (2015), understanding deep image representations by inverting them, eq. 1 to 3.
    """

    keeps = "lowest"

    def __init__(
        self,
        layer: str,
        near: float = 0.2,
        *,
        bright: float = 0.01,
        rough: float = 1.0,
        alpha: float = 6.0,
        beta: float = 2.0,
    ) -> None:
        if not (near > 0 and bright >= 0 and rough >= 0 and alpha > 1 and beta >= 1):
            raise UsageError(
                "Features cannot be inverted like this.",
                slug="invert-options",
                seen=f"near={near}, bright={bright}, rough={rough}, alpha={alpha}, beta={beta}",
                needed="near above 0, weights of 0 or more, alpha above 1, beta of 1 or more",
                hint="Invert(layer), or Invert(layer, rough=0.1) for layers near the image",
            )
        self.layer, self.near, self.bright, self.rough, self.alpha, self.beta = (
            layer,
            near,
            bright,
            rough,
            alpha,
            beta,
        )
        self.layers = (layer,)

    def prepare(self, classifier: Classifier, task: Task) -> Task:
        """Put the features that are wanted, and their squared length, into the task."""
        wanted = task.image if task.guide is None else task.guide
        if wanted is None:
            raise ContractError(
                "There is no image whose features could be inverted.",
                slug="contract-no-image",
                seen="a task without images",
                needed="images whose features are to be found again",
                hint="Run it over images: images.task(), or Task(key, guide=...).",
            )
        features = features_of(classifier, wanted, self.layer)
        length = above_rounding(features.pow(2).sum(1), features)
        return task.adding(**{f"inverted:{self.layer}": features, f"length:{self.layer}": length})

    def read(self, classifier: Classifier, x: Tensor, task: Task, draw: int | Tensor | None) -> View:
        """The layer's features [R, D], and the image's own two measures [R]."""
        features = flat(classifier.outputs(x, self.layers)[self.layer])
        return {
            "features": features,
            "bright": alpha_norm(x, self.alpha).to(features.dtype),
            "rough": total_variation(x, self.beta).to(features.dtype),
        }

    def score(self, y: View, task: Task) -> tuple[Tensor, Tensor]:
        """What is missing of the features, and the weighted measures; met where no more than `near` is missing."""
        missing = self._missing(y, task)
        return missing + self.bright * y["bright"] + self.rough * y["rough"], missing <= self.near**2

    def slack(self, y: View, task: Task) -> Tensor:
        """How far below `near` the distance is, squared [R]."""
        return self.near**2 - self._missing(y, task)

    def _missing(self, y: View, task: Task) -> Tensor:
        away = (y["features"] - task.extra[f"inverted:{self.layer}"]).pow(2).sum(-1)
        return away / task.extra[f"length:{self.layer}"]


def alpha_norm(x: Tensor, alpha: float = 6.0) -> Tensor:
    """How far pixels lie from grey [R]: the mean of |2 x - 1|^alpha, 0 for grey and 1 for black and white.

    Args:
        x: Images [R, C, H, W] in [0, 1].
        alpha: Exponent; a high one punishes the walls alone.

    References:
        Mahendran and Vedaldi (2015), section 2 (the alpha norm of an image without its mean).
    """
    return (2 * x - 1).abs().pow(alpha).flatten(1).mean(1)


def total_variation(x: Tensor, beta: float = 2.0) -> Tensor:
    """How rough images are [R]: the mean of (dx^2 + dy^2)^(beta / 2) over the pixels.

    Differences are to the neighbor on the right and below, and 0 past the last row and column.

    Args:
        x: Images [R, C, H, W] in [0, 1].
        beta: Exponent, 1 or more.

    References:
        Mahendran and Vedaldi (2015), eq. 3.
    """
    right = torch.nn.functional.pad(x[..., :, 1:] - x[..., :, :-1], (0, 1))
    below = torch.nn.functional.pad(x[..., 1:, :] - x[..., :-1, :], (0, 0, 0, 1))
    steep = right.square() + below.square()
    # An even pixel has no slope; below 2 its power would have an infinite one.
    even = steep == 0
    return torch.where(even, 0.0, torch.where(even, 1.0, steep).pow(beta / 2)).flatten(1).mean(1)
