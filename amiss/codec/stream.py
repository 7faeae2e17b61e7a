"""Files of compressed images: a header, the prior and its tables, and the code of all images in one bitstream."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from amiss.codec.prior import LARGEST, prior_of, walk
from amiss.codec.rans import STATE_BYTES, Decoder, Whole, damaged, encode
from amiss.codec.tables import inflate, levels_of, pack, symbols_of, unpack, values_of
from amiss.data.guards import check_memory
from amiss.data.images import to_bytes
from amiss.errors import ContractError, DataError
from amiss.models.compression import ImageCodec
from amiss.repro import digest

__all__ = ["MAGIC", "Header", "decode_codes", "decode_images", "encode_images", "estimate", "quantize", "read_header"]

MAGIC = b"amiss\r\n\x1a"
"""What every file begins with, line ends that a text transfer would change among it."""

_VERSION = 1
_HEAD = struct.Struct("<8sH16sIHHHHHBHIII")
_STREAMS, _GROUP = 32, 1024  # interleaved streams; images that are coded side by side, unless they are large
_ROOM = 2**22  # numbers that are coded side by side
_MOST_IMAGES, _MOST_NUMBERS = 1_000_000, 2**28
_PER_BIT = 2**14  # no number of a code is likelier than its table allows, so a bit holds fewer of them than this


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        model: Beginning of the fingerprint of the codec that wrote it, as hexadecimal text.
        images: How many.
        channels: Channels of the images.
        size: Height and width in pixels.
        grid: Channels, rows and columns of the code of an image.
        rate: At which the images were encoded; 0 is the finest.
        streams: Interleaved streams.
        tables: Bytes of the prior and its tables.
        escapes: Bytes of numbers that are in no table.
        words: Bytes of the bitstream.
    """

    model: str
    images: int
    channels: int
    size: int
    grid: tuple[int, int, int]
    rate: int
    streams: int
    tables: int
    escapes: int
    words: int

    @property
    def total(self) -> int:
        """Bytes of the whole file."""
        return _HEAD.size + self.tables + self.escapes + self.streams * STATE_BYTES + self.words + 4


@torch.no_grad()
def quantize(model: ImageCodec, images: Tensor, rate: int) -> Tensor:
    """Whole numbers [n, channels, rows, columns], int32, of images [n, C, H, W], uint8.

    The finest of them are cut off where no file could hold them; no image of a trained codec comes near.
    """
    parts = [model.quantize(part.float() / 255, rate) for part in torch.split(images, _batch(model))]
    return torch.cat(parts).clamp(-LARGEST, LARGEST).to(torch.int32)


@torch.no_grad()
def estimate(model: ImageCodec, codes: Tensor, rate: int) -> float:
    """Bits of codes [n, channels, rows, columns] under the model's own prior, in floating point.

    This is what training minimizes. A file also holds the tables, and rounds them.
    """
    nats = sum(float(model.nats(part.float(), rate).double().sum()) for part in torch.split(codes, _batch(model)))
    return nats / float(np.log(2))


def encode_images(model: ImageCodec, images: Tensor, rate: int) -> bytes:
    """The bytes of a file that holds images.

    Args:
        model: The codec, in eval mode.
        images: [n, C, H, W], uint8, of the codec's size.
        rate: From 0, the finest.

    Raises:
        ContractError: The images are of another size.
        UsageError: There is no such rate.
        DataError: More images than a file holds.
    """
    if not 1 <= len(images) <= _MOST_IMAGES or len(images) * model.latent > _MOST_NUMBERS:
        raise DataError(
            "These are not as many images as one compressed file holds.",
            slug="codec-many",
            seen=f"{len(images)} images, {model.latent} numbers each",
            needed=f"1 to {min(_MOST_IMAGES, _MOST_NUMBERS // model.latent)} images",
            hint="Write several files: --limit.",
        )
    codes = quantize(model, images, rate)
    by_place = codes.permute(1, 2, 3, 0).numpy().astype(np.int64)
    prior = prior_of(model, rate)
    prior.active[:] = (by_place != 0).any((1, 2, 3))
    moved = np.zeros(model.grid[0], np.bool_)
    distances: list[Whole] = []
    levels: list[Whole] = []
    for low, count in _groups(len(images), model.latent):
        part = by_place[..., low : low + count]

        def look(c: int, i: int, j: int, mean: Whole, level: Whole, part: Whole = part) -> Whole:
            moved[c] |= bool(mean.any())
            distances.append(part[c, i, j] - mean)
            levels.append(level)
            return part[c, i, j]

        walk(prior, model.grid, count, look)
    prior.means[~moved] = 0  # where no mean was another than 0, weights say nothing
    tables = levels_of(np.concatenate(levels)) if levels else {}
    rows, freqs = symbols_of(tables)
    starts = np.cumsum(freqs, axis=1) - freqs
    reach = np.array([len(table) - 2 for _, table in sorted(tables.items())], np.int64)
    begin, often, escaped = [], [], [np.zeros(0, np.int64)]
    for distance, level in zip(distances, levels, strict=True):
        row = rows[level]
        far = np.abs(distance) > reach[row]
        symbol = np.where(far, 2 * reach[row] + 1, 2 * np.abs(distance) - (distance > 0))
        begin.append(starts[row, symbol])
        often.append(freqs[row, symbol])
        escaped.append(distance[far])
    streams = min(_STREAMS, len(images))
    states, words = encode(begin, often, streams)
    packed, escapes = pack(prior, tables), zlib.compress(np.concatenate(escaped).astype("<i4").tobytes(), 9)
    place = (model.channels, model.size, *model.grid, rate, streams)
    sizes = (len(packed), len(escapes), len(words))
    head = _HEAD.pack(MAGIC, _VERSION, bytes.fromhex(_fingerprint(model)), len(images), *place, *sizes)
    body = head + packed + escapes + states + words
    return body + struct.pack("<I", zlib.crc32(body))


def read_header(data: bytes) -> Header:
    """The header of a file, which is checked against its size and its checksum before anything is made of it.

    Raises:
        DataError: It is no such file, damaged, or from a later version.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise DataError(
            "This is no file of compressed images.",
            slug="codec-foreign",
            seen=f"a file that begins with {data[:8]!r}",
            needed="a file that amiss codec encode wrote",
            why="a text transfer that changed line ends" if data[:5] == MAGIC[:5] else "the name of another file",
            hint="Name the file that was given as --out.",
        )
    if len(data) < _HEAD.size + 4:
        raise damaged(f"{len(data)} bytes")
    _, version, model, images, channels, size, *rest = _HEAD.unpack_from(data)
    if version != _VERSION:
        raise DataError(
            "This file is of another version.",
            slug="codec-version",
            seen=f"version {version}",
            needed=f"version {_VERSION}",
            why="it was written by a later amiss, or is damaged",
            hint="Install the amiss that wrote it.",
        )
    code, height, width, rate, streams, tables, escapes, words = rest
    header = Header(model.hex(), images, channels, size, (code, height, width), rate, streams, tables, escapes, words)
    if header.total != len(data):
        raise damaged(f"{len(data)} bytes where the header names {header.total}")
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise damaged("a checksum that does not fit")
    return header


def decode_codes(model: ImageCodec, data: bytes) -> tuple[Tensor, Header]:
    """The whole numbers of a file, exactly as they were encoded, by whole numbers alone.

    Args:
        model: The codec that encoded them; of it only the fingerprint and the sizes are used.
        data: The file.

    Returns:
        Codes [n, channels, rows, columns], int32, and the header.

    Raises:
        DataError: It is no such file, or damaged.
        ContractError: Another codec wrote it.
    """
    header = read_header(data)
    _fits(model, header)
    at = _HEAD.size
    if not 1 <= header.images <= _MOST_IMAGES or header.images * model.latent > _MOST_NUMBERS:
        raise damaged(f"{header.images} images")
    check_memory(header.images, (header.channels, header.size, header.size))
    if header.words % 2 or not 1 <= header.streams <= header.images:
        raise damaged("sizes that cannot be")
    prior, tables = unpack(data[at : at + header.tables], header.grid[0])
    active = int(prior.active.sum())
    numbers = header.images * active * header.grid[1] * header.grid[2]
    if numbers > _PER_BIT * 8 * (header.words + STATE_BYTES * header.streams):
        raise damaged(f"{numbers} numbers in {header.words} bytes")
    at += header.tables
    raw = inflate(data[at : at + header.escapes], 4 * numbers)
    if len(raw) % 4:
        raise damaged("a part of another size")
    far = np.frombuffer(raw, "<i4").astype(np.int64)
    at += header.escapes
    states = data[at : at + header.streams * STATE_BYTES]
    rows, freqs = symbols_of(tables)
    last = np.array([2 * len(table) - 3 for _, table in sorted(tables.items())], np.int64)
    reader = Decoder(states, data[at + len(states) : -4], freqs)
    used = 0

    def read(_c: int, _i: int, _j: int, mean: Whole, level: Whole) -> Whole:
        nonlocal used
        row = rows[level]
        if (row < 0).any():
            raise damaged("a number without a table")
        symbol = reader.row(row)
        distance = values_of(symbol)
        beyond = np.flatnonzero(symbol == last[row])
        if used + len(beyond) > len(far):
            raise damaged("numbers that are missing")
        distance[beyond] = far[used : used + len(beyond)]
        used += len(beyond)
        value: Whole = mean + distance
        if (np.abs(value) > LARGEST).any():
            raise damaged("a number out of range")
        return value

    codes = torch.empty(header.images, *header.grid, dtype=torch.int32)
    for low, count in _groups(header.images, model.latent):
        part = walk(prior, header.grid, count, read)
        codes[low : low + count] = torch.from_numpy(part.transpose(3, 0, 1, 2).astype(np.int32))
    reader.end()
    if used != len(far):
        raise damaged("numbers that nothing asks for")
    return codes, header


@torch.no_grad()
def decode_images(model: ImageCodec, data: bytes) -> Tensor:
    """The images of a file [n, C, H, W], uint8: what the codec makes of its codes.

    Raises:
        DataError: It is no such file, or damaged.
        ContractError: Another codec wrote it.
    """
    codes, header = decode_codes(model, data)
    parts = [model.reconstruct(part.float(), header.rate) for part in torch.split(codes, _batch(model))]
    return torch.cat([to_bytes(part) for part in parts])


def _batch(model: ImageCodec) -> int:
    """Images that go through the nets at once."""
    return max(1, min(250, 2**20 // model.size**2))


def _groups(images: int, numbers: int) -> Iterator[tuple[int, int]]:
    """First image and number of images of each group that is coded side by side, for so many numbers an image."""
    group = max(1, min(_GROUP, _ROOM // numbers))
    for low in range(0, images, group):
        yield low, min(group, images - low)


def _fingerprint(model: ImageCodec) -> str:
    """Beginning of a digest of all weights: 16 bytes as hexadecimal text."""
    weights = model.state_dict()
    return digest(*(part for name in sorted(weights) for part in (name, weights[name])))[:32]


def _fits(model: ImageCodec, header: Header) -> None:
    own = (_fingerprint(model), model.channels, model.size, model.grid)
    said = (header.model, header.channels, header.size, header.grid)
    if own == said and header.rate < model.rates:
        return
    raise ContractError(
        "The file was encoded by another codec.",
        slug="codec-other",
        seen=f"codec {said[0][:12]} of {said[1]} x {said[2]} x {said[2]}, code {said[3]}",
        needed=f"codec {own[0][:12]} of {own[1]} x {own[2]} x {own[2]}, code {own[3]}",
        why="the codec was trained again: its weights are no part of the file",
        hint="Name the checkpoint that the images were encoded with.",
    )
