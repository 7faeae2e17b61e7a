"""Densities of binary digits that the parts of several benches share: trained and scored once a seed."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from amiss.bench.bench import Run
from amiss.bench.weights import learned_once
from amiss.data import Images, open_data
from amiss.models import PixelDensity
from amiss.training import Preset, Trained, train
from amiss.training.losses import DensityLoss
from amiss.training.measures.likelihood import nats
from amiss.training.pictures import sheet
from amiss.training.presets import densities, recurrent_densities

__all__ = ["RECIPES", "binary_images", "density", "digits_of", "distinct", "measured", "panel", "score", "trained"]

RECIPES: dict[str, tuple[Callable[..., Preset], Callable[[int], Preset]]] = {
    "fvbn": (densities.fvbn_for, densities.mnist_fvbn),
    "made": (densities.made_for, densities.mnist_made),
    "pixelcnn": (densities.pixelcnn_for, densities.mnist_pixelcnn),
    "row_lstm": (recurrent_densities.row_lstm_for, recurrent_densities.mnist_row_lstm),
    "diagonal_bilstm": (recurrent_densities.diagonal_bilstm_for, recurrent_densities.mnist_diagonal_bilstm),
    "raster_lstm": (recurrent_densities.raster_lstm_for, recurrent_densities.mnist_raster_lstm),
}
"""Densities of digits: the recipe for any images, and the one for MNIST."""


def digits_of(run: Run, split: str = "train") -> Images:
    """MNIST's images; if quick, scikit-learn's of 8 pixels a side.

    Raises:
        Skip: There is no MNIST here.
    """
    return open_data("digits" if run.quick else str(run.data("MNIST")), split=split)


def binary_images(run: Run, n: int) -> Images:
    """The first `n` test images, binarized once by lots of the run's seed."""
    test = digits_of(run, "test")
    test = test.pick(torch.arange(min(n, len(test))))
    lots = torch.rand(test.pixels.shape, generator=torch.Generator().manual_seed(run.seed))
    return Images.of((lots < test.images()).to(torch.uint8) * 255, test.labels, test.classes)


def trained(run: Run, name: str, preset: Callable[[Images, int], Preset]) -> tuple[PixelDensity, dict[str, float]]:
    """A density of this seed, and what its training cost.

    Args:
        run: Its seed, and whether less must do.
        name: Of its file, and of the folder where an interrupted training goes on.
        preset: Its recipe, from the training images and a seed. Weights of another recipe are not taken for it.

    Returns:
        The model in eval mode; `seconds` of wall time with one thread, `steps` and `epochs` of its training.
    """
    place = run.place.parent / f"density-{run.seed}{'-quick' if run.quick else ''}"
    path, images = place / f"{name}.safetensors", digits_of(run)

    def learn(recipe: Preset, mark: str) -> Trained:
        torch.set_num_threads(1)  # the same sums, hence the same weights, on a busy machine too
        done = train(recipe, images, out=place / f"{name}-{mark}")
        done.facts["training"] |= {"seconds": done.history.seconds, "epochs": done.history.epochs}
        (place / f"{name}-nats.json").unlink(missing_ok=True)
        return done

    model, facts = learned_once(path, preset(images, run.seed), learn)
    assert isinstance(model, PixelDensity)  # noqa: S101
    return model, {key: float(facts["training"][key]) for key in ("seconds", "steps", "epochs")}


def density(run: Run, name: str) -> tuple[PixelDensity, dict[str, float]]:
    """The density of `RECIPES` by its name, and what its training cost; two passes over small digits if quick."""
    small, full = RECIPES[name]
    return trained(
        run, name, lambda images, seed: small(images, seed=seed, epochs=2, levels=2) if run.quick else full(seed)
    )


def score(run: Run, name: str, model: PixelDensity) -> dict[str, float]:
    """Mean `nats` of the `images` for testing and its standard `error`, kept beside the weights.

    Each pixel is drawn once as 0 or 1, by lots of the run's seed.
    """
    path = run.place / f"{name}-nats.json"
    if not path.is_file():
        torch.set_num_threads(1)
        asked = digits_of(run, "test")
        each = nats(model, asked.pixels, loss=DensityLoss(binarize=True), seed=run.seed)
        told = {"nats": float(each.mean()), "error": float(each.std()) / len(each) ** 0.5, "images": len(each)}
        path.write_text(json.dumps(told), encoding="utf-8")
    kept: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def measured(run: Run, name: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Nats an image of a density of `RECIPES`, over all test images."""
    model, spent = density(run, name)
    told = score(run, name, model)
    return {f"{name}_nats": told["nats"]}, {**told, "training": spent}


def distinct(draws: Sequence[Tensor]) -> float:
    """Share of images of whose draws [n, C, H, W] each no two are alike."""
    alike = torch.zeros(len(draws[0]), dtype=torch.bool)
    for i, one in enumerate(draws):
        for other in draws[:i]:
            alike |= (one == other).flatten(1).all(1)
    return float((~alike).double().mean())


def panel(rows: Sequence[Tensor], columns: int = 12) -> Tensor:
    """The first images of sets [n, C, H, W], a row for each set, as bytes."""
    columns = min(columns, len(rows[0]))
    return sheet(torch.cat([row[:columns] for row in rows]), columns)
