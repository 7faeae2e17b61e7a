"""How natural images are, by the word of a density: where their likelihood lies among that of natural ones."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from amiss.errors import ContractError, UsageError

__all__ = ["Naturalness", "Scores", "naturalness"]


class Scores(Protocol):
    """Anything that gives a log probability, or a bound on it, of every image: a `Density` with a bound."""

    bound: str

    def log_prob(self, x: Tensor, /) -> Tensor:
        """Log probability [N], nats, of images [N, C, H, W]."""
        ...


@dataclass(frozen=True)
class Naturalness:
    """What a density says of n images, beside what it says of m natural ones.

    Attributes:
        nats: Log probability of each image [n], float64, nats.
        reference: That of the natural ones [m], sorted.
        bound: What it is: "exact" or "lower".
    """

    nats: Tensor
    reference: Tensor
    bound: str

    @property
    def rank(self) -> Tensor:
        """Share of the natural images that are less likely [n], in [0, 1].

        Uniform for images like them. 0 is stranger than all of them, and 1 likelier than all of them, which is no
        proof of nature either: plain images are the likeliest.
        """
        return torch.searchsorted(self.reference, self.nats).double() / len(self.reference)

    def strange(self, share: float = 0.01) -> Tensor:
        """Images [n] less likely than all but a `share` of the natural ones: so many of those are called so too."""
        return self.nats < self.reference.quantile(share)


@torch.no_grad()
def naturalness(
    density: Scores, natural: Tensor, images: Tensor, *, levels: int | None = None, batch: int = 64
) -> Naturalness:
    """Score images by a density, and natural images that it has not seen beside them.

    Args:
        density: Any model with a `log_prob` that means something, in eval mode.
        natural: Images [m, C, H, W] in [0, 1] that it was not trained on; the more, the finer is the rank.
        images: Those in question [n, C, H, W] in [0, 1].
        levels: Bring all of them to the nearest of so many gray levels first, 2 for black and white; None leaves
            them as they are.
        batch: Images at a time.

    Raises:
        ContractError: The density cannot score, or one of the sets is empty.
        UsageError: `levels` is no number of levels.

    References:
        Nalisnick, Matsukawa, Teh, Gorur and Lakshminarayanan 2019, do deep generative models know what they don't
        know (likelihoods of plain images).
    """
    if density.bound not in ("exact", "lower") or not len(natural) or not len(images):
        raise ContractError(
            "Nothing can be said about how natural these images are.",
            slug="naturalness",
            seen=f"a density of bound {density.bound!r}, {len(natural)} natural images, {len(images)} in question",
            needed="a density that scores, and images on both sides",
            hint="Train one, such as pixelcnn, and pass images that it was not trained on.",
        )
    if levels is not None and not 2 <= levels <= 256:
        raise UsageError(
            "Images are brought to 2 gray levels or more.",
            slug="naturalness-levels",
            seen=f"levels={levels}",
            needed="2 to 256, or None",
            hint="Pass levels=2 for a density of black and white images.",
        )

    def scores(x: Tensor) -> Tensor:
        rounded = x if levels is None else (x * (levels - 1)).round() / (levels - 1)
        return torch.cat([density.log_prob(part).double().cpu() for part in rounded.split(batch)])

    return Naturalness(scores(images), scores(natural).sort().values, density.bound)
