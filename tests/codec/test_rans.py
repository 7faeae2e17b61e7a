"""The entropy coder: what goes in comes out, at the cost of its entropy, whatever the tables."""

import numpy as np
import pytest

from amiss.codec.rans import BITS, STATE_BYTES, Decoder, encode
from amiss.errors import DataError

ALL = 1 << BITS
TABLES = {
    "one symbol": [[ALL]],
    "one symbol that is nearly all": [[ALL - 1, 1], [1, ALL - 1]],
    "all symbols alike": [[1] * ALL],
    "a few, of every size": [[3, ALL - 10, 7, 0], [ALL // 2, ALL // 4, ALL // 8, ALL // 8]],
}


def drawn(freqs, rows, n, seed=0):
    """Rows of tables and of symbols, as often as the tables say."""
    rng = np.random.default_rng(seed)
    tables = rng.integers(0, len(freqs), (rows, n))
    symbols = np.array([[rng.choice(len(freqs[t]), p=freqs[t] / ALL) for t in row] for row in tables])
    return tables, symbols


def packed(freqs, tables, symbols, streams):
    starts = np.cumsum(freqs, axis=1) - freqs
    return encode(list(starts[tables, symbols]), list(freqs[tables, symbols]), streams)


@pytest.mark.parametrize("name", list(TABLES))
@pytest.mark.parametrize(("n", "streams"), [(1, 1), (7, 3), (8, 8), (5, 8)])
def test_symbols_come_back(name, n, streams):
    freqs = np.array(TABLES[name], np.int64)
    tables, symbols = drawn(freqs, 20, n)
    states, words = packed(freqs, tables, symbols, streams)
    assert len(states) == STATE_BYTES * streams
    reader = Decoder(states, words, freqs)
    assert [reader.row(row).tolist() for row in tables] == symbols.tolist()
    reader.end()


def test_a_symbol_costs_what_it_says():
    freqs = np.array([[ALL // 2, ALL // 4, ALL // 8, ALL // 8]], np.int64)
    tables, symbols = drawn(freqs, 500, 8)
    states, words = packed(freqs, tables, symbols, 4)
    ideal = -np.log2(freqs[0, symbols] / ALL).sum()
    assert ideal <= 8 * (len(states) + len(words)) <= ideal + 4 * 8 * STATE_BYTES + 64


def test_what_never_occurs_otherwise_is_free():
    freqs = np.array([[ALL]], np.int64)
    zeros = np.zeros((1000, 4), np.int64)
    assert packed(freqs, zeros, zeros, 4)[1] == b""


def test_a_stream_that_is_cut_or_too_long_or_changed_is_refused():
    freqs = np.array(TABLES["a few, of every size"], np.int64)
    tables, symbols = drawn(freqs, 50, 4)
    states, words = packed(freqs, tables, symbols, 4)

    def read(states, words):
        reader = Decoder(states, words, freqs)
        for row in tables:
            reader.row(row)
        reader.end()

    read(states, words)
    for bad in ((states, words[:-2]), (states, words + b"\0\0"), (states, words[2:]), (states[::-1], words)):
        with pytest.raises(DataError, match="codec-corrupt"):
            read(*bad)
