"""Files of compressed images: exact, as small as the prior says, and refused when they are not what was written."""

import struct
import zlib

import pytest
import torch

from amiss.codec import decode_codes, decode_images, encode_images, estimate, quantize, read_header, stream
from amiss.data import open_data
from amiss.data.images import to_bytes
from amiss.errors import AmissError, ContractError, DataError, UsageError
from amiss.models import build
from amiss.training.presets.codec import codec_for

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits():
    return open_data("digits", split="train", limit=300)


@pytest.fixture(scope="module")
def model(digits):
    """What training begins with: a linear codec of digits."""
    preset = codec_for(digits, width=8)
    made = build(preset.model)
    made.load_state_dict(dict(preset.start), strict=False)
    return made.eval()


@pytest.fixture(scope="module")
def data(model, digits):
    return encode_images(model, digits.pixels[:40], 2)


def resealed(data):
    """With a checksum that fits: what only a forger makes."""
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


@pytest.mark.parametrize("rate", range(5))
@pytest.mark.parametrize("n", [1, 5, 100])
def test_codes_come_back_exactly(model, digits, n, rate):
    pixels = digits.pixels[:n]
    data = encode_images(model, pixels, rate)
    codes, header = decode_codes(model, data)
    wanted = quantize(model, pixels, rate)
    assert torch.equal(codes, wanted)
    assert (header.images, header.rate, header.total) == (n, rate, len(data))
    assert torch.equal(decode_images(model, data), to_bytes(model.reconstruct(wanted.float(), rate)))
    assert encode_images(model, pixels, rate) == data


def test_groups_and_streams_join_where_they_should(model, digits, monkeypatch):
    monkeypatch.setattr(stream, "_GROUP", 7)
    monkeypatch.setattr(stream, "_STREAMS", 3)
    codes, _ = decode_codes(model, encode_images(model, digits.pixels[:24], 0))
    assert torch.equal(codes, quantize(model, digits.pixels[:24], 0))


def test_noise_and_flat_images_and_numbers_out_of_every_table_come_back(model, digits):
    draw = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 256, (20, 1, 8, 8), generator=draw, dtype=torch.uint8)
    flat = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    for pixels in (noise, flat, flat + 255, torch.cat([flat, noise, digits.pixels[:20]])):
        for rate in (0, 4):
            assert torch.equal(
                decode_codes(model, encode_images(model, pixels, rate))[0], quantize(model, pixels, rate)
            )
    assert read_header(encode_images(model, noise, 0)).escapes > 0


def test_a_code_of_zeros_alone_comes_back(model, monkeypatch):
    monkeypatch.setattr(model, "quantize", lambda x, _: x.new_zeros(len(x), *model.grid))
    data = encode_images(model, torch.zeros(9, 1, 8, 8, dtype=torch.uint8), 1)
    codes, header = decode_codes(model, data)
    assert codes.shape == (9, *model.grid) and not codes.any()
    assert header.words == 0


def test_a_file_is_as_small_as_the_prior_says(model, digits):
    pixels = digits.pixels
    data = encode_images(model, pixels, 0)
    header, bits = read_header(data), estimate(model, quantize(model, pixels, 0), 0)
    assert abs(8 * header.words - bits) < 0.02 * bits
    assert len(data) < bits / 8 + 1500


def test_each_byte_counts(model, data):
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 16
        with pytest.raises(DataError, match="codec-"):
            decode_codes(model, bytes(changed))
    for length in range(0, len(data), 11):
        with pytest.raises(DataError, match="codec-"):
            decode_codes(model, data[:length])
    with pytest.raises(DataError, match="codec-corrupt"):
        decode_codes(model, data + b"\0")


def test_a_forged_file_ends_in_an_error_or_in_codes(model, data):
    draw = torch.Generator().manual_seed(0)
    slugs = []
    for _ in range(150):
        forged = bytearray(data)
        at = int(torch.randint(len(data) - 4, (), generator=draw))
        forged[at] ^= int(torch.randint(1, 256, (), generator=draw))
        try:
            codes, header = decode_codes(model, resealed(bytes(forged)))
        except AmissError as error:
            slugs.append(error.slug)
        else:
            assert codes.shape == (header.images, *model.grid)
    assert len(slugs) > 140
    assert set(slugs) <= {"codec-corrupt", "codec-other", "codec-foreign", "codec-version"}


@pytest.mark.parametrize("images", [0, 2**32 - 1, 1_000_000, 100_000])
def test_a_header_that_claims_more_than_the_file_holds_is_refused_at_once(model, data, images):
    at = 8 + 2 + 16
    forged = resealed(data[:at] + struct.pack("<I", images) + data[at + 4 :])
    with pytest.raises(DataError, match=r"codec-corrupt|data-memory"):
        decode_codes(model, forged)


def test_a_few_bytes_do_not_hold_a_million_images(model, digits):
    data = encode_images(model, digits.pixels[:1], 4)
    at = 8 + 2 + 16
    with pytest.raises(DataError, match=r"codec-corrupt.*\n.* numbers in "):
        decode_codes(model, resealed(data[:at] + struct.pack("<I", 1_000_000) + data[at + 4 :]))


def test_parts_that_do_not_fit_together_are_refused(model):
    noise = torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    data = encode_images(model, noise, 0)
    fields = list(stream._HEAD.unpack_from(data))
    header = read_header(data)
    first = stream._HEAD.size + header.tables  # where the escapes begin

    def forged(position, value, body):
        changed = [*fields[:position], value, *fields[position + 1 :]]
        return resealed(stream._HEAD.pack(*changed) + body + b"\0\0\0\0")

    body = data[stream._HEAD.size : -4]
    escapes, streams, version, tables = -2, -4, 1, -3
    before, after = data[stream._HEAD.size : first], data[first:-4]
    bad = [
        (forged(escapes, header.escapes - 4, before + after[4:]), "codec-corrupt"),
        (forged(escapes, header.escapes + 4, before + bytes(4) + after), "codec-corrupt"),
        (forged(escapes, header.escapes, before + b"\xff\xff\xff\x7f" + after[4:]), "codec-corrupt"),
        (forged(streams, 0, body[: -header.words - 5 * header.streams] + body[-header.words :]), "codec-corrupt"),
        (forged(version, 2, body), "codec-version"),
        (forged(tables, 0, after), "codec-corrupt"),
        (resealed(data[:20]), "codec-corrupt"),
    ]
    for data, slug in bad:
        with pytest.raises(DataError, match=slug):
            decode_codes(model, data)


def test_another_codec_does_not_read_the_file(model, data):
    other = build({"architecture": "ImageCodec", "arguments": {"channels": 1, "size": 8, "code": 64, "width": 8}})
    with pytest.raises(ContractError, match="codec-other"):
        decode_codes(other, data)


def test_what_is_no_file_of_ours_and_what_cannot_be_encoded(model, digits):
    with pytest.raises(DataError, match="codec-foreign"):
        read_header(b"GIF89a and more")
    with pytest.raises(DataError, match="codec-many"):
        encode_images(model, digits.pixels[:0], 0)
    with pytest.raises(UsageError, match="codec-rate"):
        encode_images(model, digits.pixels[:2], 5)
    with pytest.raises(ContractError, match="codec-shape"):
        encode_images(model, torch.zeros(2, 1, 9, 9, dtype=torch.uint8), 0)
