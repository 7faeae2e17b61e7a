"""Whether a decoder keeps what a classifier sees: what must hold before LSE may speak for it."""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import AmissError, ModelError
from amiss.scope import untouched
from amiss.spaces.latent import Codec

__all__ = ["DecoderGate", "decoder_gate"]


@dataclass(frozen=True)
class DecoderGate:
    """Whether a decoder may speak for a classifier's images.

    Attributes:
        explained: Share of the pixels' variance that reconstruction keeps, 1 - MSE / variance; 0 where the error
            is larger than the variance.
        agreement: Share of images that the classifier names alike before and after reconstruction.
        threshold: What both must reach.
    """

    explained: float
    agreement: float
    threshold: float = 0.7

    @property
    def passed(self) -> bool:
        """Whether both shares reach the threshold."""
        return min(self.explained, self.agreement) >= self.threshold

    def __str__(self) -> str:
        return (
            f"reconstruction keeps {self.explained:.0%} of the pixels' variance, and the classifier names "
            f"{self.agreement:.0%} of the reconstructions as it names the images"
        )


def decoder_gate(
    classifier: Classifier, decoder: Codec, images: Tensor, *, threshold: float = 0.7, batch: int = 256
) -> DecoderGate:
    """Measure what a decoder loses: if the classifier sees other images in g(e(x)), LSE speaks of those.

    Args:
        classifier: Who is asked.
        decoder: Encoder e and decoder g.
        images: Images [N, C, H, W] in [0, 1], N at least 1.
        threshold: Share that both measures must reach.
        batch: Images a pass.

    Raises:
        ModelError: The decoder does not take such images, or gives others back.
    """
    error, spread, same = 0.0, 0.0, 0
    mean = images.mean(0, keepdim=True, dtype=torch.float64)
    with torch.no_grad():
        for part in images.split(batch):
            spread += float((part.double() - mean).square().sum())
            x = part.to(classifier.device)
            drawn = _redrawn(decoder, x).clamp(0, 1)
            error += float((drawn - x).double().square().sum())
            same += int((classifier.predict(drawn) == classifier.predict(x)).sum())
    explained = 1 - error / spread if spread > 0 else float(error == 0)
    # A decoder that draws NaN keeps nothing.
    return DecoderGate(max(0.0, explained) if isfinite(explained) else 0.0, same / len(images), threshold)


def _redrawn(decoder: Codec, x: Tensor) -> Tensor:
    """g(e(x)), or a refusal where the decoder is for other images."""
    try:
        with untouched(decoder):  # as the search will see it
            drawn = decoder.decode(decoder.encode(x))
    except (RuntimeError, ValueError, TypeError, IndexError, AmissError) as error:
        said = error.seen if isinstance(error, AmissError) else str(error).partition("\n")[0]
        raise _unfit(x, f"{type(error).__name__}: {said}") from error
    if drawn.shape != x.shape:
        raise _unfit(x, f"images {list(drawn.shape)} back")
    return drawn


def _unfit(x: Tensor, seen: str) -> ModelError:
    return ModelError(
        "The decoder is not one for these images.",
        slug="decoder-shape",
        seen=f"for images {list(x.shape)}, {seen}",
        needed="encode(images) to codes, and decode(codes) to images of the same shape",
        why="it was trained on another size or another number of channels",
        hint="Train one on such images: amiss train vae DATA --out decoder/",
    )
