"""Figures 5, 7 and 8: quality against the dimensions of the code, and images along the search."""

from typing import Any

import torch
from torch import Tensor

from amiss.analysis import Path, trace
from amiss.constraints import LatentNorm, Quantized
from amiss.domain import Domain
from amiss.figures import draw
from amiss.figures.world import World
from amiss.objectives import Become
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.spaces import Latent
from amiss.task import Task

__all__ = [
    "curve",
    "dimensions",
    "draw_curve",
    "draw_iterations",
    "draw_steps",
    "frames",
    "iterations",
    "steps",
]

Values = dict[str, Any]

_LATENT = 16  # dimensions of the code in figures 7 and 8, as in the paper
_TURNS = (0, 1, 2, 4, 8, 16, 32, 64)
_EVERY = 5


def _first_flip(world: World, latent: int, lr: float, margin: float, steps: int) -> Probe:
    """Adam to the first image that holds the margin, without a penalty, on what a file can hold."""
    space, bound = Latent(world.decoder(latent)), LatentNorm(0.0) & Quantized()
    return Probe(space, Become(margin=margin), bound, Adam(lr), "met", Budget(steps), world.seed)


def dimensions(world: World) -> Values:
    """Figure 5: the quality of the changed image against the dimensions of the code.

    Args:
        world: Data and models.
    """
    task, sizes = world.first(world.effort.mistakes), world.effort.dimensions
    results = {}
    for k, latent in enumerate(sizes):
        probe = _first_flip(world, latent, 0.05, 0.5, 150)
        world.tell("Repairing along decoders", k, len(sizes))
        results[latent] = probe.run(world.classifier, task)
    assert task.image is not None  # noqa: S101 - mistakes are images
    assert task.target is not None  # noqa: S101
    met = torch.stack([result.met for result in results.values()])
    by_all = met.all(0)
    yardstick = world.decoder(max(sizes))
    right = (world.judge.predict(task.image) == task.target).double()
    rows = []
    for latent, result in results.items():
        own, judged = result.met, (world.judge.predict(result.images) == task.target).double()
        rows.append(
            {
                "dimensions": latent,
                "reconstruction": _lost(world.decoder(latent), task.image, torch.ones_like(own)),
                "off_manifold": _lost(yardstick, result.images, by_all),
                "change_l2": _mean(result.l2[by_all]),
                "repaired": float(own.double().mean()),
                "judge_before": _mean(right[own]),
                "judge": _mean(judged[own]),
            }
        )
    says = (
        "Quality against the dimensions of the code, over {} mistakes. Reconstruction: mean squared error of a pixel "
        "of g(e(x)). Off the manifold: the same of x' through the decoder of {} dimensions; there and in the length "
        "of the change, of the {} mistakes that all decoders repair. Judge: how often a classifier trained on all "
        "images gives a repaired image its true class."
    )
    return {
        "n": len(task),
        "by_all": int(by_all.sum()),
        "yardstick": max(sizes),
        "untouched_off_manifold": _lost(yardstick, task.image, by_all),
        "rows": rows,
        "says": says.format(len(task), max(sizes), int(by_all.sum())),
    }


@torch.no_grad()
def _lost(decoder: Any, images: Tensor, rows: Tensor) -> float | None:
    """Mean squared error of a pixel of some images through a decoder."""
    chosen = images[rows]
    parts = [(decoder.decode(decoder.encode(x)) - x).double().square().flatten() for x in chosen.split(250)]
    return _mean(torch.cat(parts)) if parts else None


def _mean(values: Tensor) -> float | None:
    """The mean, or None of nothing: JSON has no number for it."""
    return float(values.double().mean()) if values.numel() else None


def curve(values: Values) -> list[dict[str, Any]]:
    """One row a dimension.

    Args:
        values: Of figure 5.
    """
    rows: list[dict[str, Any]] = values["rows"]
    return rows


def draw_curve(values: Values) -> Any:
    """Four measures, each over the dimensions.

    Args:
        values: Of figure 5.
    """
    figure, axes = draw.canvas(1, 4, 9.6, 2.4)
    sizes = [row["dimensions"] for row in values["rows"]]
    panels = (
        ("reconstruction error", [("reconstruction", "o-", "")]),
        ("x' off the manifold", [("off_manifold", "o-", "")]),
        ("length of the change (L2)", [("change_l2", "o-", "")]),
        ("share", [("repaired", "o-", "repaired"), ("judge", "s--", "judge agrees")]),
    )
    for panel, (title, lines) in zip(axes[0], panels, strict=True):
        for color, (key, style, label) in zip((draw.COLORS[0], draw.COLORS[6]), lines, strict=False):
            known = [
                (size, row[key]) for size, row in zip(sizes, values["rows"], strict=True) if row[key] is not None
            ]
            panel.plot([x for x, _ in known], [y for _, y in known], style, color=color, ms=4, lw=1, label=label)
        panel.set_xscale("log", base=2)
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.set_xlabel("dimensions of the code")
        panel.set_ylabel(title)
        panel.set_ylim(bottom=0, top=1.05 if title == "share" else None)
    axes[0, 1].axhline(values["untouched_off_manifold"] or 0, color="black", lw=0.6, ls=":", label="x, untouched")
    axes[0, 1].legend(frameon=False)
    axes[0, 3].legend(frameon=False)
    return figure


def iterations(world: World) -> Values:
    """Figure 7: the image after different numbers of iterations, with a code of 16 dimensions.

    Args:
        world: Data and models.
    """
    probe = _first_flip(world, _LATENT, 0.02, 5.0, max(_TURNS))
    task = world.first(4)
    _, paths = trace(probe, world.classifier, task)
    cases = []
    for i, path in enumerate(paths):
        # The last place of a path is its best attempt once more.
        turns = [turn for turn in _TURNS if turn < len(path) - 1]
        cases.append(_along(world, probe, task.rows(torch.tensor([i])), path, turns))
    says = (
        "Mistakes after different numbers of iterations of Adam at 0.02 toward the true class by a margin of 5 "
        "logits, with a code of {} dimensions; a search that has reached it shows no more. Above each image its "
        "class and the probability of the true one."
    )
    return {"classes": list(world.classifier.labels or ()), "cases": cases, "says": says.format(_LATENT)}


def steps(world: World) -> Values:
    """Figure 8: every fifth step to the first flip, with the change between -1 and 1 as the paper shows it.

    The two mistakes with the longest way, of those that flip.

    Args:
        world: Data and models.
    """
    probe = _first_flip(world, _LATENT, 0.01, 0.0, 150)
    task = world.first(world.effort.look)
    result, paths = trace(probe, world.classifier, task)
    flipped = [i for i, outcome in enumerate(result.outcomes) if outcome.met]
    if not flipped:
        return {"found": False, "says": f"None of the {len(task)} mistakes flipped within 150 steps."}
    longest = sorted(flipped, key=lambda i: (-len(paths[i]), i))[:2]
    cases = []
    for i in longest:
        last = len(paths[i]) - 2
        stride = _EVERY * max(1, -(-last // (_EVERY * 9)))
        cases.append(
            _along(world, probe, task.rows(torch.tensor([i])), paths[i], [*range(0, last, stride), last])
            | {"sample": i, "stride": stride}
        )
    strides = ", ".join(str(case["stride"]) for case in cases)
    says = (
        "Every fifth step, or a multiple of that where the way is long (here every {}), of Adam at 0.01 to the "
        "first flip, with a code of {} dimensions. Below each image its change, stretched so that its lowest value "
        "is -1 and its highest 1. Cases: the longest ways among {} mistakes, {} of them flipped."
    )
    return {
        "classes": list(world.classifier.labels or ()),
        "cases": cases,
        "looked": len(task),
        "flipped": len(flipped),
        "says": says.format(strides, _LATENT, len(task), len(flipped)),
    }


@torch.no_grad()
def _along(world: World, probe: Probe, task: Task, path: Path, turns: list[int]) -> Values:
    """The images of one sample at some turns of its path, exactly as the search saw them."""
    prepared = probe.prepare(world.classifier, task)
    domain = Domain(probe.space, probe.constraint, prepared, 0)
    owner = torch.zeros(len(turns), dtype=torch.int64)
    seen = domain.decode(path.eps[turns], owner)
    answers = world.classifier.outputs(seen)["answer"].softmax(1)
    assert task.target is not None  # noqa: S101
    assert task.image is not None  # noqa: S101
    target = int(task.target[0])
    shown = (seen * 255).round().int()
    return {
        "true": target,
        "predicted": int(world.classifier.predict(task.image)[0]),
        "frames": [
            {
                "turn": turn,
                "image": shown[k].tolist(),
                "change": (shown[k] - (task.image[0] * 255).round().int()).tolist(),
                "label": int(answers[k].argmax()),
                "probability": float(answers[k, target]),
            }
            for k, turn in enumerate(turns)
        ],
    }


def frames(values: Values) -> list[dict[str, Any]]:
    """One row an image: case, turn, class, probability of the true class, extremes of the change in gray levels.

    Args:
        values: Of figure 7 or 8.
    """
    names = values["classes"]
    rows = []
    for k, case in enumerate(values["cases"]):
        for frame in case["frames"]:
            change = torch.tensor(frame["change"])
            rows.append(
                {
                    "case": k,
                    "true": names[case["true"]],
                    "turn": frame["turn"],
                    "class": names[frame["label"]],
                    "probability": frame["probability"],
                    "lowest_change": int(change.min()),
                    "highest_change": int(change.max()),
                }
            )
    return rows


def _titled(values: Values, frame: Values) -> str:
    return f"step {frame['turn']}\n{draw.plain(values['classes'][frame['label']])}  {frame['probability']:.2f}"


def draw_iterations(values: Values) -> Any:
    """A row a case, a column a number of iterations.

    Args:
        values: Of figure 7.
    """
    columns = max(len(case["frames"]) for case in values["cases"])
    figure, axes = draw.canvas(len(values["cases"]), columns, 1.05 * columns, 1.35 * len(values["cases"]))
    for row, case in zip(axes, values["cases"], strict=True):
        for cell in row[len(case["frames"]) :]:
            draw.blank(cell)
        for cell, frame in zip(row, case["frames"], strict=False):
            draw.picture(cell, frame["image"], _titled(values, frame))
    return figure


def draw_steps(values: Values) -> Any:
    """Two rows a case: the images, and below each its change between -1 and 1.

    Args:
        values: Of figure 8.
    """
    columns = max(len(case["frames"]) for case in values["cases"])
    figure, axes = draw.canvas(2 * len(values["cases"]), columns, 1.0 * columns + 0.6, 2.4 * len(values["cases"]))
    for upper, lower, case in zip(axes[::2], axes[1::2], values["cases"], strict=True):
        for cell in [*upper[len(case["frames"]) :], *lower[len(case["frames"]) :]]:
            draw.blank(cell)
        for above, below, frame in zip(upper, lower, case["frames"], strict=False):
            draw.picture(above, frame["image"], _titled(values, frame))
            bar = draw.change(below, stretched(frame["change"]), -1, 1, "cividis")
    figure.colorbar(bar, ax=axes[:, -1], shrink=0.6, label="change, lowest -1, highest 1")
    return figure


def stretched(change: Any) -> Any:
    """A change [C][H][W] with its lowest value at -1 and its highest at 1; all 0 where nothing changed.

    Args:
        change: In gray levels.
    """
    values = torch.tensor(change, dtype=torch.float64)
    low, high = float(values.min()), float(values.max())
    return (torch.zeros_like(values) if low == high else 2 * (values - low) / (high - low) - 1).tolist()
