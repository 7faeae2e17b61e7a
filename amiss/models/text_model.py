"""A language model of characters."""

from collections.abc import Sequence

import torch

from amiss.errors import UsageError
from amiss.models.recurrent import CellName
from amiss.models.token_density import LONGEST, TokenDensity
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
        dropout: Share of the numbers that are left out while training (see `TokenDensity`).

    Raises:
        UsageError: A size that cannot mean anything, or characters that make no vocabulary.

    References:
        Sutskever, Martens and Hinton 2011, generating text with recurrent neural networks; Graves 2013, section 3.
    """

    reduced = True

    def __init__(
        self,
        symbols: Sequence[str],
        length: int = 200,
        embedding: int = 0,
        hidden: int = 64,
        cell: CellName = "lstm",
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        vocabulary = Vocabulary(tuple(symbols))
        super().__init__(
            len(symbols),
            length,
            vocabulary.end,
            embedding=embedding,
            hidden=hidden,
            cell=cell,
            layers=layers,
            dropout=dropout,
        )
        self.vocabulary = vocabulary
        if (
            not embedding
        ):  # weights are drawn within 1 / sqrt(hidden): a character then moves a cell by a number near 1
            self.embedding.weight.data.mul_(hidden**0.5)

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
            length: Characters behind the prompt, at most 65,536; by default the model's own length.
            temperature: Below 1 the likelier characters are drawn more often, above 1 less.
            top_k: Draw among the so many likeliest characters alone; 1 takes the likeliest (greedy).
            generator: Where the lots are drawn from, on the CPU. None draws the same ones at every call.

        Returns:
            Texts of len(prompt) + length characters.

        Raises:
            ModelError: The prompt has a character that the model does not know.
            UsageError: A number is not positive, or too large.
        """
        more = self.length if length is None else length
        if not 1 <= more <= LONGEST:
            raise UsageError(
                "A text cannot be of that length.",
                slug="text-more",
                seen=f"length={more}",
                needed=f"1 to {LONGEST:,} characters behind the prompt",
                hint="Leave it out for the model's own length; to write on, take the end of a text for a prompt.",
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
