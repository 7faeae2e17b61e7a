"""`open_data`: one word or path in, `Images` out."""

import difflib
from pathlib import Path

from amiss.data.arrays import conform, find_idx, open_digits, open_idx, open_npz
from amiss.data.files import check_shape
from amiss.data.folders import list_folder
from amiss.data.guards import subset
from amiss.data.images import Images
from amiss.data.pool import read_folder
from amiss.data.worlds.faces import open_faces
from amiss.errors import DataError

__all__ = ["BUILT_IN", "open_data"]

BUILT_IN = ("digits", "faces")
"""Sources that need no file; a folder of the same name is opened as "./digits"."""


def open_data(
    source: str | Path,
    *,
    split: str = "test",
    size: int | None = None,
    channels: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Images:
    """Open a set of images.

    Args:
        source: One of
            "digits": scikit-learn's handwriting, 8x8 grey;
            "faces", "faces:rho=0.8,seed=1,plant=hair": the drawn world of `amiss.data.worlds.faces`;
            a folder of idx files (the MNIST layout, gzipped or not);
            a folder of class folders, or of images without labels (`amiss.data.folders.list_folder`);
            an npz file of arrays (`amiss.data.arrays.open_npz`).
        split: "train", "val" or "test", where the source has splits.
        size: Side of the square wanted (short side scaled, center cut); None keeps the images' own.
        channels: 1 (grey), 3 (RGB), or None to keep what is there.
        limit: At most so many: a seeded subset, in order.
        seed: Of the subset.

    Returns:
        The images. Files that could not be read are listed in `unreadable`.

    Raises:
        DataError: The source does not exist, is empty, does not fit together, or needs more than 4 GB.
    """
    check_shape(channels, size)
    word = source if isinstance(source, str) else ""
    if word == "faces" or word.startswith("faces:"):
        return conform(open_faces(word, split=split, size=size, limit=limit, seed=seed), channels, None)
    if word == "digits":
        images = open_digits(split)
    else:
        path = Path(source).expanduser()
        if not path.exists():
            raise _missing(path)
        if path.is_dir():
            found = find_idx(path)
            if not found:
                return read_folder(list_folder(path, split), size=size, channels=channels, limit=limit, seed=seed)
            images = open_idx(found, split)
        elif path.suffix.lower() == ".npz":
            images = open_npz(path, split)
        else:
            raise _not_a_source(path)
    if limit is not None:
        images = images.pick(subset(len(images), limit, seed))
    return conform(images, channels, size)


def _missing(path: Path) -> DataError:
    parent = next(folder for folder in path.absolute().parents if folder.is_dir())
    try:
        there = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        there = []
    lost = path.absolute().relative_to(parent).parts[0]
    close = difflib.get_close_matches(lost, [*there, *BUILT_IN], n=3)
    return DataError(
        f"There is no {path}.",
        slug="data-missing",
        seen=f"{parent.name or parent} holds no {lost}",
        needed="a folder, an npz file, " + " or ".join(f'"{name}"' for name in BUILT_IN),
        hint=f"did you mean {' or '.join(close)}?" if close else "look at the path",
    )


def _not_a_source(path: Path) -> DataError:
    return DataError(
        f"{path.name} is not a kind of file that images are read from.",
        slug="data-kind",
        seen=f"a file ending in {path.suffix or 'nothing'}",
        needed="a folder of images, a folder of idx files, or an npz file",
        why="archives and pickles are not opened" if path.suffix in (".zip", ".pt", ".pth", ".pkl", ".tar") else "",
        hint="unpack it, and pass the folder",
    )
