"""The pictures of an evolution: which individuals one file has room for, and sheets of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from amiss.audit.chronicle import SIDE, shrunk
from amiss.audit.evolution import Encoded, Evolved
from amiss.data import to_bytes, write_png
from amiss.task import Task

__all__ = ["COLUMNS", "Shown", "columns_of", "fitted", "holder", "sheets"]

COLUMNS = 32
"""Pictures side by side in a sheet, and one below the other."""

_MOST = 8_000_000  # bytes of all pictures of the history, before they are packed
_SIDES = (SIDE, 48, 32, 28, 24, 16)
_FAIR = 24  # pixels: generations and ancestors are left out before pictures are made smaller than that
_LINES = (24, 12, 8, 5, 3)  # ancestors of a champion that are pictured, from generous to frugal
_FOLDER = "frames"


@dataclass(frozen=True)
class Shown:
    """Which individuals of an encoding are pictured: holders at some marks, and some ancestors of the last ones.

    Attributes:
        marks: Places of the marks.
        lines: Of each class its champion's line, thinned.
        numbers: All that are pictured.
    """

    marks: tuple[int, ...]
    lines: tuple[tuple[int, ...], ...]
    numbers: tuple[int, ...]


def holder(part: Encoded, c: int) -> int:
    """The number of the individual that held a class in the end; -1 where nobody did."""
    return int(part.told.holders[-1, c]) if len(part.told.holders) else -1


def fitted(found: Evolved) -> tuple[int, list[Shown], list[str]]:
    """As large pictures, long lines and many marks as one file can hold, and in words what was left out.

    Returns:
        The side of a picture in pixels, what is shown of each encoding, and sentences.
    """
    longest = max(found.shape[1:])
    sides = [min(side, longest) for side in _SIDES if side <= longest or side == _SIDES[-1]]
    sides = sides if longest > SIDE else [longest, *(side for side in sides if side < longest)]
    fair = [side for side in sides if side >= _FAIR] or sides[:1]
    wishes = [(side, line, 1) for line in _LINES[:2] for side in fair]
    wishes += [(side, line, every) for every in (1, 2, 4) for line in _LINES[2:] for side in fair]
    wishes += [(side, _LINES[-1], 4) for side in sides]
    for side, line, every in wishes:
        shown = [_shown(part, line, every) for part in found.parts]
        if sum(len(own.numbers) for own in shown) * found.shape[0] * side**2 <= _MOST:
            break
    text = []
    if line < _LINES[0] and any(len(part.told.line(holder(part, 0))) > line for part in found.parts):
        text.append(f"At most {line} ancestors of each champion are pictured.")
    if every > 1:
        text.append("Not every generation that was noted is pictured.")
    if side < min(longest, SIDE):
        text.append(f"Pictures of the wall are {side} pixels wide; the files in the run folder are whole.")
    return side, shown, text


def _shown(part: Encoded, most: int, every: int) -> Shown:
    told, n = part.told, len(part.result)
    last = len(told.marks) - 1
    marks = tuple(m for m in range(len(told.marks)) if m % every == 0 or m == last)
    lines = tuple(tuple(_thin(told.line(holder(part, c)), most)) for c in range(n))
    wanted: Iterable[int] = {*told.holders[list(marks)].flatten().tolist(), *(k for line in lines for k in line)}
    return Shown(marks, lines, tuple(sorted(k for k in wanted if k in told.pool)))


def _thin(line: list[int], most: int) -> list[int]:
    """At most so many of a line, its ends among them."""
    if len(line) <= most:
        return line
    return [line[round(i * (len(line) - 1) / (most - 1))] for i in range(most)]


def sheets(part: Encoded, numbers: Sequence[int], side: int, out: Path) -> list[str]:
    """Write files of pictures side by side, `COLUMNS` x `COLUMNS` a file, in the order of the numbers.

    Args:
        part: Whose individuals.
        numbers: Of those pictured.
        side: Of a picture, in pixels.
        out: Run folder.

    Returns:
        The files, relative to the run folder.
    """
    (out / _FOLDER).mkdir(parents=True, exist_ok=True)
    names = []
    for at in range(0, len(numbers), COLUMNS**2):
        some = [part.told.pool[k] for k in numbers[at : at + COLUMNS**2]]
        pictures = _pictures(part, torch.stack(some), side)
        columns = columns_of(numbers)
        rows = math.ceil(len(pictures) / columns)
        sheet = torch.zeros(pictures.shape[1], rows * side, columns * side, dtype=torch.uint8)
        for i, picture in enumerate(pictures):
            y, x = divmod(i, columns)
            sheet[:, y * side : (y + 1) * side, x * side : (x + 1) * side] = picture
        names.append(f"{_FOLDER}/{part.encoding}-{at // COLUMNS**2}.png")
        write_png(out / names[-1], sheet)
    return names


def columns_of(numbers: Sequence[int]) -> int:
    """Pictures side by side in the sheets of so many individuals."""
    return max(1, min(COLUMNS, len(numbers)))


def _pictures(part: Encoded, kept: Tensor, side: int) -> Tensor:
    """What was kept of individuals as pictures, uint8 [k, C, side, side]; what is no square lies in the middle."""
    if kept.dtype != torch.uint8:
        space = part.probe.space
        with torch.no_grad():
            made = [space.decode(Task(torch.zeros(len(some), dtype=torch.int64)), some) for some in kept.split(64)]
        kept = torch.cat([shrunk(to_bytes(x), side) for x in made])
    small = shrunk(kept, side)
    height, width = small.shape[2:]
    square = torch.zeros(*small.shape[:2], side, side, dtype=torch.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[:, :, top : top + height, left : left + width] = small
    return square
