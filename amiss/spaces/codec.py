"""Encoders with decoders, and what is refused of them: other images than these, and images that no code changes."""

from typing import Protocol

import torch
from torch import Tensor

from amiss.errors import AmissError, ModelError
from amiss.repro import normal
from amiss.scope import untouched

__all__ = ["Codec", "alike", "redrawn", "refuse_constant"]

_FEW, _KEY = 8, 7  # images that a decoder is tried on; a key of its own for their noise
_LEVEL = 0.5 / 255  # less than this and no byte of an image changes


class Codec(Protocol):
    """Anything with an encoder and a decoder."""

    def encode(self, x: Tensor) -> Tensor:
        """Codes [N, d] of images [N, C, H, W]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Images [N, C, H, W] in [0, 1] of codes [N, d]."""
        ...


def redrawn(codec: Codec, x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes z = e(x) [N, d], and the images g(z) [N, C, H, W] that they are decoded to, as the search sees them.

    Args:
        codec: Encoder e and decoder g.
        x: Images [N, C, H, W] in [0, 1].

    Raises:
        ModelError: The codec does not take such images, or gives others back.
    """
    try:
        with untouched(codec):
            z = codec.encode(x)
            drawn = codec.decode(z)
    except (RuntimeError, ValueError, TypeError, IndexError, AmissError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        said = f"{type(error).__name__}: " + str(error).partition("\n")[0]
        asked = isinstance(error, AmissError) and error.needed
        raise _unfit(x, f"where the decoder asks for {asked}" if asked else said) from error
    if drawn.shape != x.shape:
        raise _unfit(x, f"images {list(drawn.shape)} back")
    return z, drawn


def alike(images: Tensor) -> bool:
    """Whether no pixel of images [N, C, H, W] differs among them by half a level of eight bits; NaN is not alike."""
    return bool((images.amax(0) - images.amin(0)).max() < _LEVEL)


def refuse_constant(codec: Codec, images: Tensor, *, slope: bool = True) -> None:
    """Refuse a decoder that draws one image whatever the code: along it nothing can be searched.

    The codes of up to eight images are decoded, and eight times those with normal noise of their length added. Where
    no pixel changes by half a level of eight bits, or where the derivative by the code is zero at every one of these
    codes, the code means nothing to the decoder.

    Args:
        codec: Encoder and decoder of such images.
        images: Images [N, C, H, W] in [0, 1], N at least 1.
        slope: Whether the derivative is wanted too; a search without gradients needs none.

    Raises:
        ModelError: It is such a decoder, or it does not take such images.
    """
    with torch.no_grad():
        z, drawn = redrawn(codec, images[:_FEW])
        # Of one image alone the codes do not differ; theirs may be far longer than those of a normal prior.
        noise = normal(torch.arange(_FEW) + _KEY, tuple(z.shape[1:])).to(z)
        elsewhere = z[torch.arange(_FEW) % len(z)] + noise * z.square().mean().sqrt().clamp_min(1)
        with untouched(codec):
            moved = codec.decode(elsewhere)
    both = torch.cat([drawn, moved])
    if alike(both):
        change = float((both.amax(0) - both.amin(0)).max())
        raise _constant(f"{len(both)} codes, and no pixel that differs by more than {change:.2g} among their images")
    if slope and not _has_slope(codec, torch.cat([z, elsewhere])):
        raise _constant(
            f"a derivative by the code that is zero at all of {len(both)} codes, though the images differ"
        )


def _has_slope(codec: Codec, z: Tensor) -> bool:
    """Whether the decoded images depend on the codes by a derivative, at one code at least."""
    with torch.enable_grad(), untouched(codec):
        code = z.detach().clone().requires_grad_()
        drawn = codec.decode(code)
        if not drawn.requires_grad:
            return False
        # Weights of many kinds, lest the changes of different pixels cancel.
        weight = normal(torch.arange(len(z)), tuple(drawn.shape[1:])).to(drawn)
        (grad,) = torch.autograd.grad((drawn * weight).sum(), code, allow_unused=True)
    return grad is not None and bool((grad != 0).any())


def _unfit(x: Tensor, seen: str) -> ModelError:
    return ModelError(
        "The decoder is not one for these images.",
        slug="decoder-shape",
        seen=f"for images {list(x.shape)}, {seen}",
        needed="encode(images) to codes, and decode(codes) to images of the same shape",
        why="it was trained on another size or another number of channels",
        hint="Train one on such images: amiss train vae DATA --out decoder/",
    )


def _constant(seen: str) -> ModelError:
    return ModelError(
        "The decoder ignores its code.",
        slug="decoder-constant",
        seen=seen,
        needed="decode(codes) that draws another image for another code, by torch operations with derivatives",
        why="a training that collapsed, or a decode that detaches, rounds, or returns the same image",
        hint="Decode two codes and look at them; train another decoder: amiss train vae DATA --out decoder/",
    )
