"""The space of changes to a latent code: along the manifold of images that a decoder has learned."""

import torch
from torch import Tensor

from amiss.errors import ContractError
from amiss.scope import untouched
from amiss.spaces.codec import Codec, alike, redrawn, refuse_constant
from amiss.spaces.space import Space
from amiss.task import Task

__all__ = ["Codec", "Latent"]


class Latent(Space):
    """A change eps of the code z = e(x): x' = x + g(z + eps) - g(z).

    The reconstruction error cancels: at eps = 0, x' is x bit for bit. With `residual=False` the image is g(z + eps)
    itself, which loses what the decoder cannot draw; it is shown beside the other.

    Args:
        model: An encoder e and decoder g, rows independent of each other.
        residual: Whether the change of the decoded image is added to the image.

    References:
        Zoetmulder et al. (2018), latent sympathetic examples; the difference correction is that of target
        propagation, Lee et al. (2015), eq. 15.
    """

    def __init__(self, model: Codec, residual: bool = True) -> None:
        self.model, self.residual = model, residual

    def prepare(self, task: Task) -> Task:
        """Encode every image once and decode its code once.

        Raises:
            ContractError: The task has no images, or the decoder is on another device than they are.
            ModelError: The decoder is not one for such images, or draws the same image whatever the code.
        """
        if task.image is None:
            raise ContractError(
                "A change of the latent code starts from an image, and the task has none.",
                slug="contract-no-image",
                seen="a task without images, such as am.classes(classifier)",
                hint="Give images, or search from nothing with Pixels(shape=...) or a space that evolves.",
            )
        _refuse_elsewhere(self.model, task.image)
        with torch.no_grad():
            z, gz = redrawn(self.model, task.image)
        if len(gz) and alike(gz):  # one image alone, or a decoder that has but one
            refuse_constant(self.model, task.image, slope=False)
        return task.adding(z=z, gz=gz)

    def start(self, task: Task, k: int = 1) -> Tensor:
        """No change: zeros [n * k, d]."""
        z = task.extra["z"]
        return torch.zeros_like(z.repeat_interleave(k, 0) if k > 1 else z)

    def decode(self, task: Task, p: Tensor) -> Tensor:
        """Images [R, C, H, W] of changes [R, d], not yet clipped to [0, 1]."""
        with untouched(self.model):
            drawn = self.model.decode(task.extra["z"] + p)
        if not self.residual:
            return drawn
        change = drawn - task.extra["gz"]
        # A code that has not moved leaves the image bit for bit, though g may round otherwise in another batch;
        # the gradient passes all the same.
        still = (p == 0).flatten(1).all(1)
        if bool(still.any()):
            at_rest = still.reshape(-1, *[1] * (change.ndim - 1))
            change = torch.where(at_rest, change - change.detach(), change)
        assert task.image is not None  # noqa: S101 - prepare has seen to it
        return task.image + change


def _refuse_elsewhere(model: object, image: Tensor) -> None:
    """Refuse a decoder on another device than the images: it is the user's, and is not moved behind their back."""
    weight = next(model.parameters(), None) if isinstance(model, torch.nn.Module) else None
    if weight is not None and weight.device != image.device:
        raise ContractError(
            "The decoder is on another device than the classifier.",
            slug="contract-device",
            seen=f"decoder on {weight.device}, images on {image.device}",
            needed="both on one device",
            hint=f"decoder.to({str(image.device)!r})",
        )
