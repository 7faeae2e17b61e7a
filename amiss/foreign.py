"""Somebody else's network: its layers for one pass, the gradient through it, and what is said where a pass fails."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from amiss.errors import LayerError, ModelError

__all__ = ["Reached", "gradient", "layer_names", "listening", "pushed", "refusal"]

# What torch says where autograd finds no way back to the image.
_NO_WAY_BACK = ("does not require grad", "not have been used", "nference tensor")


_FEW = 20  # names that are told one by one


class Reached(Exception):
    """Ends a pass once the last wanted layer has spoken."""


def layer_names(network: Any) -> tuple[str, ...]:
    """Names of the layers that can be listened to, "answer" (the logits) last."""
    named = dict(network.named_modules()) if isinstance(network, nn.Module) else {}
    return (*(name for name in named if name), "answer")


@contextmanager
def listening(network: Any, names: list[str], seen: dict[str, Tensor], stop: int | None) -> Iterator[None]:
    """Hooks on the named layers for one pass; none of them stays.

    Args:
        network: A module; anything else has no layers.
        names: The layers, each the name of a module inside.
        seen: Where each layer's output is put.
        stop: After so many layers `Reached` ends the pass; None lets it go on to its end.

    Raises:
        LayerError: There is no such layer, or it returns no single tensor.
    """
    if not names:
        yield
        return
    modules = dict(network.named_modules()) if isinstance(network, nn.Module) else {}
    for name in names:
        if name not in modules or not name:
            known = layer_names(network)
            close = difflib.get_close_matches(name, known, n=3) or list(known[:3])
            few = f"All: {_told(known)}." if len(known) <= _FEW else "Classifier.layers lists them all."
            raise LayerError(
                f"There is no layer {name!r}.",
                slug="layer-unknown",
                seen=f"{len(known)} layers",
                hint=f"Close names: {_told(close)}. {few}",
            )

    def listen(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, out: Any) -> None:
            if not isinstance(out, Tensor):
                raise LayerError(
                    f"Layer {name!r} returns no single tensor.",
                    slug="layer-output",
                    seen=f"a {type(out).__name__}",
                    hint="Choose a layer inside it: Classifier.layers lists them all.",
                )
            if name not in seen:
                # A module that is used twice speaks first once, whether or not the pass goes on after it; the
                # copy keeps what it said from a layer that works in place.
                seen[name] = out.clone()
            if stop is not None and len(seen) == stop:
                raise Reached

        return hook

    handles = [modules[name].register_forward_hook(listen(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _told(names: Sequence[str]) -> str:
    """Names for a message: whoever made the network chose them."""
    return ", ".join("".join(c if c.isprintable() else "?" for c in name[:80]) for name in names)


def gradient(value: Tensor, of: Any, keep: bool = False, again: bool = False) -> Tensor:
    """The gradient of summed rows with respect to their own parameters.

    Args:
        value: One number a row [R], or several [R, ...].
        of: What the rows were computed from, [R, ...].
        keep: Whether the graph is needed once more.
        again: Whether the gradient is to be differentiated itself.

    Returns:
        The gradient, of the shape of `of`.

    Raises:
        ModelError: No gradient arrives.
    """
    try:
        (grad,) = torch.autograd.grad(value.sum(), of, retain_graph=keep or again, create_graph=again)
    except RuntimeError as error:
        if not _no_way_back(error):
            raise
        raise _no_gradient("an output that does not depend on its input, as autograd sees it") from error
    return grad


def pushed(out: Tensor, of: Tensor, along: Tensor, again: bool = False) -> Tensor:
    """The Jacobian of each row times a direction, by two backward passes.

    The gradient of w . out is J^T w, which is linear in w: its own gradient, weighted by v, is J v.

    Args:
        out: What was computed [R, ...], with its graph.
        of: What it was computed from [R, ...].
        along: A direction v for each row, of the shape of `of`.
        again: Whether the result is to be differentiated with respect to `along`.

    Returns:
        J v, of the shape of `out`.

    Raises:
        ModelError: No gradient arrives, or the backward pass has no derivative.

    References:
        Pearlmutter (1994), fast exact multiplication by the Hessian, section 2 (such products without the matrix).
    """
    with torch.enable_grad():
        weights = torch.zeros_like(out, requires_grad=True)
        pulled = gradient(out * weights, of, again=True)
        try:
            (moved,) = torch.autograd.grad((pulled * along).sum(), weights, create_graph=again)
        except RuntimeError as error:
            raise ModelError(
                "The network's backward pass has no derivative.",
                slug="model-no-second",
                seen=str(error).partition("\n")[0][:200],
                needed="operations that can be differentiated twice",
                why="a function of one's own with a backward pass by hand, or a fused attention",
                hint="Mimic the layer itself: Mimic(layer) needs one backward pass.",
            ) from error
    return moved


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
