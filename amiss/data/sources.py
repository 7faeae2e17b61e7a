"""`open_data`: one word or path in, `Images` out."""

import contextlib
import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from amiss.data.archives import open_archive
from amiss.data.arrays import conform, find_idx, open_digits, open_idx, open_npz
from amiss.data.attributes import join_table, labeled_by
from amiss.data.celeba import find_attributes, is_table
from amiss.data.files import check_shape
from amiss.data.folders import Listing, has_classes, list_classes, walk
from amiss.data.guards import subset
from amiss.data.images import Images
from amiss.data.labeled import find_table, list_table
from amiss.data.places import Folder, Place
from amiss.data.pool import read_listing
from amiss.data.strips import film_strips
from amiss.data.worlds.faces import open_faces
from amiss.data.worlds.scenes import open_scenes
from amiss.errors import DataError

__all__ = ["BUILT_IN", "open_data"]

BUILT_IN = ("digits", "faces", "scenes")
"""Sources that need no file; a folder of the same name is opened as "./digits"."""

_STRIPS = ("strips:cells", "strips:digit-movies")
_NEEDED = "a folder, a CSV, zip or npz file, " + " or ".join(f'"{name}"' for name in BUILT_IN)
_OTHERS = (".pt", ".pth", ".pkl", ".tar", ".tgz", ".gz", ".7z", ".rar")


def open_data(
    source: str | Path,
    *,
    split: str = "test",
    size: int | None = None,
    channels: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    label: str | None = None,
    table: str | Path | None = None,
    unlabeled: bool = False,
) -> Images:
    """Open a set of images.

    Args:
        source: One of
            "digits": scikit-learn's handwriting, 8x8 grey;
            "faces", "faces:rho=0.8,seed=1,plant=hair": the drawn world of `amiss.data.worlds.faces`;
            "scenes", "scenes:seed=1,n=500": drawn digits with a sentence each, the world of
                `amiss.data.worlds.scenes`;
            "strips:cells", "strips:digit-movies", "strips:FILE.npz": movies as strips of film, of what
                `amiss.data.sequence_sources.open_sequences` opens;
            a folder of idx files (the MNIST layout, gzipped or not);
            a folder of class folders, or of images without labels (`amiss.data.folders.list_classes`);
            a folder of images beside a CSV or TSV file, or that file (`amiss.data.labeled.list_table`);
            CelebA's folder, or its `list_attr_celeba` (`amiss.data.celeba.read_list`);
            a zip archive of either (`amiss.data.archives`), read without unpacking it to disk;
            an npz file of arrays (`amiss.data.arrays.open_npz`).
        split: "train", "val" or "test", where the source has splits.
        size: Side of the square wanted (short side scaled, center cut); None keeps the images' own.
        channels: 1 (grey), 3 (RGB), or None to keep what is there.
        limit: At most so many: a seeded subset, in order.
        seed: Of the subset.
        label: The column of labels, where they stand in a table; by default "label", "class" or "target". For
            "faces" one of their attributes.
        table: A CSV or TSV file of attributes, for images that have labels without it
            (`amiss.data.attributes.join_table`).
        unlabeled: Whether images without labels will do, where a table does not say which column holds them.

    Returns:
        The images. Files that could not be read are listed in `unreadable`.

    Raises:
        DataError: The source does not exist, is empty, does not fit together, or needs more than 4 GB.
    """
    check_shape(channels, size)
    word = source if isinstance(source, str) else ""
    path = Path(os.path.expanduser(source))  # where there is no such user, it stays as it is
    world = word.partition(":")[0]  # of a drawn world, options may follow
    strips = word.startswith("strips:")
    built_in = strips or word == "digits" or world in ("faces", "scenes")
    if not built_in:
        if source == "":  # as a path it would be the working folder
            raise _unnamed()
        if not os.path.exists(path):
            raise _missing(path)
        with _place(path) as place:
            if place is not None:
                listing = _listing(place, path, label, split, unlabeled)
                images = read_listing(listing, size=size, channels=channels, limit=limit, seed=seed)
                return images if table is None else _joined(images, Path(table), walk(place, place.top)[0])
    if label is not None and world != "faces":
        raise _no_table(word if built_in else path.name, label)
    if strips:
        images = conform(_strips(word.partition(":")[2], split, limit, seed), channels, size)
        return images if table is None else _joined(images, Path(table))
    if word == "digits":
        images = open_digits(split)
    elif world == "scenes":
        images = conform(open_scenes(word, split=split, size=size, limit=limit, seed=seed), channels, None)
        return images if table is None else _joined(images, Path(table))
    elif built_in:
        images = conform(open_faces(word, split=split, size=size, limit=limit, seed=seed), channels, None)
        images = images if label is None else labeled_by(images, label)
        return images if table is None else _joined(images, Path(table))
    elif path.is_dir():
        images = open_idx(find_idx(path), split)
    else:
        images = open_npz(path, split)
    images = images if table is None else _joined(images, Path(table))
    if limit is not None:
        images = images.pick(subset(len(images), limit, seed))
    return conform(images, channels, size)


def _strips(source: str, split: str, limit: int | None, seed: int) -> Images:
    """Movies as images; of a drawn world the same ones, whatever the seed of the subset."""
    from amiss.data.sequence_sources import open_sequences  # it opens images itself

    images = film_strips(open_sequences(source, split=split), prefix=split)
    return images if limit is None else images.pick(subset(len(images), limit, seed))


@contextlib.contextmanager
def _place(path: Path) -> Iterator[Place | None]:
    """The files that a source consists of; None where it holds arrays."""
    kind = path.suffix.lower()
    if path.is_dir():
        yield None if find_idx(path) else Folder(path)
    elif not path.is_file():
        raise _not_a_source(path)
    elif is_table(path.name):
        yield Folder(path.parent)
    elif kind == ".zip":
        with open_archive(path) as archive:
            yield archive
    elif kind == ".npz":
        yield None
    else:
        raise _not_a_source(path)


def _listing(place: Place, path: Path, label: str | None, split: str, unlabeled: bool) -> Listing:
    """The files of a place, with labels out of the table that is named, or that lies there, or out of folders."""
    if path.is_file() and is_table(path.name):
        return list_table(place, path.name, label=label, split=split, unlabeled=unlabeled)
    if label is not None or find_attributes(place) is not None or not has_classes(place):
        table = find_table(place)
        if table is not None:
            return list_table(place, table, label=label, split=split, unlabeled=unlabeled)
        if label is not None:
            raise _no_table(place.name, label)
    return list_classes(place, split)


def _joined(images: Images, path: Path, files: Sequence[str] | None = None) -> Images:
    """The images with what a table says of them beside their labels."""
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        raise _missing(path)
    if not is_table(path.name):
        raise _no_list(path)
    return join_table(images, Folder(path.parent), path.name, files)


def _no_list(path: Path) -> DataError:
    return DataError(
        f"{path.name} is no table of attributes.",
        slug="data-kind",
        seen=f"a file ending in {path.suffix or 'nothing'}",
        needed="a CSV or TSV file, or CelebA's list_attr_celeba.txt",
        hint="save it as CSV, with a column of file names",
    )


def _unnamed() -> DataError:
    return DataError(
        "No images were named.",
        slug="data-missing",
        seen="an empty word",
        needed=_NEEDED,
        why="a variable of the shell that holds nothing",
        hint="name the images; the working folder itself is '.'",
    )


def _missing(path: Path) -> DataError:
    parent = next(folder for folder in path.absolute().parents if os.path.isdir(folder))
    try:
        there = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        there = []
    lost = path.absolute().relative_to(parent).parts[0]
    movies = f"strips:{path}"
    close = [movies] if movies in _STRIPS else difflib.get_close_matches(lost, [*there, *BUILT_IN, *_STRIPS], n=3)
    return DataError(
        f"There is no {path}.",
        slug="data-missing",
        seen=f"{parent.name or parent} holds no {lost}",
        needed=_NEEDED,
        hint=f"did you mean {' or '.join(close)}?" if close else "look at the path",
    )


def _no_table(name: str, label: str) -> DataError:
    return DataError(
        f"{name} has no table to take labels from.",
        slug="data-no-table",
        seen=f"label={label!r}, and no CSV file",
        needed="a CSV file beside the images, with a row for each",
        hint="leave --label-column out, or pass the CSV file itself",
    )


def _not_a_source(path: Path) -> DataError:
    kind = path.suffix if path.is_file() else ""
    return DataError(
        f"{path.name} is not a kind of file that images are read from.",
        slug="data-kind",
        seen=f"a file ending in {kind or 'nothing'}",
        needed="a folder of images, a folder of idx files, a CSV, a zip or an npz file",
        why="other archives are not opened, and a pickle could run code" if kind in _OTHERS else "",
        hint="unpack it, and pass the folder",
    )
