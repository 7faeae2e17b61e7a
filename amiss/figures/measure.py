"""What the figures of the paper must show, as numbers."""

import time
from pathlib import Path
from typing import Any

from amiss.figures.figure import make
from amiss.figures.lse import FIGURES
from amiss.figures.world import Effort, Progress, World

__all__ = ["measure"]


def measure(
    seed: int, data: str, place: Path, effort: Effort | None = None, tell: Progress | None = None
) -> dict[str, Any]:
    """Make every figure of latent sympathetic examples, and read off what they must show.

    Args:
        seed: Of all trainings.
        data: A source of labeled images, such as a folder of MNIST.
        place: Folder of the figures; what lies there with the same settings is not made again.
        effort: How much work.
        tell: Progress.

    Returns:
        `figure5`: the rows of figure 5, one a dimension; `classes_in_2` and `classes_in_3`: how many classes the
        maps hold; `differ_2_3`: the share of nodes at which they differ; `minima`: local minima found and proved;
        `path`: steps of figure 4; `says`: the captions by number; `seconds`: wall time of all of it.
    """
    before, world = time.monotonic(), World(data, seed, place, effort, tell)
    shown = {figure.number: make(figure, world).values for figure in FIGURES}
    return {
        "figure5": shown[5]["rows"],
        "classes_in_2": len(shown[2]["present"]),
        "classes_in_3": len(shown[3]["present"]),
        "differ_2_3": shown[3]["differ"],
        "minima": shown[9]["minima"],
        "path": len(shown[4]["path"]) - 1,
        "says": {number: values["says"] for number, values in shown.items()},
        "seconds": time.monotonic() - before,
    }
