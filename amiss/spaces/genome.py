"""The direct encoding: an image is a list of its pixels, and children are other lists."""

from collections.abc import Sequence

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.repro import fold, uniform
from amiss.spaces.colors import BYTE_HUE, rgb_of_hls
from amiss.spaces.space import Space
from amiss.task import Level, Task

__all__ = ["GENOME_QUIRKS", "Genome", "polynomial", "sbx"]

GENOME_QUIRKS = ("gray-hole", "hls", "byte-hue", "truncated")
"""What the code of 2015 does and its paper does not say, for three channels and for one."""

_DRAWN = 1 << 22  # random numbers at a time: each takes many times its own memory while it is made


class Genome(Space):
    """Genomes [R, C, H, W] in [0, 1] that are the images themselves, and evolve.

    A child is its parent with some genes moved, each by polynomial mutation. Where the optimizer gives two parents,
    it is their crossover first.

    Args:
        shape: Shape (C, H, W) of an image.
        rate: Probability that a gene mutates.
        eta: How near to its parent a mutated gene stays: on the average 1 / (eta + 2) from it.
        crossover: Probability that two parents are crossed.
        eta_cross: How near to their parents the crossed genes stay.
        halve: The rate is halved every so many generations; None keeps it.
        quirks: Out of `GENOME_QUIRKS`. "gray-hole": where crossed parents agree in a gene their children have 0.5
            there. "hls": three channels are hue, lightness and saturation. "byte-hue": and the hue goes round 1.42
            times. "truncated": values are rounded down to a gray level. With one of the last three the parameters
            are not the images.

    Raises:
        UsageError: A shape that is none, a probability outside [0, 1], or a quirk that is none.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled, section 2 (rate and eta);
        Deb and Agrawal (1995), simulated binary crossover; Deb and Goyal (1996), polynomial mutation.
    """

    def __init__(
        self,
        shape: Sequence[int],
        rate: float = 0.1,
        eta: float = 15.0,
        *,
        crossover: float = 0.5,
        eta_cross: float = 10.0,
        halve: int | None = 1000,
        quirks: Sequence[str] = (),
    ) -> None:
        self.shape = image_shape(shape)
        self.rate, self.eta = rate, eta
        self.crossover, self.eta_cross, self.halve = crossover, eta_cross, halve
        self.quirks = known_quirks(quirks, GENOME_QUIRKS)
        if not (
            0 <= rate <= 1 and 0 <= crossover <= 1 and eta >= 0 and eta_cross >= 0 and (halve is None or halve >= 1)
        ):
            raise UsageError(
                "Genomes cannot vary like this.",
                slug="genome-rates",
                seen=f"rate={rate}, crossover={crossover}, eta={eta}, eta_cross={eta_cross}, halve={halve}",
                needed="probabilities in [0, 1], eta >= 0, and 1 generation or more between halvings",
                hint="Genome((1, 28, 28), rate=0.1, eta=15)",
            )
        self._colored = "hls" in self.quirks and self.shape[0] == 3
        self._floored = "truncated" in self.quirks
        self.images = not (self._colored or self._floored)
        self.gives: Level = "loss" if self._floored else "jacobian"

    def start(self, task: Task, k: int = 1) -> Tensor:
        """Uniform noise [n * k, C, H, W], each sample's own."""
        key = fold(task.key.repeat_interleave(k), torch.arange(k, device=task.key.device).repeat(len(task)))
        return self._luck(key)

    def decode(self, task: Task, p: Tensor) -> Tensor:
        """The genomes themselves, or with quirks what the code of 2015 made of them."""
        if self._colored:
            p = rgb_of_hls(p, BYTE_HUE if "byte-hue" in self.quirks else 1.0)
        return (p * 255).floor() / 255 if self._floored else p

    def vary(self, parents: Tensor, key: Tensor, turn: int = 0) -> Tensor:
        """Each parent with a share of its genes mutated."""
        rate = self.rate * 0.5 ** (turn // self.halve) if self.halve else self.rate
        # One number decides whether a gene mutates, and what is left of it how far.
        luck = self._luck(key)
        hit = (luck < rate).nonzero(as_tuple=True)
        children = parents.clone()
        children[hit] = polynomial(parents[hit], (luck[hit] / max(rate, 1e-9)).to(parents.dtype), self.eta)
        return children

    def cross(self, parents: Tensor, mates: Tensor, key: Tensor, turn: int = 0) -> Tensor:
        """A child of each two parents; with parents and mates exchanged, the same keys give the other child."""
        crossed = (uniform(fold(key, 1), (1,)) < self.crossover)[:, 0]
        swapped = (uniform(fold(key, 2), (1,)) < 0.5)[:, 0]
        children = torch.where(swapped[:, None, None, None], mates, parents)
        rows = crossed.nonzero().flatten()
        a, b, own = parents[rows], mates[rows], key[rows]
        children[rows] = sbx(a, b, self._luck(own), self._luck(fold(own, 3)), self.eta_cross)
        if "gray-hole" in self.quirks:
            children[rows] = torch.where(a == b, 0.5, children[rows])
        return children

    def _luck(self, key: Tensor) -> Tensor:
        """A uniform number for each gene [R, C, H, W]."""
        genes = self.shape[0] * self.shape[1] * self.shape[2]
        some = key.split(max(1, _DRAWN // genes))
        return torch.cat([uniform(part, self.shape) for part in some])


def polynomial(v: Tensor, luck: Tensor, eta: float) -> Tensor:
    """Values in [0, 1] after polynomial mutation; before they are clipped they move by 1 / (eta + 2) on the average.

    Args:
        v: Values in [0, 1], any shape.
        luck: Uniform numbers in (0, 1), the same shape.
        eta: The larger, the nearer to `v`.

    References:
        Deb and Goyal (1996), a combined genetic adaptive search (GeneAS) for engineering design.
    """
    power = 1 / (eta + 1)
    tail = (2 * torch.minimum(luck, 1 - luck)).pow(power)
    return (v + torch.where(luck < 0.5, tail - 1, 1 - tail)).clamp(0, 1)


def sbx(a: Tensor, b: Tensor, luck: Tensor, swap: Tensor, eta: float) -> Tensor:
    """Simulated binary crossover of values in [0, 1], bounded: the child on the side of `a`, or where swapped of `b`.

    Args:
        a: One parent's values in [0, 1], any shape.
        b: The other's.
        luck: Uniform numbers in (0, 1): how far from the parents the children lie.
        swap: Uniform numbers in (0, 1): below 0.5 the children change sides.
        eta: The larger, the nearer to the parents.

    References:
        Deb and Agrawal (1995), simulated binary crossover for continuous search space; Deb, Pratap, Agarwal and
        Meyarivan (2002), for its form between bounds.
    """
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    apart = high - low
    lower = (a < b) != (swap < 0.5)
    room = torch.where(lower, low, 1 - high)
    power = eta + 1
    # Of the spread factors of an unbounded crossover those are drawn that stay inside: alpha is their share.
    alpha = 2 - (1 + 2 * room / apart.clamp_min(1e-12)).pow(-power)
    part = luck * alpha
    spread = torch.where(part <= 1, part, 1 / (2 - part).clamp_min(1e-12)).pow(1 / power)
    child = (low + high + torch.where(lower, -spread, spread) * apart) / 2
    return torch.where(apart > 0, child, a).clamp(0, 1)


def image_shape(shape: int | Sequence[int]) -> tuple[int, int, int]:
    """The shape (C, H, W) that was meant; one number is the side of a color image.

    Raises:
        UsageError: It is no shape of an image.
    """
    sides = (3, shape, shape) if isinstance(shape, int) else tuple(shape)
    if len(sides) != 3 or min(sides) < 1:
        raise UsageError(
            "An image has channels, a height and a width.",
            slug="genome-shape",
            seen=f"shape={shape!r}",
            needed="three numbers above 0, or one for the side of a color image",
            hint="(1, 28, 28) for gray images of 28 x 28 pixels, 224 for (3, 224, 224).",
        )
    return sides[0], sides[1], sides[2]


def known_quirks(quirks: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The quirks in the order they are listed.

    Raises:
        UsageError: One is none of those known.
    """
    if strange := [name for name in quirks if name not in known]:
        raise UsageError(
            f"There is no quirk {strange[0]!r}.",
            slug="genome-quirk",
            seen=repr(tuple(quirks)),
            needed=f"names out of {', '.join(known)}",
            hint="Leave them out, or take the preset with all of them: preset='paper-2015'.",
        )
    return tuple(name for name in known if name in quirks)
