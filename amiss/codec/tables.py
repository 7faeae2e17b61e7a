"""Tables of frequencies, one a level of scale, and the bytes that they and the prior take in a file."""

import struct
import zlib

import numpy as np

from amiss.codec.prior import EDGES, WEIGHTS, Prior, scale_of
from amiss.codec.rans import BITS, Whole, damaged
from amiss.models.compression import FEATURES

__all__ = ["Tables", "inflate", "levels_of", "pack", "symbols_of", "table_of", "unpack", "values_of"]

Tables = dict[int, Whole]
"""For each level that occurs the frequencies of 0, of 1 and -1 each, of 2 and -2 each, ..., and of an escape."""

_TAIL = 2.0**-11  # what lies farther out than a table goes is an escape this often
_LEAST, _WIDEST = 2, 4096  # pairs of a table
_FIXED = 1 << BITS


def table_of(scale: float) -> Whole:
    """Frequencies of a logistic distribution around 0, rounded to whole numbers.

    Args:
        scale: Of the distribution.

    Returns:
        [m + 2]: of 0, of each of the pairs +-1 to +-m, and of everything beyond; each at least 1, and with pairs
        counted twice they sum to 2**BITS.
    """
    m = int(np.clip(np.ceil(scale * np.log(2 / _TAIL) - 0.5), _LEAST, _WIDEST))
    edges = (np.arange(m + 1) + 0.5) / scale
    # Mass between the edges of one side, and of both sides beyond the last.
    below = 1 / (1 + np.exp(np.minimum(edges, 700)))
    rest = _FIXED - (2 * m + 2)  # everything has a frequency of 1, and its share of the rest
    sums = np.floor(rest * (below[0] - below) + 0.5).astype(np.int64)
    pairs = 1 + np.diff(sums)
    beyond = 1 + int(rest * 2 * below[-1])
    return np.array([_FIXED - 2 * pairs.sum() - beyond, *pairs, beyond], np.int64)


def levels_of(levels: Whole) -> Tables:
    """The tables of the levels that occur."""
    return {int(level): table_of(scale_of(int(level))) for level in np.unique(levels)}


def symbols_of(tables: Tables) -> tuple[Whole, Whole]:
    """Tables as an entropy coder reads them.

    Returns:
        The row of each level [levels], -1 for those without, and the frequencies of the symbols 0, +1, -1, +2, ...,
        and the escape, which is the last of a table [tables, symbols], filled up with 0.
    """
    wide = max(2 * len(t) - 2 for t in tables.values()) if tables else 2
    rows, freqs = np.full(len(EDGES), -1), np.zeros((len(tables), wide), np.int64)
    for row, (level, table) in enumerate(sorted(tables.items())):
        rows[level] = row
        freqs[row, : 2 * len(table) - 2] = [table[0], *np.repeat(table[1:-1], 2), table[-1]]
    return rows, freqs


def values_of(symbols: Whole) -> Whole:
    """The distance from the mean that a symbol stands for, where it is no escape."""
    half = (symbols + 1) // 2
    out: Whole = np.where(symbols % 2 == 1, half, -half)
    return out


def pack(prior: Prior, tables: Tables) -> bytes:
    """The bytes of a prior and its tables; channels that are 0 everywhere take a bit each."""
    parts = [
        np.packbits(prior.active).tobytes(),
        prior.scales[prior.active].T.tobytes(),
        prior.means[prior.active].T.tobytes(),
        bytes([len(tables)]),
    ]
    for level, table in sorted(tables.items()):
        parts.append(struct.pack("<BH", level, len(table) - 2))
    # All low bytes and then all high bytes, which are nearly all 0.
    numbers = np.concatenate([np.zeros(0, np.int64), *(table[1:] for _, table in sorted(tables.items()))])
    parts += [(numbers % 256).astype(np.uint8).tobytes(), (numbers // 256).astype(np.uint8).tobytes()]
    return zlib.compress(b"".join(parts), 9)


def inflate(data: bytes, most: int) -> bytes:
    """What zlib packed, where that is no more than so many bytes.

    Raises:
        DataError: It is more, or the bytes are of another form.
    """
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(data, most + 1)
    except zlib.error as error:
        raise damaged(f"a part that cannot be unpacked: {error}") from error
    if len(raw) > most or not reader.eof or reader.unused_data:
        raise damaged("a part of another size")
    return raw


def unpack(data: bytes, channels: int) -> tuple[Prior, Tables]:
    """What `pack` packed, for a code of so many channels.

    Raises:
        DataError: The bytes are of another form, or a table is none.
    """
    most = channels * (FEATURES + 5) + 1 + len(EDGES) * (3 + 2 * (_WIDEST + 1))
    raw = inflate(data, most)
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        if at > len(raw):
            raise damaged("tables that end too early")
        return raw[at - count : at]

    bits = np.frombuffer(take(-(-channels // 8)), np.uint8)
    active = np.unpackbits(bits, count=channels).astype(np.bool_)
    coded = int(active.sum())
    scales, means = np.zeros((channels, FEATURES), np.uint8), np.zeros((channels, 4), np.int8)
    scales[active] = np.frombuffer(take(coded * FEATURES), np.uint8).reshape(FEATURES, coded).T
    means[active] = np.frombuffer(take(coded * 4), np.int8).reshape(4, coded).T
    if (scales >= len(WEIGHTS)).any():
        raise damaged("a weight that there is not")
    widths: dict[int, int] = {}
    for _ in range(take(1)[0]):
        level, m = struct.unpack("<BH", take(3))
        if level >= len(EDGES) or level in widths or not 1 <= m <= _WIDEST:
            raise damaged("a table that there is not")
        widths[level] = m + 1
    count = sum(widths.values())
    low, high = (np.frombuffer(take(count), np.uint8).astype(np.int64) for _ in range(2))
    ends = np.cumsum(list(widths.values()))[:-1]
    tables = {level: _table(part) for level, part in zip(widths, np.split(low + 256 * high, ends), strict=False)}
    if at != len(raw):
        raise damaged("bytes behind the tables")
    return Prior(active, scales, means), tables


def _table(stored: Whole) -> Whole:
    """A whole table, from all of it but the frequency of 0."""
    first = _FIXED - 2 * int(stored[:-1].sum()) - int(stored[-1])
    if first < 1 or (stored < 1).any():
        raise damaged("frequencies that do not sum to what they should")
    return np.array([first, *stored], np.int64)
