"""Labels of the frames of a sequence: from the frames alone, or from the labels before them as well."""

import torch
from torch import Tensor

from amiss.errors import ContractError
from amiss.models.recurrent import CellName, Recurrent, check_sequences
from amiss.models.token_density import TokenDensity

__all__ = ["LabelSequence"]


class LabelSequence(TokenDensity):
    """p(y_t | x_0, ..., x_t, y_0, ..., y_{t-1}): a label for every frame (many to many).

    With feedback the model is output-generative: each label depends on those that it gave before, so that a row of
    labels is likely or not as a whole. Without, the labels of a row are independent given the frames. In both
    directions every label may look at all frames.

    The frames are the condition: `log_prob(y, x)`, `sample(len(x), x)`, `label(x)`.

    Args:
        inputs: Numbers in a frame.
        classes: Labels there are.
        hidden: Numbers in the state of a cell.
        cell: Which cells.
        layers: How many, one above the other.
        feedback: Whether a label depends on the labels before it.
        bidirectional: Whether a label depends on the frames behind it.
        memory: Steps that a cell should be able to remember at first (see `Recurrent`).

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

    def beside(self, n: int, length: int, c: Tensor | None) -> Tensor:
        """The frames `c` [n, length, inputs], or what the reader makes of them.

        Raises:
            ContractError: There are no frames, or others than the labels have.
        """
        if c is None or c.ndim != 3 or len(c) != n or c.shape[1] < length:
            raise ContractError(
                "Labels of a sequence need its frames.",
                slug="label-frames",
                seen="none" if c is None else str(tuple(c.shape)),
                needed=f"({n}, {length}, {self.inputs})",
                hint="Pass them as c: model.log_prob(labels, frames), model.sample(len(frames), frames).",
            )
        check_sequences(c, (self.inputs,))
        return c if self.reader is None else self.reader(c)[0]

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

    def label(self, x: Tensor) -> Tensor:
        """The likeliest label of each frame [N, T], each given those that were chosen before it (greedy)."""
        return self.sample(len(x), x, top_k=1)
