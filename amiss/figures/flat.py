"""Figures 2, 3, 4 and 9: maps of a two-dimensional code, a path across one, and a local minimum."""

from typing import Any

import torch
from torch import Tensor

from amiss.analysis import ClassMap, Path, around, class_map, differ, plane_2d, tell_apart, trace
from amiss.analysis.maps import Extent
from amiss.constraints import LatentNorm
from amiss.figures import draw
from amiss.figures.world import World
from amiss.objectives import Become
from amiss.optimizers import Adam
from amiss.probe import Budget, Probe
from amiss.result import Result
from amiss.spaces import Latent
from amiss.task import Task

__all__ = ["classes", "draw_map", "draw_minimum", "draw_path", "map_decoded", "map_moved", "minimum", "path", "steps"]

Values = dict[str, Any]

_EXTENT = ((-4.0, 4.0), (-4.0, 4.0))
_COARSE = 41  # nodes along a side while a case is looked for
_RADII = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


def search(world: World) -> Probe:
    """Adam along the two-dimensional decoder to the first flip, without penalty or rounding: the bare landscape.

    Args:
        world: Whose decoder and seed.
    """
    space, objective = Latent(world.decoder(2)), Become(margin=0.0)
    return Probe(space, objective, LatentNorm(0.0), Adam(0.05), "met", Budget(150), world.seed)


def _mapped(world: World, task: Task, residual: bool, n: int, extent: Extent = _EXTENT) -> ClassMap:
    """The map of one mistake."""
    assert task.image is not None  # noqa: S101 - mistakes are images
    decoder, image = world.decoder(2), task.image[0]
    return class_map(
        world.classifier, decoder, image, code(world, task), plane_2d(), extent, n, residual=residual, levels=None
    )


def code(world: World, task: Task) -> Tensor:
    """The code [2] of one mistake."""
    with torch.no_grad():
        found: Tensor = world.decoder(2).encode(task.image)[0]
    return found


def _traced(world: World) -> tuple[Task, Result, tuple[Path, ...]]:
    """The first mistakes, and how the search went for each."""
    if "flat" not in world.kept:
        task = world.first(world.effort.look)
        world.kept["flat"] = (task, *trace(search(world), world.classifier, task))
    traced: tuple[Task, Result, tuple[Path, ...]] = world.kept["flat"]
    return traced


def _case(world: World) -> int:
    """The mistake shown: with a path of some steps, then with the most classes on its map, then with most regions."""
    if "case" not in world.kept:
        task, result, paths = _traced(world)
        ranks = []
        for i in range(len(task)):
            world.tell("Looking for a case to show", i, len(task))
            seen = _mapped(world, task.rows(torch.tensor([i])), True, min(_COARSE, world.effort.nodes)).classes
            walked = result.outcomes[i].met and 4 <= len(paths[i]) <= 40
            ranks.append((walked, len(seen), len(paths[i].labels.unique()), len(paths[i]), -i))
        world.kept["case"] = ranks.index(max(ranks))
    case: int = world.kept["case"]
    return case


def _shown(world: World, i: int, residual: bool) -> tuple[ClassMap, Values]:
    """A map of full size, and what all maps tell."""
    task, _, _ = _traced(world)
    one = task.rows(torch.tensor([i]))
    world.tell("Mapping classes", 0, 1)
    key = f"map {i} {residual}"
    if key not in world.kept:
        world.kept[key] = _mapped(world, one, residual, world.effort.nodes)
    shown: ClassMap = world.kept[key]
    names = list(world.classifier.labels or ())
    assert one.image is not None  # noqa: S101
    assert one.target is not None  # noqa: S101
    return shown, {
        "classes": names,
        "true": int(one.target[0]),
        "predicted": int(world.classifier.predict(one.image)[0]),
        "sample": i,
        "looked": len(task),
        "extent": [*_EXTENT[0], *_EXTENT[1]],
        "n": len(shown.labels),
        "labels": shown.labels.flatten().tolist(),
        "present": list(shown.classes),
        "shares": [shown.share(k) for k in range(len(names))],
        "origin": [0.0, 0.0],
        "code": code(world, one).tolist(),
        "image": (one.image[0] * 255).round().int().tolist(),
    }


def map_decoded(world: World) -> Values:
    """Figure 2: the classes of decoded images c(g(z)) over the code space.

    Args:
        world: Data and models.
    """
    _, values = _shown(world, _case(world), False)
    says = (
        "Classes of decoded images c(g(z)) over the two-dimensional code; {} of {} occur. Star: z = 0. Triangle: the "
        "code of an image of {}, called {}."
    )
    return values | {"says": says.format(len(values["present"]), len(values["classes"]), *_names(values))}


def map_moved(world: World) -> Values:
    """Figure 3: the classes of one image moved, c(x + g(z + eps) - g(z)), over the code space.

    Args:
        world: Data and models.
    """
    case = _case(world)
    (decoded, _), (moved, values) = (_shown(world, case, residual) for residual in (False, True))
    share = differ(decoded, moved)
    says = (
        "Classes of the image of {0} called {1} when it is moved, c(x'); {2} of {3} occur. {4:.0%} of the nodes "
        "differ from figure 2, for x' keeps what the decoder does not draw. Case: of the first {5} mistakes the one "
        "with a path of some steps and most classes on its map."
    )
    said = says.format(
        *_names(values), len(values["present"]), len(values["classes"]), share, values["looked"]
    )  # fmt: skip
    return values | {"differ": share, "says": said}


def path(world: World) -> Values:
    """Figure 4: the path of the search over the map of figure 3, with the region of every step.

    Args:
        world: Data and models.
    """
    case = _case(world)
    _, values = _shown(world, case, True)
    _, result, paths = _traced(world)
    values |= _walked(values, paths[case]) | {"outcome": result.outcomes[case].status}
    extent = _window([place[1:3] for place in values["path"]])
    task, n = _traced(world)[0].rows(torch.tensor([case])), min(world.effort.nodes, 81)
    close = _mapped(world, task, True, n, extent)
    values["close"] = {"extent": [*extent[0], *extent[1]], "labels": close.labels.flatten().tolist()}
    named = [values["classes"][label] for _, _, _, label in values["path"]]
    regions = [name for k, name in enumerate(named) if k == 0 or named[k - 1] != name]
    says = "The search's path over figure 3, in {} steps through the regions of {}."
    return values | {"regions": regions, "says": says.format(len(named) - 1, ", ".join(regions))}


def minimum(world: World) -> Values:
    """Figure 9: a search that ends in a local minimum, though the map holds the true class.

    Of the mistakes that the search leaves, the one with the widest wall around its end among those whose map holds
    the true class.

    Args:
        world: Data and models.
    """
    task, result, paths = _traced(world)
    left = [i for i, outcome in enumerate(result.outcomes) if not outcome.met]
    world.tell("Looking for a local minimum", 0, 1)
    probe, half = search(world), _EXTENT[0][1]
    nodes = min(_COARSE, world.effort.nodes)
    reach = tell_apart(result, world.classifier, world.decoder(2), nodes, half, margin=0.0, levels=None)
    ends = [outcome.status for outcome in reach.result.outcomes]
    walls: list[tuple[float, int]] = []
    for i in (i for i in left if ends[i] == "stuck"):
        wall = around(probe, world.classifier, task.rows(torch.tensor([i])), paths[i].eps[-1], _RADII)
        if wall.walled > 0:
            walls.append((wall.walled, -i))
    counts = {
        "looked": len(task),
        "left": len(left),
        "stuck": ends.count("stuck"),
        "unreachable": ends.count("unreachable"),
        "unreachable_plain": int(reach.plain.sum()),
        "minima": len(walls),
    }
    if not walls:
        says = (
            "No local minimum found: of {looked} mistakes the search left {left}, {unreachable} of them unreachable."
        )
        return {"found": False, **counts, "says": says.format(**counts)}
    i = -max(walls)[1]
    _, values = _shown(world, i, True)
    values |= _walked(values, paths[i]) | counts | {"found": True}
    wall = around(probe, world.classifier, task.rows(torch.tensor([i])), paths[i].eps[-1], _RADII)
    near = [{"radius": r, "lowest": low} for r, low in zip(wall.radii, wall.lowest, strict=True)]
    share = values["shares"][values["true"]]
    says = (
        "A local minimum: an image of {}, called {}; the search ends where the loss is {:.3g}, and {:.3g} or more at "
        "every one of the points looked at {:g} away, while {:.1%} of the map is {}. Of {} mistakes the search left "
        "{}: {} though a node of the map is of their class, {} of these in such minima, and {} with no such node."
    )
    said = says.format(
        *_names(values), wall.loss, wall.lowest[wall.radii.index(wall.walled)], wall.walled, share, _names(values)[0],
        len(task), len(left), counts["stuck"], len(walls), counts["unreachable"],
    )  # fmt: skip
    return values | {"loss": wall.loss, "around": near, "walled": wall.walled, "says": said}


def _walked(values: Values, path: Path) -> Values:
    """The places of a path: turn, x, y, label."""
    places = (path.eps + torch.tensor(values["code"], dtype=path.eps.dtype)).tolist()
    turns, labels = path.turns.tolist(), path.labels.tolist()
    return {"path": [[t, *place, label] for t, place, label in zip(turns, places, labels, strict=True)]}


def _window(places: list[list[float]]) -> Extent:
    """A square around a path, with air on each side."""
    x, y = ([place[k] for place in places] for k in (0, 1))
    half = max(max(x) - min(x), max(y) - min(y), 0.1) * 0.75
    middle = (max(x) + min(x)) / 2, (max(y) + min(y)) / 2
    return (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half)


def _names(values: Values) -> tuple[str, str]:
    return values["classes"][values["true"]], values["classes"][values["predicted"]]


def classes(values: Values) -> list[dict[str, Any]]:
    """Share of the nodes of each class.

    Args:
        values: Of a map.
    """
    return [{"class": name, "share": share} for name, share in zip(values["classes"], values["shares"], strict=True)]


def steps(values: Values) -> list[dict[str, Any]]:
    """Every step with its place and its region.

    Args:
        values: Of a path.
    """
    names = values["classes"]
    return [{"turn": t, "x": x, "y": y, "region": names[label]} for t, x, y, label in values["path"]]


def draw_map(values: Values) -> Any:
    """Regions, star and triangle.

    Args:
        values: Of a map.
    """
    figure, axes = draw.canvas(1, 1, 4.4, 4.5)
    _map(axes[0, 0], values)
    _legend(figure, axes[0, 0])
    return figure


def draw_path(values: Values) -> Any:
    """The map with the path, and beside it the path closer by, each region named where it is entered.

    Args:
        values: Of a path.
    """
    figure, axes = draw.canvas(1, 2, 7.8, 4.2)
    _map(axes[0, 0], values)
    _path(axes[0, 0], values)
    close, names, before = values["close"], values["classes"], None
    draw.regions(axes[0, 1], close["labels"], close["extent"], names, named=False)
    _path(axes[0, 1], values)
    for turn, x, y, label in values["path"]:
        if label != before:
            draw.name(axes[0, 1], x, y, f"{names[label]} (step {turn})", above=True)
        before = label
    axes[0, 1].set_xlabel("first code")
    _legend(figure, axes[0, 0])
    return figure


def draw_minimum(values: Values) -> Any:
    """The map with the path into the minimum, and a closer look beside it.

    Args:
        values: Of a local minimum.
    """
    figure, axes = draw.canvas(1, 2, 7.4, 4.0)
    _map(axes[0, 0], values)
    _path(axes[0, 0], values)
    radii = [row["radius"] for row in values["around"]]
    lowest = [row["lowest"] for row in values["around"]]
    axes[0, 1].plot([0, *radii], [values["loss"], *lowest], "o-", color=draw.COLORS[0], lw=1, ms=3)
    axes[0, 1].axhline(values["loss"], color="black", lw=0.6, ls=":")
    axes[0, 1].set_xlabel("distance from where the search ends")
    axes[0, 1].set_ylabel("lowest loss at that distance (logits)")
    _legend(figure, axes[0, 0])
    return figure


def _map(axes: Any, values: Values) -> None:
    draw.regions(axes, values["labels"], values["extent"], values["classes"])
    style = {"color": "black", "mec": "white", "mew": 0.8, "ls": "none", "zorder": 5}
    axes.plot(*values["origin"], marker="*", ms=12, label="z = 0", **style)
    axes.plot(*values["code"], marker="^", ms=9, label=draw.plain(f"code of {_names(values)[0]}"), **style)
    axes.set_xlabel("first code")
    axes.set_ylabel("second code")


def _legend(figure: Any, axes: Any) -> None:
    """What star, triangle and cross are, below the map."""
    figure.legend(handles=axes.get_legend_handles_labels()[0], loc="outside lower left", ncols=3, frameon=False)


def _path(axes: Any, values: Values) -> None:
    x, y = ([place[k] for place in values["path"]] for k in (1, 2))
    axes.plot(x, y, "-", color="white", lw=2.4, zorder=6)
    axes.plot(x, y, "o-", color="black", lw=1, ms=2.5, zorder=7)
    style = {"color": "black", "mec": "white", "mew": 0.8, "ms": 8, "ls": "none", "zorder": 8}
    axes.plot(x[-1], y[-1], marker="X", label="end of the search", **style)
