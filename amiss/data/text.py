"""`Text`: one long text, cut into rows that a model learns from, each known by its content."""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from amiss.data.guards import open_plain
from amiss.errors import DataError
from amiss.repro import digest

__all__ = ["BUILT_IN_TEXTS", "Text", "open_text"]

BUILT_IN_TEXTS = {"hello": "hello"}
"""Texts that need no file: the smallest example, in which what follows "l" depends on what stands before it."""

_MOST = 2**28  # bytes of a file
_TEST = 0.1  # share of a text, its end, that is for testing


@dataclass(frozen=True)
class Text:
    """A text and where it is from.

    Attributes:
        characters: The text.
        name: Of its file.
        classes: Names of labels, which all data that is trained on has; a text has none.
        alphabet: The characters of the whole text that it is a part of, sorted; empty: its own.
    """

    characters: str
    name: str = "text"
    classes: tuple[str, ...] = ()
    alphabet: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The characters that it may have, each once, sorted."""
        return self.alphabet or tuple(sorted(set(self.characters)))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the characters."""
        return digest(self.characters)

    def pick(self, part: slice) -> "Text":
        """A part of it."""
        return Text(self.characters[part], self.name, alphabet=self.alphabet)


def open_text(source: str | Path, *, split: str = "train", limit: int | None = None) -> Text:
    """Open a text file, or a built-in text.

    Args:
        source: "hello", or a file of UTF-8 text.
        split: "train" is the first 90 % of the characters and "test" the rest; "all" is both. The text "hello" is
            the same in all splits. All know the alphabet of the whole, so that a character which the last tenth
            alone has is a rare one, and no unknown one.
        limit: At most so many characters of the split.

    Raises:
        DataError: There is no such file, it is too large, or it is no text.
    """
    if str(source) in BUILT_IN_TEXTS:
        return Text(BUILT_IN_TEXTS[str(source)], str(source)).pick(slice(limit))
    path = Path(os.path.expanduser(source))  # as `open_data` does
    characters = _read(path)
    text = Text(characters, path.name, alphabet=tuple(sorted(set(characters))))
    cut = round(len(text) * (1 - _TEST))
    parts = {"train": slice(cut), "test": slice(cut, None), "all": slice(None)}
    if split not in parts:
        raise DataError(
            "A text has no such split.",
            slug="data-split",
            seen=split[:40],
            needed=", ".join(parts),
            hint="train is the first nine tenths, test the rest.",
        )
    return text.pick(parts[split]).pick(slice(limit))


def _read(path: Path) -> str:
    """The characters of a file; ends of lines are all one character."""
    try:
        with open_plain(path, sys.maxsize) as file:
            size = os.fstat(file.fileno()).st_size
            read = b"" if size > _MOST else file.read(_MOST + 1)  # it may have grown
        if max(size, len(read)) > _MOST:
            raise DataError(
                f"{path.name} is too large for a text.",
                slug="text-size",
                seen=f"{size:,} bytes",
                needed=f"at most {_MOST:,}",
                hint="Cut it into files, and train on one of them.",
            )
        text = read.decode("utf-8-sig")  # a mark of the order of bytes is no character of the text
    except OSError as error:
        raise DataError(
            "There is no such text.",
            slug="text-missing",
            seen=f"{path.name}: {error.strerror or error}",
            needed=f"a text file, or {' or '.join(BUILT_IN_TEXTS)}",
            hint="Check the path.",
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is no text.",
            slug="text-encoding",
            seen=f"byte {error.start:,} is not UTF-8",
            needed="a text file in UTF-8",
            hint="Save it as UTF-8; images and archives are data for other models.",
        ) from None
    if (zero := text.find("\0")) >= 0:
        raise DataError(
            f"{path.name} is no text.",
            slug="text-encoding",
            seen=f"character {zero:,} is a zero",
            needed="a text file in UTF-8",
            why="it is a file of numbers, or a text in UTF-16",
            hint="Save it as UTF-8; images and archives are data for other models.",
        )
    if not text:
        raise DataError(
            f"{path.name} is empty.",
            slug="text-empty",
            seen="0 characters",
            needed="a text",
            hint="Check that it was written.",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
