"""Image files to bytes and back: a careful decoder, a lossless and atomic writer, one rounding rule."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from amiss.data.guards import Metered, Room, open_plain
from amiss.disk import Disk
from amiss.errors import DataError

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "decode",
    "encode_png",
    "fit",
    "peek",
    "read_image",
    "to_bytes",
    "write_png",
]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""The only decoders that a file may reach, whatever its name says."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

MAX_PIXELS = 64 * 2**20
"""Larger images are refused by their header, before anything is decoded."""

MAX_SCANS = 50
"""A JPEG of more scans is refused: each goes over the whole image, and a hundred bytes make one more."""

_GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N")
_UNKNOWN_RANGE = ("I", "F")
_DECODING = Room(2 * MAX_PIXELS)  # a pixel that is decoded takes up to 16 bytes
_HEADER = threading.Lock()  # warning filters are global, so only one thread may set them at a time


def to_bytes(x: Tensor) -> Tensor:
    """Images in [0, 1] as uint8: round(255 x), the one rounding rule of the house.

    Args:
        x: Floats of any shape. What lies outside [0, 1] is clipped.
    """
    return (x.detach() * 255).round().clamp(0, 255).to(torch.uint8)


def read_image(path: Path | str, channels: int | None = None, size: int | None = None) -> Tensor:
    """Read one image file that may come from anyone.

    The camera's rotation is applied, transparency is laid on white, of an animation the first frame is taken,
    and 16 bits of grey are rounded to 8.

    Args:
        path: A PNG, JPEG, WebP, BMP or TIFF file, told by content.
        channels: 1 (grey) or 3 (RGB); None keeps grey as grey and makes all else RGB.
        size: Side of the square wanted: the short side is brought to `size` (bicubic, antialiased) and the
            center is cut out. None keeps the size.

    Returns:
        The image [C, H, W], uint8.

    Raises:
        DataError: The file cannot be read, is of another format, or is larger than 64 megapixels or 256 MB.
    """
    path = Path(path)
    try:
        with open_plain(path) as file:
            return decode(file, path.name, channels, size)
    except OSError as error:
        raise _unreadable(path.name, error.strerror or str(error)) from error


def decode(file: BinaryIO, name: str, channels: int | None = None, size: int | None = None) -> Tensor:
    """An image [C, H, W], uint8, out of an open file, as `read_image` gives it.

    Args:
        file: Its bytes; it can be sought in.
        name: What errors call it.
        channels: 1, 3 or None.
        size: Side of the square wanted, or None.

    Raises:
        DataError: As `read_image`.
    """
    check_shape(channels, size)
    with _opened(file, name) as image:
        if image.format in ("JPEG", "MPO"):
            _refuse_scans(file, name)
        if image.format != "PNG" or "exif" in image.info:  # of another PNG it would decode the pixels too
            with _quiet():
                image.getexif()
        with _DECODING.taken(image.width * image.height):
            return _tensor(fit(_plain(image), channels, size))


def peek(file: BinaryIO, name: str) -> tuple[int, int, int]:
    """Channels, height and width that the header claims, before any rotation; nothing is decoded.

    Raises:
        DataError: As `read_image`, as far as the header shows.
    """
    with _opened(file, name) as image:
        return (1 if _is_grey(image) else 3), image.height, image.width


def fit(image: Image.Image, channels: int | None = None, size: int | None = None) -> Image.Image:
    """Bring a grey or RGB image to the channels and the square size wanted; None leaves as is."""
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if size is None or image.size == (size, size):
        return image
    # Scaling only the center square equals scaling all and cutting, and cannot blow up a long thin image.
    short = min(image.size)
    left, top = (image.width - short) / 2, (image.height - short) / 2
    box = (left, top, left + short, top + short)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def write_png(path: Path | str, image: Tensor) -> None:
    """Write an image without loss, whole or not at all: a crash leaves the old file or none.

    Args:
        path: Where to.
        image: uint8 [C, H, W], C = 1 (grey) or 3 (RGB).

    Raises:
        DataError: `image` is not an image, or the file cannot be written.
    """
    Disk().write(Path(path), encode_png(image))


def encode_png(image: Tensor) -> bytes:
    """The bytes of a PNG of an image, uint8 [C, H, W], C = 1 (grey) or 3 (RGB).

    Raises:
        DataError: `image` is not an image.
    """
    if image.dtype != torch.uint8 or image.dim() != 3 or image.shape[0] not in (1, 3) or not image.numel():
        raise DataError(
            "This is not an image that a PNG can hold.",
            slug="data-pixels",
            seen=f"{image.dtype} of shape {tuple(image.shape)}",
            needed="uint8 [C, H, W] with C = 1 (grey) or 3 (RGB)",
            hint="amiss.data.to_bytes(x) makes bytes of floats in [0, 1]",
        )
    rows = image.detach().cpu().permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(rows[:, :, 0] if image.shape[0] == 1 else rows).save(buffer, format="PNG")
    return buffer.getvalue()


def check_shape(channels: int | None, size: int | None) -> None:
    """Refuse channels or a size that no image can have.

    Raises:
        DataError: `channels` is not 1, 3 or None, or `size` is not positive.
    """
    if channels not in (None, 1, 3):
        raise DataError(
            "Images have one channel or three.",
            slug="data-channels",
            seen=f"channels={channels}",
            needed="1 (grey), 3 (RGB), or None to keep what is there",
            hint="pass channels=1 or channels=3",
        )
    if size is not None and not (size >= 1 and size**2 <= MAX_PIXELS):
        raise DataError(
            "This is not a size that images can have.",
            slug="data-size",
            seen=f"size={size}",
            needed="a side of 1 to 8192 pixels",
            hint="pass the side that the classifier was trained on",
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Where headers are read: a file cannot fill the terminal with warnings, but one is heeded.

    Pillow warns at the size where it suspects a bomb, and only raises at twice that.
    """
    with _HEADER, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def _opened(file: BinaryIO, name: str) -> Iterator[Image.Image]:
    """Hand a file to the decoders allowed; whatever goes wrong within becomes one DataError."""
    try:
        metered = cast(IO[bytes], Metered(file))
        with _quiet():
            image = Image.open(metered, formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(name, f"{image.width} x {image.height} pixels")
        if image.mode in _UNKNOWN_RANGE:
            raise _unreadable(name, f"pixels of type {image.mode}, whose range no file states")
        with image:
            yield image
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except UnidentifiedImageError as error:
        raise _unreadable(name, "content of no known format") from error
    except Exception as error:  # a decoder fed with hostile bytes may raise anything; it costs one file
        seen = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unreadable(name, seen[:200] or type(error).__name__) from error


def _refuse_scans(file: BinaryIO, name: str) -> None:
    """Refuse a JPEG whose scans would take minutes. Within a scan, a byte ff is never followed by da."""
    at = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(at)
    if scans > MAX_SCANS:
        raise _unreadable(name, f"a JPEG of {scans} scans, where {MAX_SCANS} are the most that is decoded")


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY


def _plain(image: Image.Image) -> Image.Image:
    """Decode to upright, opaque, 8-bit grey or RGB."""
    grey = _is_grey(image)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))  # round(wide * 255 / 65535)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if grey else "RGB")


def _tensor(image: Image.Image) -> Tensor:
    """A grey or RGB image as uint8 [C, H, W]."""
    pixels = torch.from_numpy(np.array(image))
    return pixels.unsqueeze(0) if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()


def _unreadable(name: str, seen: str) -> DataError:
    return DataError(
        f"{name} cannot be read as an image.",
        slug="data-unreadable",
        seen=seen,
        needed="a whole PNG, JPEG, WebP, BMP or TIFF file",
        why="the file is cut off, damaged, or something else under an image's name",
        hint="open it in an image viewer; save it again, or take it away",
    )


def _too_large(name: str, seen: str) -> DataError:
    return DataError(
        f"{name} is too large an image.",
        slug="data-too-large",
        seen=seen,
        needed="at most 64 megapixels",
        why="a small file can claim a huge image to fill the memory of whoever opens it",
        hint="scale it down if it is yours; take it away if it is not",
    )
