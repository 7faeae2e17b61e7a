"""Movies of digits behind noise, of which a few frames show more than the others: which, is known."""

from collections.abc import Sequence

import torch

from amiss.data.images import Images
from amiss.data.sequences import Sequences
from amiss.errors import UsageError
from amiss.repro import fold, normal

__all__ = ["digit_movies"]

_MOST = 256


def digit_movies(
    images: Images, frames: int = 9, shown: Sequence[int] = (1, 4, 7), seed: int = 0, clear: float = 1.0,
    dim: float = 0.0, noise: float = 0.7,
) -> Sequences:  # fmt: skip
    """A movie of each image: every frame is the image, faint or clear, behind noise of its own.

    Args:
        images: Gray images with labels.
        frames: Frames of a movie, T.
        shown: Which of them are clear, from 0.
        seed: Of the noise; a movie's follows from its place.
        clear: How strongly clear frames show the image, in [0, 1].
        dim: The same of all others.
        noise: Standard deviation of the noise, in units of white.

    Returns:
        Movies [n, T, 1, H, W] of bytes, labels as the images have them. Gray 128 is the mean of noise alone.

    Raises:
        UsageError: Frames that there are not, or an argument out of range.
    """
    rules = {
        "frames": (frames, 1 <= frames <= _MOST, f"1 to {_MOST}"),
        "shown": (tuple(shown), all(0 <= t < frames for t in shown), f"frames from 0 to {frames - 1}"),
        "clear": (clear, 0 <= clear <= 1, "0 to 1"),
        "dim": (dim, 0 <= dim <= 1, "0 to 1"),
        "noise": (noise, 0 <= noise < float("inf"), "0 or more"),
    }
    for name, (value, holds, needed) in rules.items():
        if not holds:
            raise UsageError(
                f"No movies of digits can be drawn with this {name}.",
                slug="digit-movies",
                seen=f"{name}={value}",
                needed=needed,
                hint="digit_movies(images, frames=9, shown=(1, 4, 7))",
            )
    strength = torch.full((frames,), dim)
    strength[list(shown)] = clear
    x = images.images()[:, :1] - 0.5
    key = fold(fold(torch.arange(len(images)), seed), frames)
    lots = normal(key, (frames, *x.shape[1:]))
    light = 0.5 + 0.5 * (strength[:, None, None, None] * x[:, None] + noise * lots)
    return Sequences.of((light.clamp(0, 1) * 255).round().to(torch.uint8), None, images.truth, images.classes)
