"""The atlas of a report: for each case its maps, its path and its decoded neighborhood, as plain values."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.maps import ClassMap, Extent, Plane, class_map, differ, plane_2d, plane_through
from amiss.analysis.paths import Path
from amiss.classifier import Classifier
from amiss.result import Result
from amiss.scope import untouched
from amiss.spaces.latent import Codec

__all__ = ["atlas_record"]

_HALF = 4.0  # half the side of the map of a two-dimensional code, where almost all of the prior lies
_AIR = 0.6  # of the spread of the points, on each side of them, in larger code spaces


def atlas_record(
    classifier: Classifier,
    decoder: Codec,
    result: Result,
    paths: Sequence[Path],
    *,
    ids: Sequence[str] | None = None,
    n: int = 61,
    thumbs: int = 13,
    batch: int = 256,
    levels: int | None = 256,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Maps of some cases: what the report's Atlas draws.

    A case's map is that of the code space itself where it has two dimensions; else of the plane through the code,
    the solution and the runner-up, which is the first success of the search where that is not its smallest. Where
    there is no runner-up its second axis is arbitrary; where nothing was met the best attempt takes the solution's
    place.

    Args:
        classifier: Who is asked.
        decoder: Encoder and decoder that the search went along.
        result: Repairs as `trace` gives them, with the labels of the images.
        paths: Their paths.
        ids: Name of each case, fit for a file; its number where left out.
        n: Nodes along a side of a map.
        thumbs: Decoded images along a side of the picture.
        batch: Images a pass.
        levels: Gray levels that the classifier is shown.

    Returns:
        {"cases": [...], "classes": [names]}: each case with its place on the plane, the labels of both maps (row
        by row, the lowest y first), and the path with the region of every step. And the pictures, uint8 [C, H, W],
        by the names that the cases give: decoded images over the same window, the lowest y on top.
    """
    names = [f"{i:04d}" for i in range(len(result))] if ids is None else list(ids)
    cases, pictures = [], {}
    for i, path in enumerate(paths):
        case, picture = _case(classifier, decoder, result.pick([i]), path, names[i], n, thumbs, batch, levels)
        cases.append(case)
        pictures[case["thumbs"]["image"]] = picture
    return {"cases": cases, "classes": list(classifier.labels or ())}, pictures


def _case(
    classifier: Classifier,
    decoder: Codec,
    one: Result,
    path: Path,
    name: str,
    n: int,
    thumbs: int,
    batch: int,
    levels: int | None,
) -> tuple[dict[str, Any], Tensor]:
    assert one.task.image is not None  # noqa: S101 - repairs start from images
    image = one.task.image[0].to(classifier.device)
    with torch.no_grad(), untouched(decoder):
        z = decoder.encode(image[None])[0]
    codes = z + path.eps.to(z)
    first = int(path.met.nonzero()[0]) if bool(path.met.any()) else len(path) - 1
    runner_up = None if bool((path.eps[first] == path.eps[-1]).all()) else codes[first]
    flat = len(z) == 2
    plane = plane_2d(z) if flat else plane_through(z, codes[-1], runner_up)
    places = plane.place(torch.cat([z[None], codes])).double().cpu()
    extent = _window(places, flat)
    decoded, moved = (
        class_map(classifier, decoder, image, z, plane, extent, n, residual=residual, batch=batch, levels=levels)
        for residual in (False, True)
    )
    about = {
        "case": name,
        "title": _title(classifier, one, image),
        "plane": "latent" if flat else "code, solution" if runner_up is None else "code, solution, runner-up",
        "x": list(extent[0]),
        "y": list(extent[1]),
        "n": n,
        "decoded": _flat(decoded),
        "moved": _flat(moved),
        "differ": differ(decoded, moved),
        "origin": [0.0, 0.0] if flat else None,
        "code": places[0].tolist(),
        "solution": places[-1].tolist(),
        "runner_up": None if runner_up is None else places[1 + first].tolist(),
        "path": [[*at, label] for at, label in zip(places[1:].tolist(), path.labels.tolist(), strict=True)],
        "thumbs": {"n": thumbs, "image": f"atlas/{name}.png"},
        "outcome": one.outcomes[0].status,
    }
    return about, _picture(decoder, plane, extent, thumbs, batch)


def _title(classifier: Classifier, one: Result, image: Tensor) -> str:
    """Which class was called which."""
    said, wanted = int(classifier.predict(image[None])[0]), one.task.target
    names = classifier.labels or ()
    return names[said] if wanted is None else f"{names[int(wanted[0])]} called {names[said]}"


def _flat(shown: ClassMap) -> list[int]:
    labels: list[int] = shown.labels.flatten().tolist()
    return labels


def _window(places: Tensor, flat: bool) -> Extent:
    """A square that holds all places [k, 2], with air around them."""
    low, high = places.amin(0), places.amax(0)
    if flat:
        half = max(_HALF, 1.1 * float(places.abs().max()))
        return (-half, half), (-half, half)
    side = max(float((high - low).max()), 1e-3) * (0.5 + _AIR)
    x, y = ((low + high) / 2).tolist()
    return (x - side, x + side), (y - side, y + side)


@torch.no_grad()
def _picture(decoder: Codec, plane: Plane, extent: Extent, n: int, batch: int) -> Tensor:
    """Decoded images [C, n * H, n * W], uint8, over the window; the lowest y on top."""
    like = plane.origin
    sides = [torch.linspace(low, high, n, dtype=like.dtype, device=like.device) for low, high in extent]
    y, x = torch.meshgrid(sides[1], sides[0], indexing="ij")
    codes = plane.codes(x, y).reshape(n * n, -1)
    with untouched(decoder):
        drawn = torch.cat([decoder.decode(part) for part in codes.split(batch)]).clamp(0, 1)
    _, channels, height, width = drawn.shape
    sheet = drawn.reshape(n, n, channels, height, width).permute(2, 0, 3, 1, 4)
    return (sheet.reshape(channels, n * height, n * width) * 255).round().to(torch.uint8).cpu()
