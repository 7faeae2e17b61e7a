"""Whether champions are more than nonsense to a classifier alone: four proxies, none of which is a human judge."""

import io
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from amiss.analysis.champions.asking import confidence
from amiss.analysis.geometry import Reference, nearest_natural, r2, read_features
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import DataError

__all__ = ["Agreement", "agreement", "compressed", "nearness", "spectral_slope"]


@dataclass(frozen=True)
class Agreement:
    """What another classifier says of champions.

    Attributes:
        same: Whether it names each by the champion's class [n].
        confidence: Its probability of that class [n], float64.
        side: The side that images were brought to; None where it was shown them as they are.
    """

    same: Tensor
    confidence: Tensor
    side: int | None

    @property
    def share(self) -> float:
        """Of the champions that it names by their class, in [0, 1]; NaN where there are none."""
        return float(self.same.double().mean())


def agreement(other: Classifier, images: Tensor, target: Tensor, batch: int = 64) -> Agreement:
    """Ask a classifier that the champions were not made for.

    What two networks of other weights and another architecture call by one name has more of that class than the
    weights of the one. Networks that learned from the same images share mistakes, so this is no judge either.

    Args:
        other: Of the same classes in the same order. Where it is known for images of another side, they are brought
            to that.
        images: Champions [n, C, H, W], uint8.
        target: Their classes [n].
        batch: Images a pass.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled (other networks).
    """
    side = None if other.size in (None, images.shape[-1]) else other.size
    if side is not None:
        shown = [
            to_bytes(functional.interpolate(part / 255, (side, side), mode="bilinear", antialias=True))
            for part in images.split(batch)
        ]
        images = torch.cat(shown)
    called = [other.predict(part.to(torch.float32) / 255).cpu() for part in images.split(batch)]
    return Agreement(torch.cat(called) == target.cpu(), confidence(other, images, target, batch), side)


def nearness(classifier: Classifier, reference: Reference, images: Tensor, target: Tensor, batch: int = 64) -> Tensor:
    """How far champions are from natural images of their class, in a layer's features.

    Args:
        classifier: Whose features are compared.
        reference: Natural images at a layer, from `amiss.analysis.geometry.read_reference`; of two images or more
            for each class that champions are of.
        images: Champions [n, C, H, W], uint8.
        target: Their classes [n].
        batch: Images a pass.

    Returns:
        The distance to the nearest natural image of the class, over the mean distance from one such image to the
        next [n], float64: about 1 for another natural image, well above 1 for what is none.

    Raises:
        DataError: The reference has no images of a class, or one alone.
    """
    x = read_features(classifier, reference.layer, images.to(torch.float32) / 255, batch)
    target = target.cpu()
    near, _ = nearest_natural(reference, x, target)
    spacing = torch.tensor([reference.population(int(c)).spacing for c in target], dtype=torch.float64)
    return r2(x, near, spacing)


def compressed(images: Tensor) -> Tensor:
    """Bits a value that a PNG file of each image takes, its header included.

    Noise takes 8 and more, photographs about half of that, a picture of few colors less than 1: regularity in the
    simplest sense.

    Args:
        images: Images [n, C, H, W], uint8, of one channel or three.

    Returns:
        Bits [n], float64.
    """
    from PIL import Image

    sizes = []
    for image in images.cpu():
        file = io.BytesIO()
        plain = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(plain).save(file, "png", optimize=True)
        sizes.append(8 * file.tell() / image.numel())
    return torch.tensor(sizes, dtype=torch.float64)


def spectral_slope(images: Tensor) -> Tensor:
    """The slope of the logarithm of power over the logarithm of frequency.

    It is 0 for noise and about -2 for photographs. Below that an image is smooth, above it is rough.

    Args:
        images: Images [n, C, H, W], uint8 or in [0, 1], of 16 pixels a side or more; channels are averaged.

    Returns:
        Slopes [n], float64; NaN for an image without contrast.

    Raises:
        DataError: Smaller images.

    References:
        Field (1987), relations between the statistics of natural images and the response properties of cortical
        cells; van der Schaaf and van Hateren (1996), modelling the power spectra of natural images.
    """
    height, width = images.shape[-2:]
    if min(height, width) < 16:
        raise DataError(
            "An image this small has no spectrum to speak of.",
            slug="spectrum-small",
            seen=f"{height} x {width} pixels",
            needed="16 pixels a side or more",
            hint="Enlarge nothing: leave the slope out for images of this size.",
        )
    gray = images.double().mean(1)
    gray = gray - gray.mean((1, 2), keepdim=True)
    windows = [torch.hann_window(side, dtype=torch.float64) for side in (height, width)]
    power = torch.fft.fft2(gray * windows[0][:, None] * windows[1]).abs().square()
    fy, fx = (torch.fft.fftfreq(side, dtype=torch.float64) * min(height, width) for side in (height, width))
    ring = (fy[:, None].square() + fx.square()).sqrt().round().long()
    inside = (ring >= 2) & (ring <= min(height, width) // 2)  # what the window itself spreads is left out
    place = ring[inside] - 2
    total = torch.zeros(len(gray), int(place.max()) + 1, dtype=torch.float64)
    mean = total.index_add(1, place, power[:, inside]) / torch.bincount(place)
    x = torch.arange(2, 2 + mean.shape[1], dtype=torch.float64).log()
    x = x - x.mean()
    flat = power.sum((1, 2)) <= 0
    slope = (mean.clamp_min(1e-12).log() @ x) / x.square().sum()
    return slope.masked_fill(flat, torch.nan)
