"""A language model of characters."""

from collections.abc import Sequence

import torch

from amiss.errors import UsageError
from amiss.models.recurrent import CellName
from amiss.models.token_density import TokenDensity
from amiss.models.vocabulary import Vocabulary

__all__ = ["TextModel"]


class TextModel(TokenDensity):
    """p(character | those before it) by a recurrent network.

    Args:
        symbols: The characters, all different.
        length: Characters of a draw, where nothing says how many.
        embedding: Numbers that a character becomes; 0: as many as there are characters, one for each.
        hidden: Numbers in the state of a cell.
        cell: Which cells.
        layers: How many, one above the other.

    Raises:
        UsageError: A size that cannot mean anything, or characters that make no vocabulary.

    References:
        Sutskever, Martens and Hinton 2011, generating text with recurrent neural networks; Graves 2013, section 3.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        length: int = 200,
        embedding: int = 0,
        hidden: int = 64,
        cell: CellName = "lstm",
        layers: int = 1,
    ) -> None:
        vocabulary = Vocabulary(tuple(symbols))
        super().__init__(
            len(symbols), length, vocabulary.end, embedding=embedding, hidden=hidden, cell=cell, layers=layers
        )
        self.vocabulary = vocabulary

    def write(
        self,
        prompt: str = "",
        *,
        n: int = 1,
        length: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> list[str]:
        """`n` texts that begin with the prompt.

        Args:
            prompt: What they begin with.
            n: How many.
            length: Characters behind the prompt; by default the model's own length.
            temperature: Below 1 the likelier characters are drawn more often, above 1 less.
            top_k: Draw among the so many likeliest characters alone; 1 takes the likeliest (greedy).
            generator: Where the lots are drawn from, on the CPU. None draws the same ones at every call.

        Returns:
            Texts of len(prompt) + length characters.

        Raises:
            ModelError: The prompt has a character that the model does not know.
            UsageError: A number is not positive.
        """
        more = self.length if length is None else length
        if more < 1:
            raise UsageError(
                "A text cannot be so short.",
                slug="text-more",
                seen=f"length={more}",
                needed="one character or more behind the prompt",
                hint="Leave it out for the model's own length.",
            )
        start = self.vocabulary.encode(prompt)
        given = torch.cat([start, start.new_zeros(more)])[None]
        drawn = self.sample(
            n,
            given=given,
            mask=torch.arange(given.shape[1]) < len(start),
            temperature=temperature,
            generator=generator,
            top_k=top_k,
        )
        return [self.vocabulary.decode(row) for row in drawn]
