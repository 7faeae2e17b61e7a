"""What must hold before a figure is believed: successes read back from disk, decoders that keep what matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images, read_image, to_bytes, write_png
from amiss.errors import AmissError, DataError, ModelError
from amiss.probe import Probe
from amiss.scope import untouched
from amiss.spaces.latent import Codec
from amiss.task import Task

__all__ = ["DecoderGate", "decoder_gate", "refuse_other_order", "verify"]


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


def refuse_other_order(classifier: Classifier, images: Images) -> None:
    """Refuse data that number the classifier's own classes otherwise: every count would be of other classes.

    Args:
        classifier: Its labels are compared where they are names.
        images: Labeled images.

    Raises:
        DataError: All of the data's names are the classifier's, and some stand at another number.
    """
    own, other = ([name.casefold() for name in names] for names in (classifier.labels or (), images.classes))
    bare = own == [str(i) for i in range(len(own))]  # numbers that nobody gave as names
    moved = [i for i, name in enumerate(other) if own[i : i + 1] != [name]]
    if bare or not moved or not set(other) <= set(own):  # names that the classifier does not know tell nothing
        return
    at = moved[0]
    shown = slice(max(0, at - 1), at + 4)
    raise DataError(
        "The data number the classes in another order than the classifier.",
        slug="data-class-order",
        seen=f"data: {', '.join(images.classes[shown])}; classifier: {', '.join((classifier.labels or ())[shown])}",
        needed="one order for both",
        why="folders are numbered by name, and the classifier was trained in another order or on more classes",
        hint='Beside the folders, write class_index.json: {"0": [folder, name], ...} in the classifier\'s order.',
    )


def verify(probe: Probe, classifier: Classifier, task: Task, images: Tensor, paths: Sequence[Path]) -> Tensor:
    """Write images, read them back from disk, and judge them by the probe's own objective.

    Args:
        probe: Whose objective judges.
        classifier: Who is asked.
        task: The samples of the images, as given to the probe.
        images: Images [n, C, H, W] in [0, 1].
        paths: Where each is written, as 8-bit PNG.

    Returns:
        Whether each is met by what the file holds [n].
    """
    if not paths:
        return torch.zeros(0, dtype=torch.bool)
    for path, image in zip(paths, to_bytes(images), strict=True):
        write_png(path, image)
    seen = torch.stack([read_image(path) for path in paths]).to(images.dtype) / 255
    return probe.judge(classifier, task, seen)[1].cpu()
