"""Somebody else's network: the gradient through it, and what is said where a pass fails."""

from typing import Any

import torch
from torch import Tensor

from amiss.errors import ModelError

__all__ = ["gradient", "refusal"]

# What torch says where autograd finds no way back to the image.
_NO_WAY_BACK = ("does not require grad", "not have been used", "nference tensor")


def gradient(value: Tensor, of: Any, keep: bool = False) -> Tensor:
    """The gradient of summed rows with respect to their own parameters.

    Args:
        value: One number a row [R].
        of: What the rows were computed from, [R, ...].
        keep: Whether the graph is needed once more.

    Returns:
        The gradient, of the shape of `of`.

    Raises:
        ModelError: No gradient arrives.
    """
    try:
        (grad,) = torch.autograd.grad(value.sum(), of, retain_graph=keep)
    except RuntimeError as error:
        if not _no_way_back(error):
            raise
        raise _no_gradient("an output that does not depend on its input, as autograd sees it") from error
    return grad


def refusal(error: Exception, x: Tensor) -> ModelError:
    """What is said of a network whose forward pass raised.

    Args:
        error: What it raised.
        x: The images that it was shown.
    """
    said = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200] or '(no message)'}"
    if isinstance(error, RuntimeError) and _no_way_back(error):
        return _no_gradient(said)
    return ModelError(
        f"The network raised {said}",
        slug="model-raises",
        seen=f"images of shape {tuple(x.shape)}, {str(x.dtype).removeprefix('torch.')}, in [0, 1]",
        needed="a network that takes them (N, channels, height, width)",
        why="another number of channels or another image size than it was trained on",
        hint="Call your network on such a tensor by hand; resize with --size, or mend its forward.",
    )


def _no_way_back(error: RuntimeError) -> bool:
    return any(words in str(error) for words in _NO_WAY_BACK)


def _no_gradient(seen: str) -> ModelError:
    return ModelError(
        "No gradient reaches the image from the classifier's answer.",
        slug="model-no-gradient",
        seen=seen,
        why="torch.no_grad, inference_mode, .detach(), .numpy() or an argmax inside the model",
        hint="Remove it, or use a black-box probe: Classifier(f, gives='loss').",
    )
