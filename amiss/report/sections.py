"""Which pictures the sections of a report show, and fewer where room is short."""

from collections.abc import Callable
from typing import Any

from amiss.report.album import Rung, keep

__all__ = ["Place", "fewer", "left_out", "pictured", "uneven"]

Record = dict[str, Any]

Place = Callable[[object, int], Any]
"""Told the path of a picture and the longest side that it is shown at; what it gives stands in the path's place."""

_STRIP = ("frames", "positions", "labels", "margins")
_LISTS = ("claims", "tested")
_PICTURED = ("rows", "inversion")


def fewer(record: Record, rung: Rung) -> Record:
    """Findings, atlas, nonsense, imposters and attacks of a record with as many pictures as a rung allows.

    Args:
        record: Of the report.
        rung: How much of the pictures one file may hold.

    Returns:
        The keys that may have changed; those that the record lacks are left out.
    """
    made = {}
    if findings := record.get("findings"):
        made["findings"] = {
            **findings,
            **{name: [_fewer(f, rung) for f in findings.get(name) or []] for name in _LISTS},
        }
    if atlas := record.get("atlas"):
        made["atlas"] = {**atlas, "cases": (atlas.get("cases") or [])[: rung.entries]}
    if likes := record.get("imposters"):
        made["imposters"] = {**likes, **{name: (likes.get(name) or [])[: rung.entries] for name in _PICTURED}}
    if hurts := record.get("attacks"):
        made["attacks"] = {**hurts, "rows": (hurts.get("rows") or [])[: rung.entries]}
    return made


def pictured(record: Record, rung: Rung, place: Place) -> Record:
    """The sections of a record that have pictures, with `place(path, side)` for each picture's path.

    Args:
        record: Of the report.
        rung: How large pictures are shown.
        place: What becomes of a path.

    Returns:
        The keys; those that the record lacks are left out.
    """
    made = {}
    if findings := record.get("findings"):
        made["findings"] = {
            **findings,
            **{name: [_placed(f, rung, place) for f in findings[name]] for name in _LISTS},
        }
    if atlas := record.get("atlas"):
        made["atlas"] = {**atlas, "cases": [_charted(case, rung, place) for case in atlas["cases"]]}
    if folly := record.get("nonsense"):
        made["nonsense"] = {**folly, "parts": [_evolved(part, rung, place) for part in folly.get("parts") or []]}
    if likes := record.get("imposters"):
        made["imposters"] = _mimicked(likes, rung, place)
    if hurts := record.get("attacks"):
        made["attacks"] = {**hurts, "rows": [_each(row, rung, place, "source", "image") for row in hurts["rows"]]}
    if film := record.get("camera"):
        made["camera"] = {**film, "examples": [_photographed(one, rung, place) for one in film["examples"]]}
    if defense := record.get("defense"):
        made["defense"] = {**defense, "networks": [_fooling(one, rung, place) for one in defense["networks"]]}
    return made


def left_out(record: Record, rung: Rung) -> list[str]:
    """What `fewer` leaves out, in sentences."""
    text = []
    longest = max((len(s.get("frames") or []) for f in _all(record) for s in f.get("strips") or []), default=0)
    if longest > rung.frames:
        text.append(f"At most {rung.frames} of {longest} positions of each strip are pictured.")
    most = max((len(f.get(name) or []) for f in _all(record) for name in ("top", "bottom", "strips")), default=0)
    if most > rung.entries:
        text.append(f"At most {rung.entries} of {most} examples of each finding are shown.")
    maps = (record.get("atlas") or {}).get("cases") or []
    if len(maps) > rung.entries:
        text.append(f"The first {rung.entries:,} of {len(maps):,} maps are shown.")
    for section, what in (("imposters", "imposters"), ("attacks", "adversaries")):
        rows = (record.get(section) or {}).get("rows") or []
        if len(rows) > rung.entries:
            text.append(f"The first {rung.entries:,} of {len(rows):,} {what} are pictured.")
    return text


def uneven(record: Record) -> str:
    """What is wrong with the first strip whose lists differ in length, in words; empty where none is."""
    for finding in _all(record):
        for strip in finding.get("strips") or []:
            counts = {name: len(strip.get(name) or []) for name in _STRIP}
            if len(set(counts.values())) > 1:
                return f"finding {finding.get('id')!r}, {strip.get('name')!r}: {counts}"
    return ""


def _all(record: Record) -> list[Record]:
    findings = record.get("findings") or {}
    return [finding for name in _LISTS for finding in findings.get(name) or []]


def _fewer(finding: Record, rung: Rung) -> Record:
    strips = []
    for strip in (finding.get("strips") or [])[: rung.entries]:
        chosen = keep(strip["labels"], rung.frames)
        strips.append({**strip, **{name: [strip[name][i] for i in chosen] for name in _STRIP}})
    ends = {name: (finding.get(name) or [])[: rung.entries] for name in ("top", "bottom")}
    return {**finding, "strips": strips, **ends}


def _placed(finding: Record, rung: Rung, place: Place) -> Record:
    # An original and its frames are of one size, so that the change between them is never that of a filter.
    strips = [
        {
            **strip,
            "image": place(strip["image"], rung.film),
            "frames": [place(name, rung.film) for name in strip["frames"]],
        }
        for strip in finding["strips"]
    ]
    ends = {
        name: [{**entry, "image": place(entry["image"], rung.film)} for entry in finding[name]]
        for name in ("top", "bottom")
    }
    made = {**finding, "strips": strips, **ends}
    if mean := finding.get("mean_change"):
        made["mean_change"] = {**mean, "image": place(mean["image"], rung.side)}
    return made


def _charted(case: Record, rung: Rung, place: Place) -> Record:
    thumbs = case.get("thumbs")
    if not thumbs:
        return case
    # One sheet of n x n images: cells of a whole number of pixels, each as large as a quarter of a frame.
    return {**case, "thumbs": {**thumbs, "image": place(thumbs["image"], thumbs["n"] * (rung.film // 4))}}


def _evolved(part: Record, rung: Rung, place: Place) -> Record:
    # Sheets of many small pictures: cells of a whole number of pixels, each no larger than half a frame.
    side = part["columns"] * min(part["side"], rung.film // 2)
    own = [
        {**entry, "image": None if entry.get("image") is None else place(entry["image"], rung.film)}
        for entry in part["champions"]
    ]
    return {**part, "sheets": [place(name, side) for name in part["sheets"]], "champions": own}


def _fooling(one: Record, rung: Rung, place: Place) -> Record:
    return {**one, "champions": [{**entry, "image": place(entry["image"], rung.film)} for entry in one["champions"]]}


def _photographed(one: Record, rung: Rung, place: Place) -> Record:
    rows = [
        {
            **row,
            "image": place(row["image"], rung.film),
            "shots": [{**shot, "image": place(shot["image"], rung.film)} for shot in row["shots"]],
        }
        for row in one["rows"]
    ]
    return {**one, "rows": rows}


def _mimicked(likes: Record, rung: Rung, place: Place) -> Record:
    panels = [
        {**panel, "layers": [_each(row, rung, place, "source", "imposter", "guide") for row in panel["layers"]]}
        for panel in likes["inversion"]
    ]
    rows = [_each(row, rung, place, "source", "guide", "image") for row in likes["rows"]]
    return {**likes, "rows": rows, "inversion": panels}


def _each(entry: Record, rung: Rung, place: Place, *names: str) -> Record:
    """Pictures of one size each, so that the change between them is never that of a filter."""
    return {**entry, **{name: place(entry[name], rung.film) for name in names}}
