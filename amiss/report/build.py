"""Turn the record of an audit and its pictures into one HTML file that asks nothing of the network."""

import base64
import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amiss.errors import DataError
from amiss.report.album import LADDER, Album, Rung, keep, locate, weight
from amiss.report.sections import fewer, left_out, pictured, uneven

__all__ = ["build", "page"]

Record = dict[str, Any]

_HERE = Path(__file__).parent
_ASSETS = (
    "page.css",
    "draw.js",
    "case.js",
    "trust.js",
    "findings.js",
    "atlas.js",
    "imposters.js",
    "nonsense.js",
    "attacks.js",
    "camera.js",
    "defense.js",
    "page.js",
)
_TRACK = ("frames", "frame_steps", "frame_margins", "frame_labels")


def build(record: Record, folder: Path, path: Path | None = None, *, limit: int = 15_000_000) -> Path:
    """Write the report of an audit.

    Small pictures are embedded byte for byte, so the page shows exactly what was verified. Where a file
    would grow past `limit`, frames are thinned, pictures reduced and cases left out, in that order, and the
    page says which.

    Args:
        record: What was found, as plain JSON values; pictures are PNG paths relative to `folder`.
        folder: The run folder.
        path: The file to write. None: `report.html` in the folder.
        limit: Most characters of the file.

    Returns:
        The path of the file.

    Raises:
        DataError: The record lacks its title or sentence, the lists of a trajectory or a strip differ in length, a
            picture is missing, unreadable or outside the folder, or nothing fits `limit`.
    """
    folder = Path(folder)
    target = folder / "report.html" if path is None else Path(path)
    record = _checked(record)
    html = _fitting(record, folder, limit)
    # Nobody ever sees half a report: it is written beside its place and moved there whole.
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(html)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def page(record: Record) -> str:
    """The HTML of a record whose pictures are already places in `record["pictures"]`.

    The content security policy allows the inline scripts and the style sheet by their hashes, pictures
    from data URIs, and nothing else. The record travels as JSON that no markup can break out of.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style, *scripts = map(_asset, _ASSETS)
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hashed(style)}",
            "script-src " + " ".join(_hashed(script) for script in scripts),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    # Ours alone is marked as safe; the title and the sentence are escaped, and the rest travels as data.
    return environment.get_template("page.html").render(
        policy=Markup(policy),  # noqa: S704
        style=Markup(style),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        data=Markup(_json(record)),  # noqa: S704
        title=_printable(record["title"]),
        sentence=_printable(record["sentence"]),
    )


def _fitting(record: Record, folder: Path, limit: int) -> str:
    for rung in LADDER:
        thin = _thinned(record, rung)
        guess = sum(weight(folder, name, side) for name, side in set(_named(thin, rung)))
        if guess > 1.2 * limit and rung != LADDER[-1]:
            continue
        album = Album(folder)
        full = _embedded(thin, album, rung)
        full["notices"] = [*full.get("notices", []), *_said(record, rung, album)]
        html = page({**full, "pictures": album.pictures})
        if len(html) <= limit:
            return html
    raise DataError(
        "The report does not fit its size limit.",
        slug="report-too-large",
        seen=f"{len(html):,} characters at the least",
        needed=f"at most {limit:,}",
        why="the record itself is long, or the limit was set very low",
        hint="Raise the limit, or put fewer cases into the record.",
    )


def _thinned(record: Record, rung: Rung) -> Record:
    cases = [
        {**case, "repairs": [_fewer(repair, rung.frames) for repair in case.get("repairs", [])]}
        for case in record["cases"][: rung.entries]
    ]
    return {**record, **fewer(record, rung), "cases": cases, "fooled": record["fooled"][: rung.entries]}


def _fewer(repair: Record, most: int) -> Record:
    """Pictures are thinned; steps, margins and labels stay whole, and `shown` says whose picture is there."""
    chosen = keep(repair.get("frame_labels") or [], most)
    frames = repair.get("frames") or []
    return {**repair, "frames": [frames[i] for i in chosen], "shown": chosen}


def _said(record: Record, rung: Rung, album: Album) -> list[Record]:
    """What was left out to keep one file small, in words."""
    text = []
    longest = max((len(r.get("frames") or []) for c in record["cases"] for r in c.get("repairs", [])), default=0)
    if longest > rung.frames:
        text.append(f"At most {rung.frames} frames of each search are pictured; the longest had {longest}.")
    if album.reduced:
        text.append(
            f"Pictures larger than {rung.side} pixels, and frames larger than {rung.film}, were reduced to that "
            "size for this page. What was verified are the full files in the run folder."
        )
    for name, word in (("cases", "cases"), ("fooled", "fooling images")):
        if len(record[name]) > rung.entries:
            text.append(f"The first {rung.entries:,} of {len(record[name]):,} {word} are shown.")
    text += left_out(record, rung)
    return [{"level": "info", "title": "Shortened to fit one file", "text": " ".join(text)}] if text else []


def _named(record: Record, rung: Rung) -> Iterator[tuple[str, int]]:
    """Each picture with the longest side that it is shown at."""
    for case in record["cases"]:
        yield str(case.get("original")), rung.side
        for repair in case["repairs"]:
            yield str(repair.get("image")), rung.side
            yield from ((str(name), rung.film) for name in repair.get("frames") or [])
    yield from ((str(entry.get("image")), rung.film) for entry in record["fooled"])
    others: list[tuple[str, int]] = []
    pictured(record, rung, lambda name, side: others.append((str(name), side)))
    yield from others


def _embedded(record: Record, album: Album, rung: Rung) -> Record:
    """The record with a place in the album for each path.

    Frames may be smaller than the original. `start` is the original at their size, reduced by the same filter,
    so that the change of a frame is never the change of a filter.
    """
    cases = []
    for case in record["cases"]:
        repairs = [_placed(repair, album, rung) for repair in case["repairs"]]
        original, start = (album.add(case.get("original"), side) for side in (rung.side, rung.film))
        cases.append({**case, "original": original, "start": start, "repairs": repairs})
    fooled = [{**entry, "image": album.add(entry.get("image"), rung.film)} for entry in record["fooled"]]
    return {**record, **pictured(record, rung, album.add), "cases": cases, "fooled": fooled}


def _placed(repair: Record, album: Album, rung: Rung) -> Record:
    frames, image = repair["frames"], album.add(repair.get("image"), rung.side)
    places = [album.add(name, rung.film) for name in frames]
    # A search may keep an earlier step than its last: only where both are one picture is the last the result.
    if frames and locate(album.folder, frames[-1]).read_bytes() == locate(album.folder, repair["image"]).read_bytes():
        places[-1] = image
    return {**repair, "image": image, "frames": places}


def _checked(record: Record) -> Record:
    for name in ("title", "sentence"):
        if not isinstance(record.get(name), str):
            raise DataError(
                f"The record of the report has no {name}.",
                slug="report-record",
                seen=f"{name} = {record.get(name)!r}",
                needed="a text",
                hint="Build the record with the audit, or add the field.",
            )
    for case in record.get("cases") or []:
        for repair in case.get("repairs", []):
            counts = {name: len(repair.get(name) or []) for name in _TRACK}
            if len(set(counts.values())) > 1:
                raise _differing(f"case {case.get('id')!r}, {repair.get('method')!r}: {counts}")
    if seen := uneven(record):
        raise _differing(seen)
    return {**record, "cases": record.get("cases") or [], "fooled": record.get("fooled") or []}


def _differing(seen: str) -> DataError:
    return DataError(
        "A trajectory has lists of different lengths.",
        slug="report-frames",
        seen=seen,
        needed="one step or position, margin and label for each frame",
        hint="Write the four lists from the same loop.",
    )


def _plain(value: Any) -> Any:
    """JSON values alone: what JSON has no word for, such as NaN, becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _json(record: Record) -> str:
    # Pure ASCII: U+2028, U+2029 and bytes that are no text leave as \u escapes. Then no markup can begin.
    text = json.dumps(_plain(record), ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hashed(block: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
