"""Sentences of drawn worlds: what one says is known label by label, and each label can be read off it."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amiss.errors import DataError

__all__ = ["FACES", "SCENES", "Grammar", "grammar_of", "words_of"]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LAYOUTS = ("middle", "left", "right", "top", "bottom", "above", "beside")
_SMALL, _LARGE = ("", "small", "little"), ("large", "big")
_PLACES = ("in the middle", "on the left", "on the right", "at the top", "at the bottom")
_RELATIONS = (("above", "below"), ("left of", "right of"))  # of the first to the second, and the other way
_MOST = 64  # words that a sentence may have: it may come from a stranger
_SHOWN = 60


def words_of(caption: str) -> list[str]:
    """The words of a sentence, in small letters; marks and spaces only part them."""
    return re.findall(r"[^\W_]+", caption[: 20 * _MOST].lower())


@dataclass(frozen=True)
class Grammar:
    """A closed set of sentences, each of which means one row of labels.

    Attributes:
        name: Of the world.
        columns: What the labels are of, in order.
        values: Names of each column's labels, in the order of their numbers.
        words: Every word of every sentence, sorted.
        wordings: All sentences that mean a row of labels, the plain one first; none where they contradict each other.
        parsed: The labels that a list of known words means; None where it is no sentence.
        example: A sentence.
    """

    name: str
    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    wordings: Callable[[Sequence[int]], list[str]]
    parsed: Callable[[list[str]], tuple[int, ...] | None]
    example: str

    def means(self, labels: Sequence[int]) -> bool:
        """Whether a sentence of this world means these labels."""
        ranges = len(labels) == len(self.columns) and all(
            0 <= label < len(names) for label, names in zip(labels, self.values, strict=True)
        )
        return ranges and bool(self.wordings(labels))

    def say(self, labels: Sequence[int], way: float = 0.0) -> str:
        """A sentence that means these labels.

        Args:
            labels: One number a column, of which `means` is true.
            way: Which of its wordings, in [0, 1); 0 is the plain one.
        """
        wordings = self.wordings(labels)
        return wordings[int(way * len(wordings))]

    def read(self, caption: str) -> tuple[int, ...]:
        """The labels that a sentence means.

        Raises:
            DataError: A word is unknown, or the words make no sentence of this world.
        """
        words = words_of(caption)
        known = frozenset(self.words)
        unknown = next((word for word in words if word not in known), None)
        if unknown is not None:
            near = difflib.get_close_matches(unknown[:_SHOWN], self.words, n=3)
            raise DataError(
                f"The captions of {self.name} have no word {unknown[:_SHOWN]!r}.",
                slug="caption-word",
                seen=repr(caption[:_SHOWN]),
                needed=f"words such as {', '.join(near or self.words[:6])}",
                hint=f"did you mean {' or '.join(near)}?" if near else f"write, for instance: {self.example}",
            )
        labels = self.parsed(words) if words and len(words) <= _MOST else None
        if labels is None:
            raise DataError(
                f"This is no caption of {self.name}.",
                slug="caption-grammar",
                seen=repr(caption[:_SHOWN]),
                needed="a sentence that tells all there is to tell",
                hint=f"write, for instance: {self.example}",
            )
        return labels


def _thing(digit: int, large: int) -> list[str]:
    """What a digit may be called, the plain name first."""
    named = [" ".join(filter(None, (size, DIGITS[digit]))) for size in (_LARGE if large else _SMALL)]
    return [f"{'an' if name.startswith('e') else 'a'} {name}" for name in named]


def _scene_wordings(labels: Sequence[int]) -> list[str]:
    layout, digit, large, other, larger = labels
    alone = layout < len(_PLACES)
    if alone != (other == len(DIGITS)) or alone != (larger == 2):
        return []
    firsts = _thing(digit, large)
    if alone:
        return [f"{first} {_PLACES[layout]}" for first in firsts]
    there, back = _RELATIONS[layout - len(_PLACES)]
    seconds = _thing(other, larger)
    forward = [f"{first} {there} {second}" for first in firsts for second in seconds]
    return forward + [f"{second} {back} {first}" for first in firsts for second in seconds]


def _scene_parsed(words: list[str]) -> tuple[int, ...] | None:
    first, rest = _thing_parsed(words)
    if first is None:
        return None
    place = " ".join(rest)
    if place in _PLACES or not place:
        return (_PLACES.index(place) if place else 0, *first, 10, 2)
    for i, relations in enumerate(_RELATIONS):
        for turned, relation in enumerate(relations):
            if place.startswith(f"{relation} "):
                second, rest = _thing_parsed(rest[len(relation.split()) :])
                if second is None or rest:
                    return None
                pair = (*second, *first) if turned else (*first, *second)
                return (len(_PLACES) + i, *pair)
    return None


def _thing_parsed(words: list[str]) -> tuple[tuple[int, int] | None, list[str]]:
    """Digit and size that the first words name, and the words after them."""
    if not words or words[0] not in ("a", "an"):
        return None, words
    sized = len(words) > 1 and words[1] in _SMALL + _LARGE
    rest = words[2 if sized else 1 :]
    if not rest or rest[0] not in DIGITS:
        return None, words
    return (DIGITS.index(rest[0]), int(sized and words[1] in _LARGE)), rest[1:]


def _words(*parts: str) -> tuple[str, ...]:
    return tuple(sorted({word for part in parts for word in part.split()}))


SCENES = Grammar(
    "scenes",
    ("layout", "first", "first_large", "second", "second_large"),
    (LAYOUTS, DIGITS, ("small", "large"), (*DIGITS, "none"), ("small", "large", "none")),
    _words("a an", *DIGITS, *_SMALL, *_LARGE, *_PLACES, *(text for pair in _RELATIONS for text in pair)),
    _scene_wordings,
    _scene_parsed,
    "a two above a large seven",
)
"""One or two digits: of a pair the first is the upper one ("above") or the left one ("beside")."""


_PARTS = (("glasses", "round glasses"), ("earrings",), ("a mustache",), ("a beard",))
_HAIR = ("short hair", "long hair")


def _face_wordings(labels: Sequence[int]) -> list[str]:
    hair, *there = labels
    said = [(part[0], bool(on)) for part, on in zip(_PARTS, there, strict=True)]
    yes = [text for text, on in said if on]
    no = [f"no {text.removeprefix('a ')}" for text, on in said if not on]
    full = [text if on else f"no {text.removeprefix('a ')}" for text, on in said]
    ways = [[_HAIR[hair], *yes], [_HAIR[hair], *full], [*yes, _HAIR[hair]], [_HAIR[hair], *yes, *no]]
    sentences = [", ".join(way) for way in ways]
    sentences += [text.replace("glasses", "round glasses", 1) for text in sentences if there[0]]
    return sentences + [f"a face with {text}" for text in sentences]


def _face_parsed(words: list[str]) -> tuple[int, ...] | None:
    text = " ".join(words).removeprefix("a face with ")
    labels = [-1] * (1 + len(_PARTS))
    items = [(option, i, 1) for i, part in enumerate(_PARTS, 1) for option in part]
    items += [(f"no {option.removeprefix('a ')}", i, 0) for option, i, _ in items]
    items += [(f"without {option.removeprefix('no ')}", i, 0) for option, i, on in items if not on]
    items += [(hair, 0, i) for i, hair in enumerate(_HAIR)]
    while text:
        found = next(((option, i, on) for option, i, on in items if f"{text} ".startswith(f"{option} ")), None)
        if found is None or labels[found[1]] >= 0:
            return None  # words that are no part of a face, or a part that is told twice
        labels[found[1]] = found[2]
        text = text[len(found[0]) :].removeprefix(" ").removeprefix("and ")
    return None if labels[0] < 0 else (labels[0], *(max(label, 0) for label in labels[1:]))


FACES = Grammar(
    "faces",
    ("hair", "glasses", "earrings", "mustache", "beard"),
    (("short", "long"), *((("no", "yes"),) * 4)),
    _words("no without and a face with", *_HAIR, *(text for part in _PARTS for text in part)),
    _face_wordings,
    _face_parsed,
    "long hair, round glasses, no beard",
)
"""The parts of a face: hair is told always, and what is not told of the rest is not there."""


def grammar_of(captions: Sequence[str]) -> Grammar:
    """The grammar that sentences follow, by the first of them.

    Raises:
        DataError: There are none, or they are of no drawn world.
    """
    for grammar in (SCENES, FACES):
        words = words_of(captions[0]) if captions else []
        if words and set(words) <= set(grammar.words) and grammar.parsed(words):
            return grammar
    raise DataError(
        "These images have no captions of a drawn world.",
        slug="data-captions",
        seen=repr(captions[0][:_SHOWN]) if captions else "no captions",
        needed=f"sentences such as {SCENES.example!r} or {FACES.example!r}",
        why="" if captions else "a folder of images, which has no sentences",
        hint="Take a world that has them: open_data('scenes') or open_data('faces').",
    )
