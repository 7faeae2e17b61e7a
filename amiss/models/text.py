"""Sentences of a closed vocabulary as codes: an LSTM that reads words, and what it understood of them."""

import difflib
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from amiss.errors import ModelError, UsageError

__all__ = ["TextEncoder"]

_MOST_WORDS, _LONGEST, _WIDEST = 10_000, 64, 1024
_SHOWN = 60
_WORD = re.compile(r"[^\W_]+")


class TextEncoder(nn.Module):
    """An LSTM over the words of a sentence: codes [N, width] from tokens [N, length].

    A token is a word's place in the vocabulary, counted from 1; 0 fills a sentence up at its end and is not read.
    Heads tell what the code says of each label, so that the encoder can be matched to the labels of images.

    Args:
        words: The vocabulary, at most 10,000 words of small letters and digits.
        levels: How many values each label has.
        width: Numbers in a code.
        length: Words that a sentence may have, at most 64.

    Raises:
        UsageError: There is no word or no label, or there are too many.

    References:
        Hochreiter and Schmidhuber 1997 (LSTM); Reed et al. 2016, section 3.2 (an encoder matched to images first).
    """

    def __init__(self, words: Sequence[str], levels: Sequence[int], width: int = 64, length: int = 16) -> None:
        super().__init__()
        rules = {
            f"{len(words)} words": 1 <= len(words) <= _MOST_WORDS and all(map(_is_word, words)),
            f"levels={list(levels)[:8]}": 1 <= len(levels) <= _LONGEST and all(2 <= n <= _MOST_WORDS for n in levels),
            f"width={width}": 1 <= width <= _WIDEST,
            f"length={length}": 1 <= length <= _LONGEST,
        }
        wrong = [text for text, holds in rules.items() if not holds]
        if wrong:
            raise UsageError(
                "A text encoder cannot be made like this.",
                slug="text-encoder",
                seen=", ".join(wrong),
                needed=f"1 to {_MOST_WORDS:,} words of small letters, 1 to {_LONGEST} labels of two values or more, "
                f"a width up to {_WIDEST} and a length up to {_LONGEST}",
                hint="See help(amiss.models.TextEncoder).",
            )
        self.words, self.levels, self.length = tuple(words), tuple(levels), length
        self._token = {word: i for i, word in enumerate(self.words, 1)}
        self.embedding = nn.Embedding(len(words) + 1, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.heads = nn.Linear(width, sum(levels))

    def read(self, captions: Sequence[str]) -> Tensor:
        """The tokens of sentences [N, length], int64; marks and capitals make no difference.

        Raises:
            ModelError: A word is not in the vocabulary, or a sentence is empty or too long.
        """
        rows = [_WORD.findall(caption[: _SHOWN * self.length].lower()) for caption in captions]
        for caption, row in zip(captions, rows, strict=True):
            if not 1 <= len(row) <= self.length:
                raise ModelError(
                    "This is no caption that the model can read.",
                    slug="caption-length",
                    seen=f"{len(row)} words: {caption[:_SHOWN]!r}",
                    needed=f"1 to {self.length} words",
                    hint="Write one short sentence.",
                )
            for word in row:
                if word not in self._token:
                    raise self._unknown(word, caption)
        tokens = [[self._token[word] for word in row] + [0] * (self.length - len(row)) for row in rows]
        return torch.tensor(tokens, dtype=torch.int64).reshape(len(rows), self.length)

    def forward(self, tokens: Tensor) -> Tensor:
        """The code of each sentence: the state of the LSTM after its last word."""
        with torch.autocast(tokens.device.type, enabled=False):
            states = self.lstm(self.embedding(tokens))[0]
        last = (tokens > 0).sum(1).clamp_min(1) - 1
        return states[torch.arange(len(tokens), device=tokens.device), last]

    def told(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Logits [N, values] of each label that codes [N, width] tell."""
        return tuple(self.heads(codes).split(self.levels, 1))

    def _unknown(self, word: str, caption: str) -> ModelError:
        near = difflib.get_close_matches(word[:_SHOWN], self.words, n=3)
        return ModelError(
            f"The model knows no word {word[:_SHOWN]!r}.",
            slug="caption-word",
            seen=repr(caption[:_SHOWN]),
            needed=f"words such as {', '.join(near or self.words[:6])}",
            hint=f"Did you mean {' or '.join(near)}?" if near else "See the words of the model: model.text.words.",
        )


def _is_word(word: str) -> bool:
    """Whether a word of a vocabulary, which may be a stranger's, is one that `read` can find."""
    return len(word) <= _SHOWN and word == word.lower() and _WORD.fullmatch(word) is not None
