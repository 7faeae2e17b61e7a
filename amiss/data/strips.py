"""Strips of film: movies as images, their frames side by side from left to right."""

from amiss.data.images import Images
from amiss.data.sequences import Sequences
from amiss.errors import DataError

__all__ = ["film_strips"]


def film_strips(movies: Sequences, frames: int | None = None, prefix: str = "movie") -> Images:
    """The first frames of each movie as one image [C, H, T W]; numbers beside the frames are not shown.

    Args:
        movies: Gray or color movies [n, T, C, H, W], whose labels, classes and table the images keep.
        frames: Frames of a strip, T; by default as many as the shortest movie has.
        prefix: What an image's name begins with.

    Raises:
        DataError: They are signals, or a movie has fewer frames than are asked for.
    """
    shortest = int(movies.lengths.min())
    frames = shortest if frames is None else frames
    pictures = movies.frames.ndim == 5
    if not pictures or not 1 <= frames <= shortest:
        short = int((movies.lengths < frames).sum())
        raise DataError(
            "These sequences make no strips of film.",
            slug="film-strips",
            seen=f"{short} of {len(movies)} movies have fewer than {frames} frames" if pictures else "signals",
            needed="movies of bytes [n, T, C, H, W], each with a frame or more for every one of a strip",
            hint=f"Ask for {shortest} frames or fewer, or leave short movies out: movies.pick(movies.lengths >= T)."
            if pictures
            else "Train and judge a classifier of signals by amiss train sequence-classifier.",
        )
    wide = movies.frames[:, :frames].permute(0, 2, 3, 1, 4).flatten(3)
    names = [f"{prefix}/{i:05d}" for i in range(len(movies))]
    return Images.of(wide.contiguous(), movies.labels, movies.classes, names=names, table=movies.table)
