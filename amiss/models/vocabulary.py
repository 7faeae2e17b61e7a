"""Texts as whole numbers, and back: a closed set of characters, or of words."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from amiss.errors import ModelError, UsageError

__all__ = ["END", "Vocabulary"]

END = "\0"
"""The symbol that ends a text; no text contains it."""

_MOST, _LONGEST, _SHOWN = 10_000, 64, 40


@dataclass(frozen=True)
class Vocabulary:
    """Symbols by number: a text is a row of tokens.

    Attributes:
        symbols: Characters, or words; all different. Where `END` is the last of them, texts end.
        words: Whether texts are words with spaces between them; otherwise each character counts.

    Raises:
        UsageError: Symbols twice, none at all, more than 10,000, or such as no text has.
    """

    symbols: tuple[str, ...]
    words: bool = False
    numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        symbols = self.symbols
        fits = all(
            symbol == END or (symbol == "".join(symbol.split()) if self.words else len(symbol) == 1)
            for symbol in symbols
        )
        whole = all(0 < len(symbol) <= _LONGEST for symbol in symbols) and END not in symbols[:-1]
        if not (fits and whole and 1 <= len(set(symbols)) == len(symbols) <= _MOST):
            raise UsageError(
                "These symbols make no vocabulary.",
                slug="vocabulary",
                seen=f"{len(symbols)} symbols, {len(set(symbols))} of them different: {symbols[:6]!r}"[:200],
                needed=f"1 to {_MOST:,} different {'words without spaces' if self.words else 'single characters'}",
                hint="Make one from a text: Vocabulary.of(text).",
            )
        object.__setattr__(self, "numbers", {symbol: i for i, symbol in enumerate(symbols)})

    @classmethod
    def of(cls, texts: Iterable[str], *, words: bool = False, end: bool = False) -> "Vocabulary":
        """The symbols of some texts, sorted, and `END` behind them if texts end."""
        found = {symbol for text in texts for symbol in (text.split() if words else text)}
        return cls((*sorted(found), *([END] if end else [])), words)

    @property
    def end(self) -> int | None:
        """The token that ends a text; None where texts go on for ever."""
        return self.numbers.get(END)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Tensor:
        """The tokens of a text [T], int64, without an end.

        Raises:
            ModelError: A symbol of the text is not in the vocabulary.
        """
        symbols: Sequence[str] = text.split() if self.words else text
        try:
            return torch.tensor([self.numbers[symbol] for symbol in symbols], dtype=torch.int64)
        except KeyError:
            strange = next(symbol for symbol in symbols if symbol not in self.numbers)
        known = [symbol for symbol in self.symbols if symbol != END]
        near = difflib.get_close_matches(strange[:_LONGEST], known, n=3) if self.words else []
        raise ModelError(
            f"The model knows no {'word' if self.words else 'character'} {strange[:_SHOWN]!r}.",
            slug="text-symbol",
            seen=repr(text[:_SHOWN]),
            needed=f"{len(known)} known ones: {' '.join(map(ascii, known[:12]))} ...",
            hint=f"Did you mean {' or '.join(near)}?" if near else "Leave it out, or train on texts that have it.",
        )

    def rows(self, texts: Sequence[str], length: int) -> Tensor:
        """Tokens [N, length] of texts that end, each filled up with ends.

        Raises:
            ModelError: A symbol is unknown, or a text has more than `length` of them.
            UsageError: Texts of this vocabulary do not end.
        """
        if self.end is None:
            raise UsageError(
                "Texts of this vocabulary do not end, so they cannot be filled up.",
                slug="vocabulary-end",
                seen="a vocabulary without an end",
                needed="one made with end=True",
                hint="Cut one long text into rows of equal length instead.",
            )
        rows = torch.full((len(texts), length), self.end)
        for row, text in zip(rows, texts, strict=True):
            tokens = self.encode(text)
            if len(tokens) > length:
                raise ModelError(
                    "A text is too long for this model.",
                    slug="text-length",
                    seen=f"{len(tokens)} {'words' if self.words else 'characters'}: {text[:_SHOWN]!r}",
                    needed=f"at most {length}",
                    hint="Shorten it, or train a model for longer texts.",
                )
            row[: len(tokens)] = tokens
        return rows

    def decode(self, tokens: Tensor) -> str:
        """The text of tokens [T], up to the end."""
        symbols = []
        for token in tokens.tolist():
            if token == self.end:
                break
            symbols.append(self.symbols[token])
        return (" " if self.words else "").join(symbols)
