"""The lower halves of digits, drawn by every density given the upper ones: does a classifier still see the digit?"""

from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.densities import RECIPES, binary_images, density, distinct, panel
from amiss.bench.lenets import lenet
from amiss.classifier import Classifier
from amiss.data import write_png
from amiss.models import PixelDensity

__all__ = ["complete"]

_DRAWS = 4


def complete(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Share of completed digits whose class the judge names, of every density; the least of them counts.

    Half of each image is given, the upper one. The judge is a LeNet of gray digits, and what it says of the whole
    binarized images is told beside. Completions of an image are distinct where no two of four are alike.
    """
    torch.set_num_threads(1)
    images = binary_images(run, 16 if run.quick else 500)
    judge, x, truth = lenet(run), images.images(), images.truth
    told: dict[str, dict[str, float]] = {}
    figures: dict[str, float] = {}
    half = x.shape[2] // 2
    keep = (torch.arange(x.shape[2]) < half)[None, None, :, None]
    for name in RECIPES:
        model = density(run, name)[0]
        draws = [_completed(model, x, keep, 10 * run.seed + k) for k in range(_DRAWS)]
        told[name] = {
            "agreement": sum(_right(judge, drawn, truth) for drawn in draws) / _DRAWS,
            "distinct": distinct(draws),
            "given_kept": float(all(torch.equal(drawn[:, :, :half], x[:, :, :half]) for drawn in draws)),
        }
        figures[f"completion_agreement_{name}"] = told[name]["agreement"]
        write_png(
            run.place / f"completion-{name}.png", panel([x, torch.where(keep, x, torch.full_like(x, 0.5)), *draws])
        )
    least = min(RECIPES, key=lambda name: told[name]["agreement"])
    figures["completion_agreement"] = told[least]["agreement"]
    figures["completion_distinct"] = min(told[name]["distinct"] for name in RECIPES)
    counts = {"images": len(x), "draws": _DRAWS, "least": least, "judge_whole": _right(judge, x, truth)}
    return figures, told | counts


def _completed(model: PixelDensity, x: Tensor, keep: Tensor, seed: int) -> Tensor:
    return model.sample(len(x), given=x, mask=keep, generator=torch.Generator().manual_seed(seed))


def _right(judge: Classifier, x: Tensor, truth: Tensor) -> float:
    """The judge's accuracy, images brought to its size."""
    if x.shape[2] != 28:
        x = torch.nn.functional.interpolate(x, size=28)
    return float((judge.predict(x) == truth).double().mean())
