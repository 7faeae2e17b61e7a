"""A classifier of movies that reads images: the frames of a movie side by side, as on a strip of film."""

from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.density import LatentVariable
from amiss.models.movies import MovieClassifier

__all__ = ["FilmDecoder", "FilmStrip", "unrolled"]


class FilmStrip(nn.Module):
    """Logits [N, classes] of strips [N, C, H, T W]: those of the movies whose frames they show, from left to right.

    What asks a classifier of images can so ask one of movies: a search over the pixels of a strip is one over those
    of all frames. A strip of any number of frames is read, and all of them count.

    Args:
        classifier: Of movies, without numbers beside their frames; it is used as it is.
        frames: Frames that each strip must have; None: any number.

    Raises:
        UsageError: The classifier reads numbers beside the frames, which an image does not show.
    """

    def __init__(self, classifier: MovieClassifier, frames: int | None = None) -> None:
        super().__init__()
        if classifier.extra or (frames is not None and frames < 1):
            raise UsageError(
                "This classifier of movies cannot be asked by strips of film.",
                slug="film-strip",
                seen=f"{classifier.extra} numbers beside each frame, frames={frames}",
                needed="a classifier that sees frames alone, and a frame or more",
                why="an image has no place for what stands beside a frame" if classifier.extra else "",
                hint="Train it without them: amiss train sequence-classifier DATA --no-beside",
            )
        self.classifier, self.frames = classifier, frames

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, classes] of strips [N, C, H, T W] in [0, 1].

        Raises:
            ContractError: The strips are not as high as a frame, or not a whole number of frames wide.
        """
        channels, height, width = self.classifier.frame
        if x.ndim != 4 or x.shape[1:3] != (channels, height) or x.shape[3] % width or not x.shape[3] or (
            self.frames not in (None, x.shape[3] // width)
        ):  # fmt: skip
            wide = f"{width} T" if self.frames is None else width * self.frames
            raise ContractError(
                "These images are no strips of film for this classifier.",
                slug="film-strip-shape",
                seen=str(tuple(x.shape)),
                needed=f"(N, {channels}, {height}, {wide}): frames of {height} x {width} pixels side by side",
                why="images of another kind, or strips that were resized or cut",
                hint="Take strips:SOURCE as DATA, or amiss.data.film_strips(movies), and leave --size out.",
            )
        logits: Tensor = self.classifier(unrolled(x, x.shape[3] // width))
        return logits


class FilmDecoder(nn.Module):
    """Codes of strips out of a decoder of frames: those of all frames in a row, so that each is changed by itself.

    Strips of any number of frames are taken.

    Args:
        frame: Of square frames, [N, C, H, H] to codes [N, k] and back; k is its `latent`.
    """

    def __init__(self, frame: LatentVariable) -> None:
        super().__init__()
        self.frame = frame

    def encode(self, x: Tensor) -> Tensor:
        """Codes [N, T k] of strips [N, C, H, T H].

        Raises:
            ContractError: The strips are not a whole number of square frames wide.
        """
        if x.ndim != 4 or not x.shape[3] or x.shape[3] % x.shape[2]:
            raise ContractError(
                "These images are no strips of square frames.",
                slug="film-strip-shape",
                seen=str(tuple(x.shape)),
                needed="(N, C, H, T H), T of 1 or more",
                hint="Take strips:SOURCE as DATA, or amiss.data.film_strips(movies), and leave --size out.",
            )
        frames = x.shape[3] // x.shape[2]
        return self.frame.encode(unrolled(x, frames).flatten(0, 1)).reshape(len(x), -1)

    def decode(self, z: Tensor) -> Tensor:
        """Strips [N, C, H, T H] of codes [N, T k]."""
        drawn = self.frame.decode(z.reshape(-1, self.frame.latent))
        return drawn.unflatten(0, (len(z), -1)).permute(0, 2, 3, 1, 4).flatten(3)


def unrolled(strips: Tensor, frames: int) -> Tensor:
    """The movies [N, T, C, H, W] that strips [N, C, H, T W] show."""
    return strips.unflatten(3, (frames, -1)).permute(0, 3, 1, 2, 4)
