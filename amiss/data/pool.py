"""The files of a listing decoded side by side; one bad file costs itself and nothing else."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, TypeVar

import torch
from torch import Tensor

from amiss.data.files import check_shape, decode, peek
from amiss.data.folders import Listing
from amiss.data.guards import check_memory, readable, subset
from amiss.data.images import Images
from amiss.data.places import Place
from amiss.errors import DataError

__all__ = ["read_listing"]

T = TypeVar("T")


def read_listing(
    listing: Listing,
    *,
    size: int | None = None,
    channels: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Images:
    """Decode the files of a listing in a pool of threads.

    A file that cannot be read, or that is a link out of the folder, is set down in `unreadable`.

    Args:
        listing: The files.
        size: Side of the square wanted; None if all have one size.
        channels: 1, 3, or None: RGB if any image is, else grey.
        limit: At most so many files, a seeded subset, in order.
        seed: Of the subset.

    Raises:
        DataError: None can be read, they differ in size and no `size` is given, or they need over 4 GB.
    """
    check_shape(channels, size)
    names = [listing.names[i] for i in subset(len(listing.names), limit, seed)]
    bad = list(listing.strays)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:

        def each(read: Callable[[BinaryIO, str], T], files: Iterable[str]) -> Iterator[tuple[str, T]]:
            files = list(files)
            for name, answer in zip(files, pool.map(partial(_attempt, listing.place, read), files), strict=True):
                if isinstance(answer, DataError):
                    bad.append((name, f"{answer.what} ({answer.seen})" if answer.seen else answer.what))
                else:
                    yield name, answer

        headers = dict(each(peek, names))
        depth = channels or max((c for c, _, _ in headers.values()), default=1)
        # Cameras turn images, so a header says the two sides and not which is which.
        sides = {(max(h, w), min(h, w)): name for name, (_, h, w) in headers.items()}
        if size is None and len(sides) > 1:
            first, second, *_ = sides.items()
            raise _sizes_differ(first, second)
        check_memory(len(headers), (depth, size, size) if size else (depth, *next(iter(sides), (0, 0))))
        pixels, kept = _stack(each(partial(decode, channels=depth, size=size), headers), len(headers))
    lost = sorted((readable(name), readable(reason)) for name, reason in bad)
    if pixels is None:
        raise _none_readable(listing.place.name, lost)
    row = {name: i for i, name in enumerate(listing.names)}
    rows = [row[name] for name in kept]
    return Images.of(
        pixels,
        None if listing.labels is None else [listing.labels[i] for i in rows],
        [readable(name) for name in listing.classes],
        names=[readable(name) for name in kept],
        table={name: torch.tensor([column[i] for i in rows]) for name, column in listing.table.items()},
        unreadable=lost,
    )


def _attempt(place: Place, read: Callable[[BinaryIO, str], T], name: str) -> T | DataError:
    """Read one file of a place, or say why not."""
    try:
        with place.open(name) as file:
            return read(file, name.rpartition("/")[2])
    except DataError as error:
        return error


def _stack(images: Iterator[tuple[str, Tensor]], count: int) -> tuple[Tensor | None, list[str]]:
    """Images of one size as one tensor, each put in place as it comes: nothing is held twice."""
    pixels: Tensor | None = None
    kept: list[str] = []
    for name, image in images:
        if pixels is None:
            pixels = torch.empty((count, *image.shape), dtype=torch.uint8)
        elif image.shape != pixels.shape[1:]:
            raise _sizes_differ((tuple(pixels.shape[2:]), kept[0]), (tuple(image.shape[1:]), name))
        pixels[len(kept)] = image
        kept.append(name)
    return (None if pixels is None else pixels[: len(kept)]), kept


def _sizes_differ(first: tuple[tuple[int, ...], str], second: tuple[tuple[int, ...], str]) -> DataError:
    (one, first_name), (two, second_name) = first, second
    return DataError(
        "The images differ in size.",
        slug="data-sizes",
        seen=f"{' x '.join(map(str, one))} ({first_name}) and {' x '.join(map(str, two))} ({second_name})",
        needed="one size for all",
        hint=f"pass size={min(*one, *two)}, or the side that the classifier was trained on",
    )


def _none_readable(where: str, bad: list[tuple[str, str]]) -> DataError:
    name, reason = next(iter(bad), ("nothing", "no file"))
    return DataError(
        f"Not one image of {where} can be read.",
        slug="data-unreadable",
        seen=f"{len(bad)} refused; {name}: {reason}",
        needed="at least one whole PNG, JPEG, WebP, BMP or TIFF file",
        hint="open one of them in an image viewer",
    )
