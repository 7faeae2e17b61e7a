"""Labels of the frames of a sequence: from the frames alone, or from the labels before them as well."""

import torch
from torch import Tensor

from amiss.errors import ContractError
from amiss.models.recurrent import CellName, Recurrent, check_sequences, counted
from amiss.models.token_density import TokenCache, TokenDensity, only

__all__ = ["LabelSequence"]


class LabelSequence(TokenDensity):
    """p(y_t | x_0, ..., x_t, y_0, ..., y_{t-1}): a label for every frame (many to many).

    With feedback the model is output-generative: each label depends on those that it gave before, so that a row of
    labels is likely or not as a whole. Without, the labels of a row are independent given the frames. In both
    directions every label may look at all frames.

    The frames are the condition: `log_prob(y, x)`, `sample(len(x), x)`, `label(x)`. Sequences of different lengths
    are padded at their ends to a common one; `ragged(x, lengths)` is their condition. Behind its end a row's labels
    are 0, with a probability of 1, whatever its frames hold there: they count nothing, in draws and beams as well.

    Args:
        inputs: Numbers in a frame.
        classes: Labels there are.
        hidden: Numbers in the state of a cell.
        cell: Which cells.
        layers: How many, one above the other.
        feedback: Whether a label depends on the labels before it.
        bidirectional: Whether a label depends on the frames behind it.
        memory: Steps that a cell should be able to remember at first; of lstm and lstm-sigmoid alone (see
            `Recurrent`).

    Raises:
        UsageError: A size that cannot mean anything.

    References:
        Graves 2012, supervised sequence labelling with recurrent neural networks, chapter 3; Goodfellow, Bengio and
        Courville 2016, figure 10.10 (feedback) and section 10.3 (both directions).
    """

    def __init__(
        self,
        inputs: int,
        classes: int,
        hidden: int = 32,
        cell: CellName = "lstm",
        layers: int = 1,
        feedback: bool = False,
        bidirectional: bool = False,
        memory: int = 0,
    ) -> None:
        extra = 2 * hidden if bidirectional else inputs
        super().__init__(classes, 1, hidden=hidden, cell=cell, layers=layers, extra=extra, memory=memory)
        self.inputs, self.feedback = inputs, feedback
        self.reader = Recurrent(inputs, hidden, cell, bidirectional=True, memory=memory) if bidirectional else None

    def embed(self, said: Tensor) -> Tensor:
        """The labels before, where there is feedback; else the symbol of the beginning, always."""
        return super().embed(said if self.feedback else torch.full_like(said, self.symbols))

    def ragged(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Frames [N, T, inputs] of which the first `lengths` [N] count, as one condition [N, T, inputs + 1].

        Its last number is 1 where a frame counts. What stands behind an end is not looked at.

        Raises:
            ContractError: They are no sequences for this model, an end is none of the frames, or a frame that counts
                holds what is not finite.
        """
        check_sequences(x, (self.inputs,), lengths)
        counts = counted(lengths.to(x.device), x.shape[1])[:, :, None]
        return torch.cat([torch.where(counts, x, 0), counts.to(x)], 2)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        """Logits [N, classes, T] of labels `x` [N, T], int64, given frames `c`."""
        self._check_frames(x, c)
        logits = super().forward(x, c)
        lengths = self._lengths(c)
        if lengths is None:
            return logits
        return only(logits, 0, ~counted(lengths, x.shape[1]))

    def log_probs(self, x: Tensor, c: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Log probability of each label given those before it [N, T], nats; 0 behind an end.

        Args:
            x: Labels [N, T], int64; any labels behind an end.
            c: Frames [N, T, inputs], or what `ragged` made of them.
            lengths: How many frames of each count [N]; None: all, or as `ragged` was told.

        Raises:
            ContractError: `x` holds what are no labels, or does not fit the frames.
        """
        self._check_frames(x, c)
        c, x = self._ended(x, c, lengths)
        self.check(x)  # now that what stands behind an end, such as -100, is gone
        return self.likelihood.log_probs(self(x, c), x)

    def log_prob(self, x: Tensor, c: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        """Log probability of whole rows of labels [N], nats (see `log_probs`)."""
        return self.log_probs(x, c, lengths).sum(1)

    def init_cache(self, n: int, c: Tensor | None = None) -> TokenCache:
        """Nothing is labeled yet."""
        cache = super().init_cache(n, c)
        cache.lengths = self._lengths(c)
        return cache

    def step(self, previous: Tensor | None, t: int, cache: TokenCache) -> Tensor:
        """Logits [n, classes] of frame `t`, after frame t - 1 was labeled `previous` [n].

        Raises:
            ContractError: There is no frame `t`.
        """
        if cache.beside is not None and t >= cache.beside.shape[1]:
            raise _no_frames(f"{cache.beside.shape[1]} frames", f"{t + 1} or more, one for each label")
        logits = super().step(previous, t, cache)
        return logits if cache.lengths is None else only(logits, 0, t >= cache.lengths)

    def beside(self, n: int, length: int, c: Tensor | None) -> Tensor:
        """The frames of `c` [n, length, inputs], or what the reader makes of them.

        Raises:
            ContractError: There are no frames, or others than the labels have.
        """
        if c is None or c.ndim != 3 or len(c) != n or c.shape[1] < length:
            raise self._unlike(c, n, length)
        lengths = self._lengths(c)
        if lengths is not None:
            c = c[:, :, :-1]
        check_sequences(c, (self.inputs,), lengths)
        return c if self.reader is None else self.reader(c.to(self.readout.weight.dtype), lengths)[0]

    def sample(
        self,
        n: int,
        c: Tensor | None = None,
        *,
        given: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        top_k: int | None = None,
    ) -> Tensor:
        """Draw labels [n, T] for frames `c` [n, T, inputs] (see `TokenDensity.sample`)."""
        if given is None and mask is None and c is not None:
            given, mask = c.new_zeros(c.shape[:2], dtype=torch.int64), c.new_zeros(c.shape[:2], dtype=torch.bool)
        return super().sample(n, c, given=given, mask=mask, temperature=temperature, generator=generator, top_k=top_k)

    def label(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest label of each frame [N, T], each given those chosen before it (greedy); 0 behind an end."""
        return self.sample(len(x), x if lengths is None else self.ragged(x, lengths), top_k=1)

    def _check_frames(self, x: Tensor, c: Tensor | None) -> None:
        """Refuse labels [N, T] that are not as many as the frames."""
        if c is not None and c.ndim == 3 and x.ndim == 2 and c.shape[:2] != x.shape:
            raise self._unlike(c, *x.shape)

    def _unlike(self, c: Tensor | None, n: int, length: int) -> ContractError:
        """The error of frames that there are not, or of another shape than the labels [n, length]."""
        seen = "no frames" if c is None else f"frames {tuple(c.shape)}"
        return _no_frames(seen, f"frames ({n}, {length}, {self.inputs}) for labels ({n}, {length})")

    def _lengths(self, c: Tensor | None) -> Tensor | None:
        """How many frames of each count [N]; None where `c` are frames alone, or what `ragged` never made."""
        if c is None or c.ndim != 3 or c.shape[2] != self.inputs + 1:
            return None
        marks = c[:, :, -1]
        lengths = (marks == 1).sum(1)
        made = marks == counted(lengths, c.shape[1])
        return lengths if bool(made.all()) else None

    def _ended(self, x: Tensor, c: Tensor | None, lengths: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """Frames with their lengths as one condition, and labels that are 0 behind the ends."""
        if lengths is not None and c is not None:
            c = self.ragged(c, lengths)
        ends = self._lengths(c)
        return c, x if ends is None or x.ndim != 2 else _until(x, ends)


def _until(x: Tensor, lengths: Tensor) -> Tensor:
    """Labels [N, T] that are 0 behind their ends."""
    return torch.where(counted(lengths, x.shape[1]), x, 0)


def _no_frames(seen: str, needed: str) -> ContractError:
    return ContractError(
        "Labels of a sequence need its frames, one for each label.",
        slug="label-frames",
        seen=seen,
        needed=needed,
        hint="Pass them as c: model.log_prob(labels, frames), model.sample(len(frames), frames).",
    )
