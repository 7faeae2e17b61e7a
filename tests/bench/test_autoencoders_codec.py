"""The codec's bench: other codecs are judged fairly, by known answers, and the part has a quick form."""

import io
import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from amiss.bench.autoencoders import BENCH
from amiss.bench.autoencoders_codec import (
    _blocks,
    _images,
    column_bits,
    compress,
    jpeg_curves,
    pca_curves,
    scan_bytes,
)
from amiss.bench.bench import Run
from amiss.data import open_data

torch.set_num_threads(1)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_scans_of_a_jpeg_are_what_its_tables_and_markers_are_not(progressive):
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(file, "JPEG", progressive=progressive)
    data = file.getvalue()
    count = scan_bytes(data)
    # Tables and markers of a small file take several hundred bytes, and no scan holds a marker.
    assert len(data) - 1500 < count < len(data) - 300
    if not progressive:
        begin = data.index(b"\xff\xda") + 2
        begin += int.from_bytes(data[begin : begin + 2], "big")
        assert count == len(data) - 2 - begin


def test_numbers_cost_at_least_their_entropy_and_little_more():
    rng = np.random.default_rng(0)
    for column in (rng.integers(-3, 4, 5000), np.rint(rng.laplace(0, 2, 5000)).astype(int), rng.integers(0, 2, 5000)):
        counts = np.unique(column, return_counts=True)[1]
        entropy = -(counts * np.log2(counts / len(column))).sum()
        assert entropy < column_bits(column) < entropy + 18 + len(counts) * math.log2(5000)
    assert column_bits(np.zeros(100, np.int64)) == 1.0


def test_the_geometric_code_costs_what_its_distribution_says():
    # An adaptive code would have to learn thousands of numbers from a few hundred.
    column = np.rint(np.random.default_rng(0).laplace(0, 300, 400)).astype(np.int64)
    size = float(np.abs(column).mean())
    ratio = (math.sqrt(1 + size**2) - 1) / size
    mass = [(1 - ratio) / (1 + ratio) * ratio ** abs(x) for x in column.tolist()]
    assert column_bits(column) == pytest.approx(10 - sum(map(math.log2, mass)))


def test_blocks_come_back():
    images = torch.randint(0, 256, (3, 3, 16, 24), dtype=torch.uint8)
    blocks = _blocks(images, 8)
    assert blocks.shape == (3 * 6, 192)
    assert torch.equal(_images(blocks, images.shape, 8), images.float())
    assert torch.equal(blocks[0].view(3, 8, 8), images[0, :, :8, :8].float())


def test_other_codecs_keep_more_for_more_bits():
    images = open_data("digits", limit=60).pixels
    curves = jpeg_curves(images, (10, 50, 90)) + pca_curves(open_data("digits", split="train").pixels, images, (8,))
    for curve in curves:
        points = sorted(curve)
        assert all(a.psnr < b.psnr for a, b in pairwise(points))
    finest = max(curves[-1])
    least = 10 * math.log10(255**2 / (16**2 / 12 + 1 / 12))  # steps of 16, and then bytes
    assert least < finest.psnr < least + 5


def test_the_part_in_its_quick_form(tmp_path):
    run = Run(10, True, tmp_path)
    figures, told = compress(run)
    json.dumps(told)
    assert figures["codec_roundtrip"] == 1.0
    assert set(figures) <= set(BENCH.bars)
    sizes = [file["bytes"] for file in told["files"]]
    assert sizes == sorted(sizes, reverse=True)
    errors = [abs(file["bytes"] / file["likelihood"] - 1) for file in told["files"]]
    assert figures["codec_size_error"] == pytest.approx(max(errors))
    for name, figure in (("JPEG", "codec_rates_beating_jpeg"), ("PCA", "codec_rates_beating_pca")):
        won = [own > other for (_, own), other in zip(told["points"], told["others"][name], strict=True)]
        assert figures[figure] == sum(won)
    assert compress(run)[0] == figures  # from its file
    assert (tmp_path / "codec.svg").is_file() and (tmp_path / "codec.md").is_file()
