"""A physical layer that is learned: which frames of a movie to record, and with which patterns to light a scene."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError

__all__ = ["Begin", "FramePicker", "Illumination", "hadamard", "through"]

Begin = Literal["random", "hadamard"]
"""What patterns are at first: drawn by lot, or the smoothest Hadamard patterns."""

_MOST = 2**20
_WARM, _COLD = 5.0, 0.3  # temperatures at which a choice begins and ends
_PACE = 10.0  # a score is so many times its weight, whose learning rate is the whole model's


class FramePicker(nn.Module):
    """Keeps k of T frames and blanks the others; which ones is learned with the model behind it.

    Each frame has a score a_t. In training every movie draws a choice of its own: Gumbel noise is added to the scores
    and the k highest are kept, so that other choices are tried. Forwards the mask is 0 or 1, and backwards it is the
    soft mask sigmoid((a + noise - threshold) / tau) (straight through), whose threshold lies between the last frame
    that is kept and the first that is not. In eval mode there is no noise. `cool` lowers the temperature of noise and
    sigmoid along a run.

    Args:
        frames: Frames of a movie, T.
        keep: How many are recorded, k.
        blank: What stands in place of a frame that is not recorded: 0.5 is the gray of a movie in [0, 1].

    Raises:
        UsageError: More frames are to be kept than there are.

    References:
        Bengio, Leonard and Courville 2013 (straight through); Jang, Gu and Poole 2017 (Gumbel noise, annealed); Kool,
        van Hoof and Welling 2019 (top k of perturbed scores); Bahadir, Dalca and Sabuncu 2019 (learned sampling).
    """

    temperature: Tensor

    def __init__(self, frames: int, keep: int, blank: float = 0.0) -> None:
        super().__init__()
        whole = type(frames) is int and type(keep) is int
        if not whole or not 1 <= keep <= frames <= _MOST or not math.isfinite(blank):
            raise UsageError(
                "So many frames cannot be kept.",
                slug="picker-frames",
                seen=f"{keep!r} of {frames!r}"[:100] + ("" if math.isfinite(blank) else f", blank={blank}"),
                needed="a whole number of one or more, and no more than the movie has",
                hint="Pass, for instance, FramePicker(frames=9, keep=3).",
            )
        self.frames, self.keep, self.blank = frames, keep, blank
        self.raw = nn.Parameter(torch.zeros(frames))
        self.register_buffer("temperature", torch.tensor(_WARM))

    @property
    def scores(self) -> Tensor:
        """The score of each frame [T]."""
        return _PACE * self.raw

    def cool(self, fraction: float) -> None:
        """Set the temperature for a point of the run: from 5 at 0 to 0.3 at 1, by equal factors.

        Args:
            fraction: How much of the run is over. Before 0 and after 1, as in a run that is prolonged, it stays
                what it is there.

        Raises:
            UsageError: `fraction` is not a number.
        """
        if math.isnan(fraction):
            raise UsageError(
                "There is no such point of a run.",
                slug="picker-cool",
                seen=f"fraction={fraction}",
                needed="a number: 0 at the beginning, 1 at the end",
                hint="Pass picker.cool(step / steps).",
            )
        self.temperature.fill_(_WARM * (_COLD / _WARM) ** min(1.0, max(0.0, fraction)))

    def hard(self) -> Tensor:
        """The choice as it stands: 0 or 1 for each frame [T], exactly k ones."""
        return self._highest(self.scores.detach()[None])[0]

    def mask(self, n: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Masks [n, T] of `n` movies: in eval mode `hard`; else a draw for each, with its soft gradient.

        Args:
            n: How many movies.
            generator: Where the noise is drawn from, on the CPU. None: torch's own, as dropout does.
        """
        scores = self.scores.expand(n, -1)
        if not self.training or self.keep == self.frames:
            return self._highest(scores.detach())
        lots = torch.rand(n, self.frames, generator=generator).clamp(1e-6, 1 - 1e-6).to(scores)
        scores = scores - self.temperature * (-lots.log()).log()
        hard = self._highest(scores.detach())
        ranked = scores.detach().sort(1, descending=True).values
        threshold = (ranked[:, self.keep - 1] + ranked[:, self.keep]) / 2
        soft = ((scores - threshold[:, None]) / self.temperature).sigmoid()
        return hard + (soft - soft.detach())  # exactly 0 or 1

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Movies [N, T, ...] of which k frames are left; `mask` says where the noise is from.

        Raises:
            ContractError: They have another number of frames.
        """
        return self.shown(x, self.mask(len(x), generator))

    def shown(self, x: Tensor, mask: Tensor) -> Tensor:
        """Movies [N, T, ...] through masks [N, T]; what is not finite is gone with frames that are not picked."""
        if x.ndim < 2 or x.shape[1] != mask.shape[1]:
            raise ContractError(
                "These movies do not fit the frame picker.",
                slug="picker-movie",
                seen=str(tuple(x.shape)),
                needed=f"(N, {self.frames}, ...)",
                hint="Cut the movies to this length, or make a picker for theirs.",
            )
        return through(x, mask, self.blank)

    def _highest(self, scores: Tensor) -> Tensor:
        """1 at the k highest scores of each row [n, T]; of equal ones the first."""
        order = scores.sort(stable=True, dim=1, descending=True).indices
        return torch.zeros_like(scores).scatter_(1, order[:, : self.keep], 1.0)


def through(x: Tensor, mask: Tensor, blank: float = 0.0) -> Tensor:
    """Sequences [N, T, ...] where masks [N, T] are 1, and `blank` where they are 0, with the gradient of the masks.

    Where the mask is 0 nothing is left of numbers that are not finite. Where it is 1 they stay, so that they can be
    refused, but have no gradient: behind the end of a sequence nobody looks at them.
    """
    mask = mask.reshape(*mask.shape, *(1,) * (x.ndim - 2)).to(x.dtype)
    finite = x.isfinite()
    seen = blank + mask * (torch.where(finite, x, blank) - blank)
    return torch.where(finite | (mask.detach() == 0), seen, x)


class Illumination(nn.Module):
    """Lights a scene with K binary patterns and records one number for each: a camera with a single pixel.

    The reading of pattern P_k is the mean of the pixels where it is light minus that where it is dark, with sensor
    noise. The patterns are signs of trained numbers, straight through: forwards +1 or -1, as in a Hadamard matrix,
    backwards the numbers themselves where these lie in [-1, 1]. What comes out is an image again, the readings
    projected back by the same patterns, so that any classifier of images can stand behind.

    Args:
        channels: Channels of the images; each is lit and recorded alone.
        size: Height and width in pixels.
        patterns: How many patterns are shown, K.
        noise: Standard deviation of a reading; the reading of a white scene with a light pattern is 1.
        learned: Whether the patterns are trained; otherwise they stay as they were at first.
        begin: The patterns at first: "random", or the first of the Hadamard patterns (see `hadamard`).

    Raises:
        UsageError: A number that cannot mean anything.

    References:
        Duarte et al. 2008, single-pixel imaging via compressive sampling; Harwit and Sloane 1979 (Hadamard patterns);
        Courbariaux et al. 2016 (signs, straight through).
    """

    def __init__(
        self, channels: int = 1, size: int = 28, patterns: int = 8, noise: float = 0.0, learned: bool = True,
        begin: Begin = "random",
    ) -> None:  # fmt: skip
        super().__init__()
        if (
            min(channels, size, patterns) < 1
            or not 0 <= noise < float("inf")
            or patterns * size**2 > _MOST * 16
            or begin not in ("random", "hadamard")
        ):
            raise UsageError(
                "There is no such illumination.",
                slug="illumination",
                seen=f"channels={channels}, size={size}, patterns={patterns}, noise={noise}, begin={begin!r}",
                needed="positive numbers, noise of 0 or more, and patterns that begin 'random' or 'hadamard'",
                hint="Pass, for instance, Illumination(size=28, patterns=8, noise=0.01).",
            )
        self.channels, self.size, self.noise = channels, size, noise
        # Small numbers: a pixel of a pattern turns as soon as it is asked to.
        first = torch.empty(patterns, size, size).uniform_(-0.2, 0.2)
        if begin == "hadamard":
            first = hadamard(patterns, size).to(first) * first.abs()
        self.scores = nn.Parameter(first, requires_grad=learned)

    def hard(self) -> Tensor:
        """The patterns as they stand: 1 where the light is on and 0 where it is off [K, H, W]."""
        return (self.scores.detach() >= 0).to(self.scores.dtype)

    def signs(self) -> Tensor:
        """The patterns as +1 and -1 [K, H, W], with the gradient of their scores."""
        bounded = self.scores.clamp(-1, 1)
        return 2 * self.hard() - 1 + (bounded - bounded.detach())

    def read(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Readings [N, C, K] of scenes `x` [N, C, H, W] in [0, 1].

        Args:
            x: The scenes.
            generator: Where the noise is drawn from, on the CPU. None: in training torch's own, as dropout does; in
                eval mode there is no noise.

        Raises:
            ContractError: The scenes have another shape, or hold what is not finite.
        """
        want = (self.channels, self.size, self.size)
        signs = self.signs()
        if x.ndim != 4 or tuple(x.shape[1:]) != want or not bool(x.isfinite().all()):
            raise ContractError(
                "These scenes do not fit the illumination.",
                slug="illumination-shape",
                seen=f"{tuple(x.shape)}" + ("" if bool(x.isfinite().all()) else ", some of it not finite"),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]}), finite",
                hint="Resize the images, or make an illumination for their size.",
            )
        with torch.autocast(x.device.type, enabled=False):  # a sensor's digits are its noise, not bf16's
            readings = torch.einsum("nchw,khw->nck", x.to(signs.dtype), signs) / self.size**2
        if self.noise and (self.training or generator is not None):
            readings = readings + self.noise * torch.randn(readings.shape, generator=generator).to(readings)
        return readings

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the readings of scenes `x` say of each pixel [N, C, H, W]: every pattern times its reading, summed."""
        readings = self.read(x, generator)
        with torch.autocast(x.device.type, enabled=False):
            return torch.einsum("nck,khw->nchw", readings, self.signs())


def hadamard(patterns: int, size: int) -> Tensor:
    """The first Hadamard patterns, +1 and -1 [K, size, size], the smoothest first.

    They are products of Walsh functions of the row and of the column, by the changes of sign that both have. For a
    size that is a power of 2 all size^2 of them are orthogonal; for another one the functions are read at the centers
    of its pixels.

    Raises:
        UsageError: There are not so many.

    References:
        Walsh 1923, a closed set of normal orthogonal functions; Harwit and Sloane 1979, Hadamard transform optics.
    """
    order = max(1, (size - 1).bit_length())
    count = 2**order
    if patterns > count**2:
        raise UsageError(
            "There are not so many Hadamard patterns of this size.",
            slug="illumination",
            seen=f"{patterns} of {size} x {size} pixels",
            needed=f"at most {count**2}",
            hint="Show fewer patterns, or let them begin at random.",
        )
    pairs: list[tuple[int, int]] = []
    for turns in range(2 * count - 1):  # no further than is asked for: this may come from a stranger's file
        if len(pairs) >= patterns:
            break
        row = [(y, turns - y) for y in range(max(0, turns - count + 1), min(turns, count - 1) + 1)]
        pairs += sorted(row, key=lambda pair: (max(pair), pair))
    at = ((torch.arange(size) + 0.5) * count / size).long()  # the cell of each center on a grid of 2^order
    walsh = torch.ones(max(map(max, pairs)) + 1, size)
    for change in range(len(walsh)):
        gray = change ^ (change >> 1)
        for bit in range(order):
            if gray >> bit & 1:
                walsh[change] *= 1 - 2 * (at >> (order - 1 - bit) & 1)
    return torch.stack([walsh[y][:, None] * walsh[x][None] for y, x in pairs[:patterns]])
