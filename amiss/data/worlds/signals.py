"""A world of one-channel signals: noise as of a brain, and bursts of a rhythm that tells fear from calm."""

import math

import torch
from torch import Tensor

from amiss.data.sequences import Sequences
from amiss.errors import UsageError
from amiss.repro import fold, normal, uniform

__all__ = ["sample_signals"]

RATE = 128  # samples a second
_BANDS = (9.0, 22.0)  # rhythms of a calm and of a frightened animal, Hz
_LOOK, _NOISE = 1, 2  # streams of a signal's key


def sample_signals(n: int, seed: int, seconds: float = 2.0, loudness: float = 1.0) -> Sequences:
    """N signals [n, T, 1] of noise with one burst each, somewhere: of about 9 Hz ("calm") or 22 Hz ("scared").

    The noise has a spectrum that falls as 1 / f and a standard deviation of 1. A burst lasts half a second under a
    smooth envelope, with a frequency of its own within 1.5 Hz of its band's and any phase.

    Args:
        n: How many.
        seed: Of all lots; a signal's are its own.
        seconds: How long each is, 1 or more.
        loudness: Amplitude of a burst at its peak, in standard deviations of the noise.

    Raises:
        UsageError: An argument that cannot mean anything.
    """
    if n < 1 or not (1 <= seconds <= 600 and 0 <= loudness < math.inf):
        raise UsageError(
            "No such signals can be drawn.",
            slug="signals-argument",
            seen=f"n={n}, seconds={seconds}, loudness={loudness}",
            needed="a signal or more, 1 to 600 seconds, a loudness of 0 or more",
            hint="sample_signals(500, seed=0)",
        )
    length = round(seconds * RATE)
    key = fold(torch.arange(n), seed)
    lots = uniform(fold(key, _LOOK), (4,), torch.float64)
    labels = (lots[:, 0] < 0.5).long()
    frequency = torch.tensor(_BANDS, dtype=torch.float64)[labels] + 3 * (lots[:, 1] - 0.5)
    middle = 0.3 + lots[:, 2] * (seconds - 0.6)
    t = torch.arange(length, dtype=torch.float64) / RATE - middle[:, None]
    envelope = torch.where(t.abs() < 0.25, (math.pi * t / 0.5).cos().square(), 0.0)
    burst = loudness * envelope * (2 * math.pi * (frequency[:, None] * t + lots[:, 3:])).sin()
    table = {"frequency": frequency.float(), "middle": middle.float()}
    return Sequences.of(
        (burst.float() + _pink(key, length))[:, :, None], None, labels, ("calm", "scared"), table=table
    )


def _pink(key: Tensor, length: int) -> Tensor:
    """Noise [n, length] whose power falls as 1 / f, of standard deviation 1 on average."""
    white = torch.fft.rfft(normal(fold(key, _NOISE), (length,), torch.float64))
    f = torch.arange(white.shape[1], dtype=torch.float64).clamp(min=1)
    shape = f.rsqrt()
    shape[0] = 0
    power = 2 * shape.square().sum() - (shape[-1].square() if length % 2 == 0 else 0)
    return torch.fft.irfft(white * shape * (length / power).sqrt(), n=length).float()
