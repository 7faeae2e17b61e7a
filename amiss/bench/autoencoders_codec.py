"""The learned codec beside JPEG and beside principal components: files that come back exactly, at fewer bits."""

import io
import itertools
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.real_plants import cifar_sprites
from amiss.codec import decode_codes, decode_images, encode_images, estimate, quantize
from amiss.data import Images, open_data
from amiss.data.images import to_bytes
from amiss.disk import Disk
from amiss.models import ImageCodec
from amiss.training import load_model, train
from amiss.training.measures.rate_distortion import Curve, RatePoint, curve_at, rate_svg, rate_table
from amiss.training.presets.codec import codec_for

__all__ = ["column_bits", "compress", "jpeg_curves", "pca_curves", "scan_bytes"]

QUALITIES = (2, 3, 5, 7, 10, 13, 17, 22, 28, 35, 43, 52, 61, 70, 78, 85, 90, 94)
"""Of the JPEG files."""

STEPS = (16, 20, 25, 31, 39, 49, 61, 76, 95, 119, 149, 186)
"""Steps of quantization of principal components, in gray levels of 255."""


def compress(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Files of CIFAR-10's 1,000 test images by a codec that learned from its 10,000 training images, at each rate.

    A point of the codec is what a file takes on disk and what its decoded bytes are worth; it beats another codec
    where no setting of that, and no line between two, has as high a ratio at as many bits. Quick: scanned digits.
    """
    torch.set_num_threads(1)
    if run.quick:
        learned, asked = open_data("digits", split="train"), open_data("digits", limit=100)
    else:
        sprites = cifar_sprites(run.data("cifar10-sprites"))
        learned, asked = sprites.pick(slice(0, 10_000)), sprites.pick(slice(10_000, None))
    model, told = _codec(run, learned)
    exact, errors, own = [], [], []
    told |= {"images": len(asked), "files": []}
    for rate in range(model.rates):
        data = encode_images(model, asked.pixels, rate)
        wanted, (codes, header) = quantize(model, asked.pixels, rate), decode_codes(model, data)
        images = decode_images(model, data)
        with torch.no_grad():
            parts = [to_bytes(model.reconstruct(part.float(), rate)) for part in torch.split(wanted, 250)]
        exact.append(torch.equal(codes, wanted) and torch.equal(images, torch.cat(parts)))
        likelihood = estimate(model, wanted, rate) / 8
        errors.append(abs(len(data) - likelihood) / likelihood)
        own.append(_point(8 * len(data), images, asked.pixels))
        told["files"].append(
            {"bytes": len(data), "likelihood": likelihood, "tables": header.tables, "escapes": header.escapes}
        )
    others = {
        "JPEG": jpeg_curves(asked.pixels, QUALITIES[3::4] if run.quick else QUALITIES),
        "PCA": pca_curves(learned.pixels, asked.pixels, (8,) if run.quick else (8, 16, 32)),
    }
    table = rate_table(own, others)
    Disk().write(run.place / "codec.md", table.encode())
    drawn = {"learned": own} | {name: _hull(curves) for name, curves in others.items()}
    Disk().write(run.place / "codec.svg", rate_svg(drawn).encode())
    told |= {"points": [[p.bits_per_pixel, p.psnr] for p in own], "exact": exact}
    told["others"] = {
        name: [max(curve_at(curve, p.bits_per_pixel) for curve in curves) for p in own]
        for name, curves in others.items()
    }
    beaten = {
        name: sum(p.psnr > ratio for p, ratio in zip(own, told["others"][name], strict=True)) for name in others
    }
    return {
        "codec_roundtrip": float(all(exact)),
        "codec_size_error": max(errors),
        "codec_rates_beating_jpeg": float(beaten["JPEG"]),
        "codec_rates_beating_pca": float(beaten["PCA"]),
    }, told


def jpeg_curves(images: Tensor, qualities: tuple[int, ...] = QUALITIES) -> list[Curve]:
    """What JPEG does to images [n, C, H, W], uint8: full and halved color, in one scan and in several.

    Only the bytes of the scans are counted. Headers are left out, and the tables too, which are the best ones of
    each single image: a file of many images could not be smaller.
    """
    pictures = [Image.fromarray(x.squeeze(0).numpy() if len(x) == 1 else x.permute(1, 2, 0).numpy()) for x in images]
    curves: list[Curve] = []
    for subsampling, progressive in itertools.product((0, 2) if images.shape[1] == 3 else (0,), (False, True)):
        curve = []
        for quality in qualities:
            size, decoded = 0, []
            for picture in pictures:
                file = io.BytesIO()
                picture.save(
                    file, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive, optimize=True
                )
                size += scan_bytes(file.getvalue())
                decoded.append(torch.from_numpy(np.array(Image.open(file))).reshape(*images.shape[2:], -1))
            curve.append(_point(8 * size, torch.stack(decoded).permute(0, 3, 1, 2), images))
        curves.append(curve)
    return curves


def scan_bytes(file: bytes) -> int:
    """Bytes of the entropy-coded data of a JPEG file, without any marker and table."""
    at, count = 2, 0
    while file[at + 1] != 0xD9:
        kind, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4], "big")
        at += 2 + length
        if kind == 0xDA:  # a scan: data up to the next marker that is neither a stuffed byte nor a restart
            begin = at
            while not (file[at] == 0xFF and file[at + 1] != 0 and not 0xD0 <= file[at + 1] <= 0xD7):
                at += 1
            count += at - begin
    return count


def pca_curves(learned: Tensor, images: Tensor, sides: tuple[int, ...] = (8, 16, 32)) -> list[Curve]:
    """What principal components of blocks do to images [n, C, H, W], uint8, for each side of the blocks.

    Each component is rounded to multiples of one step and decoded to these times a factor, the best one for the
    training images. Components and factors are those of the training images, and not counted, like the weights of a
    codec. The numbers of a component take what the better of two ideal codes takes, see `column_bits`. Components
    that are 0 everywhere take one bit, so the steps choose how many there are.
    """
    curves: list[Curve] = []
    for side in sides:
        block = _blocks(learned[:: max(1, len(learned) * (32 // side) ** 2 // 40_000)], side)
        mean = block.mean(0)
        axes = torch.linalg.eigh((block - mean).T @ (block - mean))[1]
        fitted, known = (block - mean) @ axes, (_blocks(images, side) - mean) @ axes
        curve = []
        for step in STEPS:
            code, whole = (known / step).round(), (fitted / step).round()
            factor = (whole * fitted).sum(0) / whole.square().sum(0).clamp_min(1)
            bits = sum(column_bits(column) for column in code.T.long().numpy())
            back = to_bytes(_images((code * factor) @ axes.T + mean, images.shape, side) / 255)
            curve.append(_point(bits, back, images))
        curves.append(curve)
    return curves


def column_bits(column: NDArray[np.int64]) -> float:
    """Bits of whole numbers [n] in the better of two ideal codes; one more bit says which.

    The one adapts to how often each number between the least and the greatest has occurred so far; the ends take a
    byte each. The other knows the numbers as a geometric distribution on both sides of 0; its parameter takes a byte.

    References:
        Krichevsky and Trofimov 1981 (the adaptive code).
    """
    if not column.any():
        return 1.0
    n, counts = len(column), np.bincount(column - column.min())
    letters = len(counts) / 2
    adaptive = math.lgamma(n + letters) - math.lgamma(letters)
    adaptive -= sum(math.lgamma(count + 0.5) - math.lgamma(0.5) for count in counts[counts > 0].tolist())
    size = float(np.abs(column).mean())
    ratio = (math.sqrt(1 + size**2) - 1) / size  # the likeliest
    geometric = -n * (math.log((1 - ratio) / (1 + ratio)) + size * math.log(ratio))
    return 2.0 + min(16 + adaptive / math.log(2), 8 + geometric / math.log(2))


def _blocks(images: Tensor, side: int) -> Tensor:
    """Blocks [n * blocks, C * side**2] of images, float32, in gray levels."""
    cut = images.unfold(2, side, side).unfold(3, side, side)  # [n, C, rows, columns, side, side]
    return cut.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * side**2).float()


def _images(blocks: Tensor, shape: torch.Size, side: int) -> Tensor:
    """The images of `_blocks`."""
    n, channels, height, width = shape
    cut = blocks.reshape(n, height // side, width // side, channels, side, side)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(shape)


def _point(bits: float, decoded: Tensor, images: Tensor) -> RatePoint:
    error = float((decoded.double() - images).square().mean())
    return RatePoint(bits / images[:, 0].numel(), float(10 * np.log10(255**2 / error)))


def _hull(curves: list[Curve]) -> Curve:
    """The settings of any of the curves that none of fewer bits, and no line between two, is as good as."""
    points = [point for curve in curves for point in curve]
    return [
        p
        for p in points
        if all(curve_at(curve, p.bits_per_pixel) <= p.psnr for curve in curves)
        and not any(q.bits_per_pixel < p.bits_per_pixel and q.psnr >= p.psnr for q in points)
    ]


def _codec(run: Run, learned: Images) -> tuple[ImageCodec, dict[str, Any]]:
    """The codec of this seed, trained where its file is not there yet."""
    path = run.place / "codec.safetensors"
    if not path.is_file():
        train(codec_for(learned, seed=run.seed, epochs=1 if run.quick else None), learned).save(path)
    model, facts = load_model(path)
    assert isinstance(model, ImageCodec)  # noqa: S101
    return model, {"training": facts["training"]}
