"""Whether a decoder keeps what a classifier sees: what must hold before LSE may speak for it."""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.spaces.codec import Codec, redrawn

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
            drawn = redrawn(decoder, x)[1].clamp(0, 1)
            error += float((drawn - x).double().square().sum())
            same += int((classifier.predict(drawn) == classifier.predict(x)).sum())
    explained = 1 - error / spread if spread > 0 else float(error == 0)
    # A decoder that draws NaN keeps nothing.
    return DecoderGate(max(0.0, explained) if isfinite(explained) else 0.0, same / len(images), threshold)
