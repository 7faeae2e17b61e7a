"""What a classifier says of photographs: of images as they were, and of adversaries of one view and of many."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.viewing import ViewMap, photographs, view_map
from amiss.audit.camera import Filmed
from amiss.audit.plan import Progress
from amiss.classifier import Classifier
from amiss.data import to_bytes
from amiss.errors import Interrupted
from amiss.repro import digest, fold
from amiss.study.identity import likeness
from amiss.transforms import View

__all__ = ["CLEAN", "EACH", "Book", "Seen", "answers", "film", "places"]

CLEAN = "clean"
"""The images as they were, beside the kinds of adversary."""
EACH = 2
"""Photographs of an image at each place of a map."""

_STREAM = -2  # of a key: a search's views are of its turns, 0 and up, and of -1
_SIZES, _ANGLES = 6, 7  # rows and columns of a map

Book = Mapping[str, Any]
"""Answers by the digest of what was asked: lists [n][views] of classes."""


@dataclass(frozen=True)
class Seen:
    """Photographs of one kind of picture, as the classifier names them.

    Attributes:
        name: "clean", "single" or "eot".
        screen: What it says of each picture itself [n].
        said: What it says of the photographs that judge [n, views].
        map: From where a clean image is named rightly, or an adversary succeeds.
    """

    name: str
    screen: Tensor
    said: Tensor
    map: ViewMap


def film(
    filmed: Filmed,
    classifier: Classifier,
    *,
    before: Book | None = None,
    keep: Callable[[Book], object] = lambda _: None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[Seen, ...]:
    """Take the photographs that judge, and ask the classifier what each shows.

    All three kinds of picture are seen from the very same places, in the same light.

    Args:
        filmed: What was searched for; adversaries are looked at as their files hold them.
        classifier: Who is asked.
        before: Answers of an earlier call, which are not asked for again.
        keep: Given all answers so far, again and again.
        progress: Told how many photographs were looked at, of how many.
        stop: Asked whether to stop.

    Returns:
        The images as they were, and each kind of adversary.

    Raises:
        Interrupted: `stop` said so.
    """
    camera = filmed.camera
    scales, tilts = places(camera.view)
    kinds = {CLEAN: filmed.images.pixels, **{part.name: to_bytes(part.result.images) for part in filmed.parts}}
    n = len(filmed.images)
    total = len(kinds) * n * (camera.views + EACH * len(scales) * len(tilts))
    keys, done, book = fold(fold(filmed.images.keys(), camera.seed), _STREAM), 0, dict(before or {})
    own = likeness(classifier)

    def ask(pixels: Tensor, view: View, views: int) -> Tensor:
        nonlocal done
        chain = camera.photographs(view)
        name = digest(own, repr(chain), str(views), keys, pixels)
        known = _read(book.get(name), n, views)
        if known is None:
            parts = []
            for said in answers(classifier, pixels, keys, chain, views, camera.batch):
                parts.append(said)
                if progress is not None:
                    progress("Taking photographs", done + sum(map(len, parts)), total)
                if stop is not None and stop():
                    raise Interrupted(
                        "Stopped, with all that was done in its place.",
                        slug="interrupted",
                        seen=f"{done:,} of {total:,} photographs looked at",
                        hint="The same command goes on from here.",
                    )
            known = torch.cat(parts).reshape(n, views)
            book[name] = known.tolist()
            keep(book)
        done += n * views
        return known

    seen = []
    for name, pixels in kinds.items():
        holds = filmed.named if name == CLEAN else filmed.held
        parts = [classifier.predict((x.float() / 255).to(classifier.device)) for x in pixels.split(camera.batch)]
        said = ask(pixels, camera.view, camera.views)
        found = view_map(
            lambda view, of=pixels, holds=holds: holds(ask(of, view, EACH)),  # type: ignore[misc]
            scales,
            tilts,
            camera.view,
        )
        seen.append(Seen(name, torch.cat(parts).cpu(), said, found))
    return tuple(seen)


def answers(
    classifier: Classifier, pixels: Tensor, keys: Tensor, chain: Sequence[Any], views: int, batch: int
) -> Iterator[Tensor]:
    """What is said of photographs, a batch at a time: views [views] of the first picture, then of the next.

    Args:
        classifier: Who is asked.
        pixels: The pictures, uint8 [n, C, H, W].
        keys: Of each [n]: what the views are drawn from.
        chain: What lies between a picture and its photograph.
        views: Photographs of each.
        batch: Images a pass.

    Yields:
        Classes [k], n x views in all.
    """
    for row in torch.arange(len(pixels) * views).split(batch):
        place, turn = row // views, row % views
        x, key = (part.to(classifier.device) for part in (pixels[place], fold(keys[place], turn)))
        x = photographs(x.float() / 255, key, chain)
        yield classifier.predict(to_bytes(x).float() / 255).cpu()  # a photograph is a file


def places(view: View) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Sizes and viewing angles of a map, evenly spaced over those of a view; one where it has but one."""

    def spread(low: float, high: float, n: int) -> tuple[float, ...]:
        return tuple(dict.fromkeys(round(low + (high - low) * i / (n - 1), 6) for i in range(n)))

    return spread(*view.scale, _SIZES), spread(*view.tilt, _ANGLES)


def _read(said: Any, n: int, views: int) -> Tensor | None:
    """Answers of a file [n, views]; None where it holds none, or something else."""
    whole = isinstance(said, list) and len(said) == n
    if not whole or not all(isinstance(row, list) and len(row) == views for row in said):
        return None
    if not all(type(one) is int and 0 <= one < 2**31 for row in said for one in row):
        return None
    return torch.tensor(said, dtype=torch.int64)
