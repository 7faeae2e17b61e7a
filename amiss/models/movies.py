"""A classifier of movies: convolutions look at each frame, a recurrent network at what changes between them."""

import torch
from torch import Tensor, nn

from amiss.errors import ContractError, UsageError
from amiss.models.recurrent import CellName, Recurrent, check_sequences, check_type, counted
from amiss.models.sequence_classifier import mean_of

__all__ = ["MovieClassifier"]


class MovieClassifier(nn.Module):
    """Logits of every frame of a movie, and of the movie: the mean of its frames' logits.

    Each frame becomes a code; beside it may stand numbers, such as how far a cell has moved. Without a recurrent
    network every frame is judged by itself, and the order of frames does not matter.

    Args:
        classes: Labels there are.
        channels: Channels of a frame.
        size: Height and width in pixels, 8 or more.
        extra: Numbers beside each frame.
        width: Channels of the first maps; those behind them have twice as many.
        code: Numbers that a frame becomes.
        hidden: Numbers in the state of a cell; 0: no recurrent network.
        cell: Which cells.
        bidirectional: Whether a frame is judged by the frames behind it, too.

    Raises:
        UsageError: A size that cannot mean anything.

    References:
        Buggenthin et al. 2017, prospective identification of hematopoietic lineage choice by deep learning (codes of
        frames, with displacement, through a recurrent network; a cell's score is the mean of its frames').
    """

    def __init__(
        self,
        classes: int,
        channels: int = 1,
        size: int = 27,
        extra: int = 0,
        width: int = 8,
        code: int = 16,
        hidden: int = 32,
        cell: CellName = "gru",
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        if not (min(classes, channels, width, code) >= 1 and 8 <= size <= 256 and min(extra, hidden) >= 0):
            raise UsageError(
                "There is no such classifier of movies.",
                slug="movie-classifier",
                seen=f"classes={classes}, channels={channels}, size={size}, extra={extra}, width={width}",
                needed="positive numbers, and frames of 8 to 256 pixels a side",
                hint="Pass, for instance, MovieClassifier(classes=2, size=27, extra=2).",
            )
        self.frame, self.extra = (channels, size, size), extra
        side = (size + 3) // 4  # halved twice, rounded up
        self.eye = nn.Sequential(
            nn.Conv2d(channels, width, 5, 2, 2), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.Flatten(), nn.Linear(2 * width * side**2, code), nn.ReLU(),
        )  # fmt: skip
        inputs = code + extra
        self.recurrent = Recurrent(inputs, hidden, cell, bidirectional=bidirectional) if hidden else None
        self.codes = nn.Identity()  # what is known at each frame of a row [N, T, D], for whoever listens to layers
        self.readout = nn.Linear(inputs if self.recurrent is None else self.recurrent.width, classes)

    def each(self, x: Tensor, beside: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits of each frame [N, T, classes].

        Args:
            x: Movies [N, T, C, H, W] in [0, 1].
            beside: Numbers beside each frame [N, T, extra]; needed where there are any.
            lengths: Frames that count [N]; None: all.

        Raises:
            ContractError: Frames of another shape or type, none, numbers that are not finite or not as many as are
                needed.
        """
        check_sequences(x, self.frame, lengths)
        check_type(x, self.readout.weight.dtype)
        n, t = x.shape[:2]
        if (0 if beside is None else beside.shape[-1]) != self.extra or (
            beside is not None and beside.shape[:2] != x.shape[:2]
        ):
            raise ContractError(
                "The numbers beside the frames do not fit this classifier.",
                slug="movie-beside",
                seen="none" if beside is None else str(tuple(beside.shape)),
                needed=f"({n}, {t}, {self.extra})" if self.extra else "none",
                hint="Pass what the classifier was trained with: movies.beside.",
            )
        counts = torch.ones(n, t, dtype=torch.bool, device=x.device)
        if lengths is not None:
            counts = counted(lengths.to(x.device), t)
        code = x.new_zeros(n, t, self.readout.in_features if self.recurrent is None else self.recurrent.inputs)
        seen = self.eye(2 * x[counts] - 1)  # frames behind an end are not looked at
        if beside is not None and self.extra:
            check_sequences(beside, (self.extra,), lengths)
            seen = torch.cat([seen, beside[counts].to(seen)], 1)
        code = code.to(seen.dtype).index_put((counts,), seen)
        if self.recurrent is not None:
            with torch.autocast(x.device.type, enabled=False):
                code = self.recurrent(code.to(self.readout.weight.dtype), lengths)[0]
        logits: Tensor = self.readout(self.codes(code))
        return logits

    def forward(self, x: Tensor, beside: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits [N, classes] of movies: the mean over the frames that count (see `each`)."""
        return mean_of(self.each(x, beside, lengths), lengths)
