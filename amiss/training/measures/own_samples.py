"""Whether a density finds its own samples as likely as real images: a check that costs no second model."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.errors import DataError
from amiss.models import Autoregressive

__all__ = ["OwnSamples", "own_samples"]


@dataclass(frozen=True)
class OwnSamples:
    """What a density says of images that it drew, and of images that it did not.

    Attributes:
        own: Mean negative log likelihood of its samples, nats an image: its entropy, as far as samples tell.
        unseen: That of the images given.
        error: Standard error of the difference of both means.
        samples: The samples [n, C, H, W].
    """

    own: float
    unseen: float
    error: float
    samples: Tensor

    @property
    def gap(self) -> float:
        """|own - unseen|, nats an image; 0 for the distribution that the images come from."""
        return abs(self.own - self.unseen)


@torch.no_grad()
def own_samples(
    model: Autoregressive,
    images: Tensor,
    c: Tensor | None = None,
    *,
    n: int = 1000,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    batch: int = 250,
) -> OwnSamples:
    """Draw images from a density and compare their likelihood with that of images that it has not seen.

    A density equal to that of the images has no gap. One that spreads over too much finds its own samples less likely
    than images (their own score is its entropy); one that has learned images by heart, more.

    Args:
        model: The density, in eval mode.
        images: Unseen images [m, C, H, W], values of the likelihood's levels in [0, 1].
        c: What the first `n` of the images depend on, and all images do, [m, ...], for a conditional model.
        n: How many to draw.
        temperature: At which to draw; both likelihoods are those at 1.
        generator: Where the lots are drawn from, on the CPU. None draws the same ones at every call.
        batch: Images at a time.

    Raises:
        DataError: Fewer than two images, or samples, or fewer conditions than samples.

    References:
        Cover and Thomas 2006, section 3.1: the mean log likelihood of its own samples is a density's entropy.
    """
    if min(n, len(images)) < 2 or (c is not None and len(c) < n):
        raise DataError(
            "Too few images to compare.",
            slug="own-samples",
            seen=f"{len(images)} images, {n} samples" + ("" if c is None else f", {len(c)} conditions"),
            needed="two images and two samples at least, and a condition for each",
            hint="Pass, for instance, the test images and n=1000.",
        )
    generator = generator or torch.Generator().manual_seed(0)
    parts = []
    for start in range(0, n, batch):
        size = min(batch, n - start)
        given = None if c is None else c[start : start + size]
        parts.append(model.sample(size, given, temperature=temperature, generator=generator))
    samples = torch.cat(parts)
    own = _nats(model, samples, None if c is None else c[:n], batch)
    unseen = _nats(model, images, c, batch)
    error = math.sqrt(float(own.var()) / len(own) + float(unseen.var()) / len(unseen))
    return OwnSamples(float(own.mean()), float(unseen.mean()), error, samples)


def _nats(model: Autoregressive, x: Tensor, c: Tensor | None, batch: int) -> Tensor:
    """Negative log likelihoods [N], nats, in float64."""
    rows = [slice(start, start + batch) for start in range(0, len(x), batch)]
    return torch.cat([-model.log_prob(x[row], None if c is None else c[row]).double() for row in rows])
