"""What imposters came to, as plain values and pictures on disk: one section of a report."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from amiss.analysis.geometry import NEIGHBORS, Geometry
from amiss.audit.contrast import CONTRAST, Contrast
from amiss.audit.figures import IMPOSTERS, percent, radius
from amiss.audit.frames import class_names, number
from amiss.audit.imposters import DELTA, Imposters
from amiss.audit.portraits import metrics_record, sparsity_rows, strips
from amiss.audit.sweep import CLASS, Sweep, Swept
from amiss.classifier import Classifier
from amiss.data import Images, write_png
from amiss.repro import versions
from amiss.trust import wilson

__all__ = [
    "imposter_figures",
    "imposter_method",
    "imposter_record",
    "imposter_words",
    "share",
    "sweep_known",
    "sweep_record",
    "sweep_rows",
]

_ROWS = 12
_NOTHING = "nothing was searched"
_WHY = {"imposter_neighbors": "fewer than five images to find neighbors in"}


def imposter_figures(part: Imposters) -> dict[str, float]:
    """The figures of one layer and one bound, by the names that gates use."""
    values = part.label, part.neighbors, float(part.ratio.quantile(0.5))
    named, at = zip(("label", "neighbors", "ratio"), values, strict=True), radius(part.delta)
    return {f"imposter_{name}@{at}": value for name, value in named if value is not None}


def imposter_words(part: Imposters) -> str:
    """What was found at one layer within one bound, as a clause that begins with these."""
    n = len(part)
    # A layer's name is as foreign as its network, and terminals show these words.
    layer = "".join(c if c.isprintable() else "?" for c in part.layer)
    where = f"in layer {layer} at {radius(part.delta)}"
    words = f"{where}, {percent(part.label)} of {n:,} imposters take their guide's label"
    if not _of_neighbors(part):
        return words
    return f"{words}; in {percent(part.neighbors or 0.0)} all three nearest neighbors are the guide's"


def imposter_record(
    parts: Sequence[Imposters],
    images: Images,
    names: Sequence[str],
    out: Path,
    around: Mapping[str, Geometry] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """All layers and bounds as JSON values; the pictures they name are written under `out`.

    Args:
        parts: One a layer and bound.
        images: Where sources and guides are.
        names: Of the classes.
        out: Run folder.
        around: Where label adversaries lie among natural images, by layer.
        more: What else the section shows.
    """

    def beside(part: Imposters) -> dict[str, Geometry]:
        lies = (around or {}).get(part.layer)
        return {} if lies is None else {CONTRAST: lies}

    return {
        "sentence": _sentence(parts),
        "table": [_summary(part) for part in parts],
        "rows": [row for part in parts for row in _rows(part, images, names, out, max(3, _ROWS // len(parts)))],
        "strips": [strip for part in parts for strip in strips(part)],
        "metrics": [metrics_record(part, part.geometry, beside(part)) for part in parts if part.geometry is not None],
        "sparsity": [
            row
            for part in parts
            if part.geometry is not None
            for row in sparsity_rows(part, {"imposters": part.geometry, **beside(part)})
        ],
        "among": [{"layer": layer, "images": n} for layer, n in {p.layer: p.among for p in parts}.items()],
        **more,
    }


def _others(swept: Swept) -> list[dict[str, Any]]:
    """What was searched for beside imposters."""
    found: list[dict[str, Any]] = []
    if swept.contrast is not None:
        found.append(
            {
                "name": "Label adversaries",
                "text": "The contrast: the smallest change of each source by which the guide's label is ahead by a "
                "margin, found by L-BFGS in a box and a search over the penalty's factor.",
                "settings": {"probe": swept.contrast.result.probe},
                "reference": "Szegedy et al. (2014), intriguing properties of neural networks, section 4.1",
            }
        )
    if swept.inverted:
        found.append(
            {
                "name": "Inversion",
                "text": "For source, imposter and guide: an image whose features at a layer are theirs, and that is "
                "no rougher than it must be, found from grey.",
                "settings": {"pairs": swept.sweep.inverted},
                "reference": "Mahendran and Vedaldi (2015), understanding deep image representations by inverting "
                "them, eq. 1 to 3",
            }
        )
    return found


def _panels(swept: Swept) -> list[dict[str, Any]]:
    """What the layers give back, pair by pair, each with the layer and bound of its imposter."""
    images, pairs, told = swept.images, swept.pairs, _telling(swept.parts)
    where = {"layer": told.layer, "delta": radius(told.delta)}
    made: dict[int, list[dict[str, Any]]] = {}
    for one in swept.inverted:
        found = dict(zip(("source", "imposter", "guide"), one.paths, strict=True))
        made.setdefault(one.pair, []).append({"layer": one.layer, **found, "near": list(one.near)})
    return [
        {
            "name": f"{images.names[int(pairs.source[k])]} as {images.names[int(pairs.guide[k])]}",
            **where,
            "layers": rows,
        }
        for k, rows in made.items()
    ]


def _notes(swept: Swept) -> list[str]:
    """What the reader must know of the measurements."""
    if swept.contrast is None:
        return [
            f"Where imposters lie among natural images was not measured: that takes {CLASS} images of each guide's "
            f"class, to know how far such images lie apart, and a class has fewer than {CLASS} here."
        ]
    k, n = int(swept.contrast.result.met.sum()), len(swept.pairs)
    return [
        "The contrast group: label adversaries, the same sources changed as little as can be to be called by "
        f"their guide's label, which is so for {k:,} of {n:,}. They are measured around their nearest natural image "
        "of that class."
    ]


def _rows(part: Imposters, images: Images, names: Sequence[str], out: Path, most: int) -> list[dict[str, Any]]:
    """The first pairs as rows of a page: source, guide and imposter, each with its name and what is said of it."""
    made = []
    for k in range(min(most, len(part))):
        s, g = int(part.pairs.source[k]), int(part.pairs.guide[k])
        outcome = part.result.outcomes[k]
        made.append(
            {
                "layer": part.layer,
                "delta": radius(part.delta),
                "name": images.names[s],
                "guide_name": images.names[g],
                "true": names[int(images.truth[s])],
                "guide_label": names[int(images.truth[g])],
                "called": names[int(part.answers[k])],
                "ratio": number(float(part.ratio[k])),
                "shared": None if part.neighbors is None else int(part.shared[k]),
                "outcome": outcome.status,
                "linf": number(float(part.result.linf[k])),
                "source": _original(images, s, out),
                "guide": _original(images, g, out),
                "image": part.paths[k],
            }
        )
    return made


def sweep_known(sweep: Sweep) -> dict[str, str]:
    """Every figure that the experiment can have, each with the reason why it may come out without it."""
    cells = itertools.product(IMPOSTERS, sweep.layers, map(radius, sweep.deltas))
    figures = {"pairs": _NOTHING} | {f"{name}.{layer}@{at}": _WHY.get(name, _NOTHING) for name, layer, at in cells}
    return {**figures, "verified_from_disk": "no search claimed a success"}


def sweep_record(
    swept: Swept, classifier: Classifier, out: Path, *, model: str, data: str, command: str, **more: Any
) -> dict[str, Any]:
    """The experiment as JSON values; the pictures they name are written under `out`.

    Args:
        swept: What was found.
        classifier: Whose features were mimicked.
        out: Run folder.
        model: How the model is called.
        data: How the data are called.
        command: What makes this record again.
        more: What else the section on imposters shows.
    """
    images, parts = swept.images, swept.parts
    own: dict[str, Any] = {"around": swept.around, "inversion": _panels(swept), "notes": _notes(swept)}
    section = imposter_record(parts, images, class_names(images, classifier), out, **own, **more)
    searched: list[Imposters | Contrast] = [*parts, *([] if swept.contrast is None else [swept.contrast])]
    claimed, held = sum(part.claimed for part in searched), sum(int(part.result.met.sum()) for part in searched)
    figures: dict[str, float] = {"pairs": len(swept.pairs)}
    for part in parts:
        figures |= {name.replace("@", f".{part.layer}@"): value for name, value in imposter_figures(part).items()}
    figures |= {"verified_from_disk": held / claimed} if claimed else {}
    tally = {f"{part.layer} at {radius(part.delta)}": part.result.counts for part in parts}
    tally |= {} if swept.contrast is None else {CONTRAST: swept.contrast.result.counts}
    told = _telling(parts)
    tiles = [
        (
            "Layers and bounds",
            f"{len(swept.sweep.layers)} x {len(swept.sweep.deltas)}",
            f"{len(swept.pairs):,} pairs each",
        ),
        ("Take the guide's label", percent(told.label), f"{told.layer}, at {radius(told.delta)}"),
        (
            "Distance left",
            f"{float(told.ratio.quantile(0.5)):.2f}",
            f"median R1 of {told.layer}, at {radius(told.delta)}",
        ),
        ("Claims that held", percent(held / claimed) if claimed else "none", "read back, alone and in a batch"),
    ]
    return {
        "title": f"Imposters of {model}",
        "sentence": section["sentence"],
        "model": model,
        "data": data,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": swept.sweep.seed,
        "command": command,
        "fingerprints": {"model": classifier.fingerprint, "data": images.fingerprint},
        "versions": versions(),
        "figures": figures,
        "tiles": [{"label": label, "value": value, "note": note} for label, value, note in tiles],
        "notices": [],
        "outcomes": tally,
        "verified": {"claimed": claimed, "held": held},
        "claims": "imposters" if swept.contrast is None else f"imposters and {CONTRAST}",
        "flags": [flag.to_json() for flag in swept.flags],
        "cases": [],
        "fooled": [],
        "imposters": section,
        "methods": [*(imposter_method(part) for part in parts), *_others(swept)],
        "plan": asdict(swept.sweep),
    }


def sweep_rows(swept: Swept) -> tuple[list[str], list[list[object]]]:
    """Head and rows of imposters.csv: one a layer, bound and pair."""
    head = ["layer", "delta", "sample", "source", "guide", "label", "guide_label", "called", "ratio", "shared"]
    head += ["status", "size", "image"]
    images, rows = swept.images, []
    for part in swept.parts:
        for k, (s, g) in enumerate(zip(part.pairs.source.tolist(), part.pairs.guide.tolist(), strict=True)):
            outcome = part.result.outcomes[k]
            labels = int(images.truth[s]), int(images.truth[g]), int(part.answers[k])
            shared = "" if part.neighbors is None else int(part.shared[k])
            measured = float(part.ratio[k]), shared, outcome.status, outcome.size, part.paths[k]
            rows.append([part.layer, radius(part.delta), k, images.names[s], images.names[g], *labels, *measured])
    return [*head], rows


def imposter_method(part: Imposters) -> dict[str, Any]:
    """What was done at one layer within one bound, for the last page of a report."""
    return {
        "name": "Imposters",
        "text": "An image of one class is changed until what a hidden layer makes of it is what it makes of an image "
        "of another class, its guide; labels have no part in that. Sources and guides are drawn by the seed "
        "among the images that are rightly classified. The ratio R1 is the distance to the guide as a share "
        f"of the source's own. Neighbors are the three nearest of {part.among:,} images in that layer, the "
        "guide left out; they are the guide's where both have the same three. Labels, ratios and neighbors "
        "are read from the files.",
        "settings": {
            "probe": part.result.probe,
            "layer": part.layer,
            "delta": radius(part.delta),
            "pairs": len(part),
        },
        "reference": "Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, eq. 1",
    }


def share(k: int, n: int) -> dict[str, float | int]:
    """A share with its 95 % interval, as JSON values."""
    low, high = wilson(k, n)
    return {"share": k / n if n else 0.0, "low": low, "high": high, "n": n}


def _summary(part: Imposters) -> dict[str, Any]:
    """One layer and bound in numbers."""
    n = len(part)
    alike = {"neighbors": part.shared, "neighbors_before": part.shared_before}
    spread = [number(float(part.ratio.quantile(q))) for q in (0.25, 0.5, 0.75)]
    return {
        "layer": part.layer,
        "delta": radius(part.delta),
        "gray_levels": part.delta * 255,
        "pairs": n,
        "ratio": dict(zip(("low", "median", "high"), spread, strict=True)),
        "label": share(int(part.taken.sum()), n),
        "source_label": share(int(part.kept.sum()), n),
        **{k: None if part.neighbors is None else share(int((s == NEIGHBORS).sum()), n) for k, s in alike.items()},
        "verified": {"claimed": part.claimed, "held": int(part.result.met.sum())},
    }


def _telling(parts: Sequence[Imposters]) -> Imposters:
    """Whom sentence, tiles and inversions are about: the last layer at the bound nearest to 10/255."""
    return min((p for p in parts if p.layer == parts[-1].layer), key=lambda p: abs(p.delta - DELTA))


def _of_neighbors(part: Imposters) -> bool:
    """Whether there is anything to say of neighbors: not where they were the guide's neither before nor after."""
    return bool(part.neighbors or part.neighbors_before)


def _sentence(parts: Sequence[Imposters]) -> str:
    """What is told first."""
    part = _telling(parts)
    words, before = imposter_words(part), percent(part.neighbors_before or 0.0)
    return f"{words[:1].upper()}{words[1:]}" + (
        f" (of their sources that is so in {before})." if _of_neighbors(part) else "."
    )


def _original(images: Images, i: int, out: Path) -> str:
    """The file of an image as it is, written where it is not there yet."""
    name = f"images/original/{images.ids[i][:16]}-{i}.png"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    if not (out / name).is_file():
        write_png(out / name, images.pixels[i])
    return name
