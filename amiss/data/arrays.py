"""Images that come as arrays: idx files (the MNIST layout), npz files, and scikit-learn's digits."""

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from amiss.data.files import fit
from amiss.data.guards import check_memory, check_split
from amiss.data.images import Images
from amiss.data.npz import open_arrays
from amiss.errors import DataError
from amiss.repro import digest

__all__ = ["conform", "find_idx", "open_digits", "open_idx", "open_npz"]

_STEP = 2**20
_IDX = re.compile(r"(?:.*[-_])?(train|t10k|test)[-_]images[-.]idx3[-.]ubyte(\.gz)?")


def conform(images: Images, channels: int | None, size: int | None) -> Images:
    """Bring images that are in memory to the channels and size wanted, as `read_image` does for files."""
    n, have, height, width = images.pixels.shape
    goal = (channels or have, size or height, size or width)
    if goal == (have, height, width):
        return images
    check_memory(n, goal)
    pixels = torch.empty((n, *goal), dtype=torch.uint8)
    for row, image in zip(pixels, images.pixels, strict=True):
        picture = Image.fromarray(image[0].numpy() if have == 1 else image.permute(1, 2, 0).contiguous().numpy())
        array = torch.from_numpy(np.array(fit(picture, channels, size)))
        row.copy_(array if array.dim() == 2 else array.permute(2, 0, 1))
    return Images.of(
        pixels,
        images.labels,
        images.classes,
        names=images.names,
        table=images.table,
        unreadable=images.unreadable,
        captions=images.captions,
    )


def open_digits(split: str) -> Images:
    """Scikit-learn's 1,797 handwritten digits, 8x8: 1,200 to train on, 597 to test.

    The split is stratified and fixed: within each class images are ordered by their digest.

    References:
        Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    from sklearn.datasets import load_digits

    split = check_split(split, ("train", "test"), "digits")
    data = load_digits()
    pixels = torch.from_numpy(np.round(data.images / 16 * 255).astype(np.uint8))[:, None]
    labels = torch.from_numpy(data.target.astype(np.int64))
    ids = [digest(image) for image in pixels]
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in range(10):
        rows = (labels == label).nonzero()[:, 0].tolist()
        rows.sort(key=ids.__getitem__)
        place[rows] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    order = sorted(range(len(ids)), key=lambda i: (float(place[i]), ids[i]))
    rows = sorted(order[:1200] if split == "train" else order[1200:])
    names = [f"{split}/{i:05d}" for i in rows]
    return Images.of(pixels[rows], labels[rows], [str(i) for i in range(10)], names=names)


def find_idx(folder: Path) -> dict[str, Path]:
    """The idx image files of a folder, or of its sub-folder `raw`, by split."""
    for place in (folder / "raw", folder):
        found = {}
        names = sorted(os.listdir(place), reverse=True) if os.access(place, os.R_OK | os.X_OK) else []
        for name in names:
            match = _IDX.fullmatch(name)
            if match and (place / name).is_file():  # a pipe would be waited on for ever
                found["train" if match[1] == "train" else "test"] = place / name
        if found:
            return found
    return {}


def open_idx(found: dict[str, Path], split: str) -> Images:
    """Read one split of idx files: images and, beside them, labels.

    Args:
        found: What `find_idx` gave.
        split: "train" or "test".

    Raises:
        DataError: The split, or its labels, are not there, or a file is not whole.

    References:
        LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998 (the idx format).
    """
    path = found[check_split(split, tuple(found), next(iter(found.values())).parent.name)]
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    options = [beside, beside.with_suffix("") if beside.suffix == ".gz" else Path(f"{beside}.gz")]
    labeled = next((option for option in options if option.is_file()), None)
    pixels = _read_idx(path, 3)[:, None]
    labels = None if labeled is None else _read_idx(labeled, 1)
    return _named(Images.of(pixels, labels), split)


def open_npz(path: Path, split: str) -> Images:
    """Read arrays of an npz file; pickled objects are refused.

    Images are an array "x" or "images", labels "y" or "labels" (optional); a file that holds more than one
    split says "x_train" or "train_images". An array "classes" of strings may name the labels.

    Args:
        path: The file. Images are [n, H, W], [n, C, H, W] or [n, H, W, C], uint8 or floats in [0, 1].
        split: Which split, where the file tells them apart.

    Raises:
        DataError: The file is damaged, holds no such arrays, or they are not images and labels.
    """
    with open_arrays(path) as file:
        images, labels = _pair(file.names, split, path.name)
        pixels = _channel_first(_bytes(_numeric(file.read(images), "images")))
        label = None if labels is None else _labels(file.read(labels))
        classes = file.classes()
    return _named(Images.of(pixels, label, classes), split)


def _named(images: Images, split: str) -> Images:
    """Number the images, now that it is known that there are pixels, and so not more images than bytes."""
    return replace(images, names=tuple(f"{split}/{i:05d}" for i in range(len(images))))


def _read_idx(path: Path, dims: int) -> Tensor:
    """An idx file of bytes as a tensor of `dims` dimensions."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse_idx(file.read, path.name, dims)
    except (OSError, EOFError, zlib.error) as error:
        raise _broken_idx(path.name, str(error)) from error


def _parse_idx(read: Callable[[int], bytes], name: str, dims: int) -> Tensor:
    head = read(4)
    if head != bytes([0, 0, 8, dims]):
        raise _broken_idx(name, f"the file begins with {head.hex(' ') or 'nothing'}")
    sizes = read(4 * dims)
    if len(sizes) < 4 * dims:
        raise _broken_idx(name, "the header is cut off")
    shape = struct.unpack(f">{dims}I", sizes)
    check_memory(1, shape)
    count = math.prod(shape)
    if not count:
        raise _broken_idx(name, f"nothing, as an array of {' x '.join(map(str, shape))}")
    # One byte more than is needed shows whether there is too much.
    body = read(count + 1)
    if len(body) != count:
        have = f"{len(body)} bytes" if len(body) < count else f"more than {count} bytes"
        raise _broken_idx(name, f"{have} for an array of {' x '.join(map(str, shape))}")
    return torch.frombuffer(bytearray(body), dtype=torch.uint8).reshape(shape)


def _broken_idx(name: str, seen: str) -> DataError:
    return DataError(
        f"{name} is not a whole idx file.",
        slug="data-idx",
        seen=seen,
        needed="bytes 00 00 08, the number of dimensions, their sizes, and as many bytes as they say",
        why="the download broke off, or the file is of another kind",
        hint="fetch the file again",
    )


def _pair(files: Sequence[str], split: str, name: str) -> tuple[str, str | None]:
    """Names of the arrays of images and labels."""
    options = [
        (f"x_{split}", f"y_{split}"),
        (f"{split}_images", f"{split}_labels"),
        ("x", "y"),
        ("images", "labels"),
    ]
    for images, labels in options:
        if images in files:
            return images, labels if labels in files else None
    raise DataError(
        f"{name} holds no images of split {split!r}.",
        slug="data-npz",
        seen=f"arrays {', '.join(files) or '(none)'}",
        needed=f"x and y, images and labels, or x_{split} and y_{split}",
        hint="write it with numpy.savez(path, x=images, y=labels), or pass another split",
    )


def _numeric(array: np.ndarray, what: str) -> np.ndarray:
    if array.dtype.kind not in "uif":
        raise _not_images(f"{what} of type {array.dtype}")
    return array


def _labels(y: np.ndarray) -> Tensor:
    """Labels in native byte order, and of a type that torch has; it is not here that fractions are refused."""
    y = _numeric(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y, "labels")
    return torch.from_numpy(y.astype(np.float64 if y.dtype.kind == "f" else np.int64))


def _bytes(x: np.ndarray) -> np.ndarray:
    """Images as uint8, whatever of the two conventions they follow."""
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    top = 1 if x.dtype.kind == "f" else 255
    if not (low >= 0 and high <= top):
        raise _not_images(f"{x.dtype} from {low:g} to {high:g}")
    flat, out = x.reshape(-1), np.empty(x.size, dtype=np.uint8)
    for start in range(0, x.size, _STEP):  # in steps: a product of all would need the memory of all once more
        part = slice(start, start + _STEP)
        out[part] = np.round(flat[part] * (255 / top))
    return out.reshape(x.shape)


def _channel_first(x: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(x)
    if x.ndim == 3:
        return pixels[:, None]
    if x.ndim == 4 and x.shape[1] in (1, 3):
        return pixels
    if x.ndim == 4 and x.shape[3] in (1, 3):
        return pixels.permute(0, 3, 1, 2).contiguous()
    raise _not_images(f"an array of {' x '.join(map(str, x.shape))}")


def _not_images(seen: str) -> DataError:
    return DataError(
        "These arrays are not images and labels.",
        slug="data-array",
        seen=seen,
        needed="images [n, H, W], [n, C, H, W] or [n, H, W, C] with C = 1 or 3, uint8 or floats in [0, 1]; "
        "labels of whole numbers",
        why="images were normalized before they were saved, or carry another number of channels",
        hint="save the raw images, before any normalization",
    )
