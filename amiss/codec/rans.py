"""Entropy coding of whole numbers in a given table each: asymmetric numeral systems, several streams interleaved."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amiss.errors import DataError

__all__ = ["BITS", "STATE_BYTES", "Decoder", "encode"]

BITS = 15
"""Frequencies of a table sum to 2**BITS."""

STATE_BYTES = 5
"""Bytes that the end state of a stream takes."""

_LOW, _WORD = 24, 16  # between symbols a state is in [2**24, 2**40); words of 16 bits go in and out

Whole = NDArray[np.int64]


def encode(starts: Sequence[Whole], freqs: Sequence[Whole], streams: int) -> tuple[bytes, bytes]:
    """Encode rows of symbols.

    A row's symbol i goes to stream i mod `streams`. A stream is one whole number x: a symbol of frequency f and
    start s, out of 2**BITS, makes it (x div f) 2**BITS + (x mod f) + s, which adds log2(2**BITS / f) bits. Before it
    grows too large its lowest 16 bits are written out. What is encoded last is decoded first, so this works from the
    end to the beginning; all streams write to one sequence of words.

    Args:
        starts: For each row the sum of the frequencies before each symbol's own, in its table [n].
        freqs: For each row the frequency of each symbol [n], from 1 to 2**BITS.
        streams: How many.

    Returns:
        The end states, `STATE_BYTES` each, and the words.

    References:
        Duda 2013, section 3 (range variant); Giesen 2014 (interleaved streams).
    """
    state = np.full(streams, 1 << _LOW, np.int64)
    words: list[NDArray[np.uint16]] = []
    for start, freq in zip(starts[::-1], freqs[::-1], strict=True):
        n = len(start)
        for low in range((n - 1) // streams * streams, -1, -streams):
            s, f = start[low : low + streams], freq[low : low + streams]
            x = state[: len(s)]
            full = x >= f << (_LOW + _WORD - BITS)
            words.append((x[full] & 0xFFFF).astype(np.uint16))
            x = np.where(full, x >> _WORD, x)
            rest, low_bits = np.divmod(x, f)
            state[: len(s)] = (rest << BITS) + low_bits + s
    out = np.concatenate(words[::-1]) if words else np.zeros(0, np.uint16)
    wide = state.astype("<u8").view(np.uint8).reshape(streams, 8)
    return wide[:, :STATE_BYTES].tobytes(), out.astype("<u2").tobytes()


class Decoder:
    """The way back, row by row; the tables are given row by row too, so they may depend on what was decoded.

    Args:
        states: The end states.
        words: The words.
        freqs: Tables: frequencies [tables, symbols], each row from left to right summing to 2**BITS, 0 at its end.

    Raises:
        DataError: A state is out of range.
    """

    def __init__(self, states: bytes, words: bytes, freqs: Whole) -> None:
        wide = np.zeros((len(states) // STATE_BYTES, 8), np.uint8)
        wide[:, :STATE_BYTES] = np.frombuffer(states, np.uint8).reshape(-1, STATE_BYTES)
        self._state = wide.view("<u8").ravel().astype(np.int64)
        self._words = np.frombuffer(words, "<u2").astype(np.int64)
        self._at = 0
        self._freqs = freqs
        self._starts = np.cumsum(freqs, axis=1) - freqs
        # The symbol of each of the 2**BITS places of each table.
        self._symbols = np.zeros((len(freqs), 1 << BITS), np.int32)
        for row, table in enumerate(freqs):
            self._symbols[row] = np.repeat(np.arange(len(table)), table)
        if (self._state < 1 << _LOW).any() or (self._state >= 1 << (_LOW + _WORD)).any():
            raise damaged("a state out of range")

    def row(self, tables: Whole) -> Whole:
        """The next row of symbols [n], by the table of each [n].

        Raises:
            DataError: The words are at their end.
        """
        out = np.empty(len(tables), np.int64)
        streams = len(self._state)
        for low in range(0, len(tables), streams):
            table = tables[low : low + streams]
            x = self._state[: len(table)]
            place = x & ((1 << BITS) - 1)
            symbol = self._symbols[table, place]
            x = self._freqs[table, symbol] * (x >> BITS) + place - self._starts[table, symbol]
            empty = np.flatnonzero(x < 1 << _LOW)
            taken = self._words[self._at : self._at + len(empty)]
            if len(taken) < len(empty):
                raise damaged("the words end too early")
            x[empty] = (x[empty] << _WORD) | taken
            self._at += len(empty)
            self._state[: len(table)] = x
            out[low : low + streams] = symbol
        return out

    def end(self) -> None:
        """Check that all was read, and that each stream is where its encoder began.

        Raises:
            DataError: It is not.
        """
        if self._at != len(self._words) or (self._state != 1 << _LOW).any():
            raise damaged("numbers are left over behind the last image")


def damaged(seen: str) -> DataError:
    """What is said of a stream that no encoder of ours wrote."""
    return DataError(
        "The compressed file is damaged.",
        slug="codec-corrupt",
        seen=seen,
        needed="a whole file, as amiss codec encode wrote it",
        why="a copy that was cut short, or changed bytes",
        hint="Copy the file again, or encode the images again.",
    )
