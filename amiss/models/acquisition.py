"""A physical layer that is learned: which frames of a movie to record, and with which patterns to light a scene."""

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError

__all__ = ["FramePicker", "Illumination"]

_MOST = 2**20
_WARM, _COLD = 5.0, 0.3  # temperatures at which a choice begins and ends


class FramePicker(nn.Module):
    """Keeps k of T frames and blacks out the others; which ones is learned with the model behind it.

    Each frame has a score a_t. In training, Gumbel noise is added and the k highest are kept, so that other choices
    are tried; forwards the mask is 0 or 1, and backwards it is the soft mask sigmoid((a + noise - threshold) / tau)
    (straight through), whose threshold lies between the last frame that is kept and the first that is not. In eval
    mode there is no noise. `cool` lowers the temperature of noise and sigmoid along a run.

    Args:
        frames: Frames of a movie, T.
        keep: How many are recorded, k.

    Raises:
        UsageError: More frames are to be kept than there are.

    References:
        Bengio, Leonard and Courville 2013 (straight through); Jang, Gu and Poole 2017 (Gumbel noise, annealed); Kool,
        van Hoof and Welling 2019 (top k of perturbed scores); Bahadir, Dalca and Sabuncu 2019 (learned sampling).
    """

    temperature: Tensor

    def __init__(self, frames: int, keep: int) -> None:
        super().__init__()
        if not 1 <= keep <= frames <= _MOST:
            raise UsageError(
                "So many frames cannot be kept.",
                slug="picker-frames",
                seen=f"{keep} of {frames}",
                needed="one or more, and no more than the movie has",
                hint=f"Pass, for instance, FramePicker(frames=9, keep={max(1, min(3, frames))}).",
            )
        self.frames, self.keep = frames, keep
        self.scores = nn.Parameter(torch.zeros(frames))
        self.register_buffer("temperature", torch.tensor(_WARM))

    def cool(self, fraction: float) -> None:
        """Set the temperature for a point of the run: from 5 at 0 to 0.3 at 1, by equal factors."""
        self.temperature.fill_(_WARM * (_COLD / _WARM) ** min(1.0, max(0.0, fraction)))

    def hard(self) -> Tensor:
        """The choice as it stands: 0 or 1 for each frame [T], exactly k ones."""
        return self._highest(self.scores.detach())

    def mask(self, generator: torch.Generator | None = None) -> Tensor:
        """The mask [T] that frames are multiplied by: in eval mode `hard`; else a draw, with its soft gradient.

        Args:
            generator: Where the noise is drawn from, on the CPU. None: no noise.
        """
        if not self.training or self.keep == self.frames:
            return self.hard()
        scores: Tensor = self.scores
        if generator is not None:
            lots = torch.rand(self.frames, generator=generator).clamp(1e-6, 1 - 1e-6).to(scores)
            scores = scores - self.temperature * (-lots.log()).log()
        hard = self._highest(scores.detach())
        ranked = scores.detach().sort(descending=True).values
        threshold = (ranked[self.keep - 1] + ranked[self.keep]) / 2
        soft = ((scores - threshold) / self.temperature).sigmoid()
        return hard + soft - soft.detach()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Movies [N, T, ...] of which k frames are left.

        Raises:
            ContractError: They have another number of frames.
        """
        if x.ndim < 2 or x.shape[1] != self.frames:
            raise ContractError(
                "These movies do not fit the frame picker.",
                slug="picker-movie",
                seen=str(tuple(x.shape)),
                needed=f"(N, {self.frames}, ...)",
                hint="Cut the movies to this length, or make a picker for theirs.",
            )
        return x * self.mask(generator).reshape(1, -1, *(1,) * (x.ndim - 2)).to(x.dtype)

    def _highest(self, scores: Tensor) -> Tensor:
        """1 at the k highest scores; of equal ones the first."""
        order = scores.sort(descending=True, stable=True).indices
        return torch.zeros_like(scores).scatter_(0, order[: self.keep], 1.0)


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
        learned: Whether the patterns are trained; otherwise they stay as they were drawn.

    Raises:
        UsageError: A number that cannot mean anything.

    References:
        Duarte et al. 2008, single-pixel imaging via compressive sampling; Harwit and Sloane 1979 (Hadamard patterns);
        Courbariaux et al. 2016 (signs, straight through).
    """

    def __init__(
        self, channels: int = 1, size: int = 28, patterns: int = 8, noise: float = 0.0, learned: bool = True
    ) -> None:
        super().__init__()
        if min(channels, size, patterns) < 1 or not 0 <= noise < float("inf") or patterns * size**2 > _MOST * 16:
            raise UsageError(
                "There is no such illumination.",
                slug="illumination",
                seen=f"channels={channels}, size={size}, patterns={patterns}, noise={noise}",
                needed="positive numbers, and noise of 0 or more",
                hint="Pass, for instance, Illumination(size=28, patterns=8, noise=0.01).",
            )
        self.channels, self.size, self.noise = channels, size, noise
        self.scores = nn.Parameter(torch.empty(patterns, size, size).uniform_(-1, 1), requires_grad=learned)

    def hard(self) -> Tensor:
        """The patterns as they stand: 1 where the light is on and 0 where it is off [K, H, W]."""
        return (self.scores.detach() >= 0).to(self.scores.dtype)

    def signs(self) -> Tensor:
        """The patterns as +1 and -1 [K, H, W], with the gradient of their scores."""
        bounded = self.scores.clamp(-1, 1)
        return 2 * self.hard() - 1 + bounded - bounded.detach()

    def read(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Readings [N, C, K] of scenes `x` [N, C, H, W] in [0, 1].

        Args:
            x: The scenes.
            generator: Where the noise is drawn from, on the CPU. None: no noise.

        Raises:
            ContractError: The scenes have another shape.
        """
        want = (self.channels, self.size, self.size)
        if x.ndim != 4 or tuple(x.shape[1:]) != want:
            raise ContractError(
                "These scenes do not fit the illumination.",
                slug="illumination-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {want[0]}, {want[1]}, {want[2]})",
                hint="Resize the images, or make an illumination for their size.",
            )
        readings = torch.einsum("nchw,khw->nck", x, self.signs()) / self.size**2
        if generator is not None and self.noise:
            readings = readings + self.noise * torch.randn(readings.shape, generator=generator).to(readings)
        return readings

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the readings of scenes `x` say of each pixel [N, C, H, W]: every pattern times its reading, summed."""
        return torch.einsum("nck,khw->nchw", self.read(x, generator), self.signs())
