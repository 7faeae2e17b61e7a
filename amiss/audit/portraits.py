"""Where imposters lie among natural images: histograms, shares and strips of units, as plain values."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amiss.analysis.geometry import Geometry
from amiss.audit.figures import radius
from amiss.audit.frames import number
from amiss.audit.imposters import Imposters

__all__ = ["metrics_record", "sparsity_rows", "strips"]

_BINS = 24
_STRIPS = 4
_WIDEST = 512  # units of a strip


def metrics_record(part: Imposters, geometry: Geometry, contrast: Mapping[str, Geometry]) -> dict[str, Any]:
    """The metrics of one layer and bound as histograms, each beside natural images and the contrast groups.

    Args:
        part: The imposters.
        geometry: Theirs.
        contrast: Those of other adversaries at the same layer, by name.

    Returns:
        JSON values; ends of a histogram hold what lies beyond them.
    """
    groups = {"imposters": geometry, **contrast}
    natural = torch.cat([geometry.likelihood_close, geometry.likelihood_far], 1).flatten()
    around = torch.cat([geometry.omega_close, geometry.omega_far], 1).flatten()
    of = [
        ("rank", "Rank among the class, in percent", geometry.rank_center, {k: g.rank for k, g in groups.items()}),
        ("likelihood", "Log-likelihood less the guide's", natural, {k: g.likelihood for k, g in groups.items()}),
        ("omega", "Angular consistency", around, {k: g.omega for k, g in groups.items()}),
        ("r2", "Distance to the guide over neighbors'", None, {k: g.r2 for k, g in groups.items()}),
        ("r3", "Distance to the source over its class's", None, {k: g.r3 for k, g in groups.items()}),
    ]
    summary = {name: {key: number(value) for key, value in g.summary().items()} for name, g in groups.items()}
    return {
        "layer": part.layer,
        "delta": radius(part.delta),
        "summary": summary,
        "histograms": [
            {"metric": metric, "title": title, **_histogram({"natural images": base, **values})}
            for metric, title, base, values in of
        ],
    }


def sparsity_rows(part: Imposters, groups: Mapping[str, Geometry]) -> list[dict[str, Any]]:
    """How many units are active, and how many of them are the source's and the guide's: medians, one row a group."""
    rows = []
    for name, g in groups.items():
        medians = {
            "active": g.active,
            "delta_active": g.delta_active,
            "overlap": g.overlap,
            "overlap_guide": g.overlap_center,
        }
        said = {key: number(float(value.nanquantile(0.5))) for key, value in medians.items()}
        rows.append({"layer": part.layer, "delta": radius(part.delta), "group": name, **said})
    return rows


def strips(part: Imposters) -> list[dict[str, Any]]:
    """How much each unit says in source, imposter and guide, for the first pairs, as digits of 0 to f.

    Units stand in the order of what they are in the source less what they are in the guide, so that the source's own
    lie on one end and the guide's own on the other; of wide layers those that say most in both.
    """
    made = []
    for k, three in enumerate(part.units[:_STRIPS].double()):
        loud = (three[0].abs() + three[2].abs()).topk(min(_WIDEST, three.shape[1])).indices
        kept = three[:, loud]
        kept = kept[:, (kept[2] - kept[0]).argsort(stable=True)]
        low, high = kept.min(), kept.max()
        digits = ((kept - low) / (high - low).clamp_min(1e-12) * 15).round().long()
        words = ["".join("0123456789abcdef"[d] for d in row) for row in digits.tolist()]
        pair = {"layer": part.layer, "delta": radius(part.delta), "pair": k}
        made.append({**pair, **dict(zip(("source", "imposter", "guide"), words, strict=True))})
    return made


def _histogram(groups: Mapping[str, Tensor | None]) -> dict[str, Any]:
    """Counts of each group over common edges, which span the middle 96 % of natural images and of imposters."""
    finite = {name: v[v.isfinite()].double() for name, v in groups.items() if v is not None}
    finite = {name: v for name, v in finite.items() if len(v)}
    core = [v for name, v in finite.items() if name in ("natural images", "imposters")] or list(finite.values())
    if not core:
        return {"edges": [], "groups": []}
    low = min(float(v.quantile(0.02)) for v in core)
    high = max(float(v.quantile(0.98)) for v in core)
    high = high if high > low else low + 1.0
    step = (high - low) / _BINS
    counts = {
        name: torch.bincount(((v - low) / step).long().clamp(0, _BINS - 1), minlength=_BINS).tolist()
        for name, v in finite.items()
    }
    edges = [low + i * step for i in range(_BINS + 1)]
    return {
        "edges": edges,
        "groups": [
            {"name": name, "counts": counts[name], "n": len(v), "median": float(v.quantile(0.5))}
            for name, v in finite.items()
        ],
    }
