"""Recurrent densities of binary digits, and the best of all densities that go pixel by pixel."""

import json
from collections.abc import Callable
from typing import Any

import torch

from amiss.bench.bench import Run
from amiss.bench.densities import digits_of, trained
from amiss.models import Autoregressive
from amiss.training import Preset, load_model
from amiss.training.losses import DensityLoss
from amiss.training.measures.likelihood import nats
from amiss.training.presets.recurrent_densities import (
    diagonal_bilstm_for,
    mnist_diagonal_bilstm,
    mnist_raster_lstm,
    mnist_row_lstm,
    raster_lstm_for,
    row_lstm_for,
)

__all__ = ["best", "diagonal", "raster", "row", "score"]

_OTHERS = ("pixelcnn", "gated_pixelcnn")  # names of files of this bench that hold further densities of pixels


def row(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Nats an image of a Row LSTM."""
    return _measured(run, "row_lstm", row_lstm_for, mnist_row_lstm)


def diagonal(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Nats an image of a Diagonal BiLSTM."""
    return _measured(run, "diagonal_bilstm", diagonal_bilstm_for, mnist_diagonal_bilstm)


def raster(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """Nats an image of an LSTM in reading order."""
    return _measured(run, "raster_lstm", raster_lstm_for, mnist_raster_lstm)


def best(run: Run) -> tuple[dict[str, float], dict[str, Any]]:
    """The least nats among the recurrent densities and the PixelCNNs of this seed that have been trained already.

    Each of them is trained in minutes of one thread, which their own parts tell.
    """
    found = {}
    for name, part in (("row_lstm", row), ("diagonal_bilstm", diagonal), ("raster_lstm", raster)):
        found[name] = part(run)[0][f"{name}_nats"]
    for name in _OTHERS:
        if (path := run.place / f"{name}.safetensors").is_file():
            model, _ = load_model(path)
            assert isinstance(model, Autoregressive)  # noqa: S101
            found[name] = score(run, name, model)["nats"]
    return {"pixel_nats": min(found.values())}, {"nats": found, "best": min(found, key=found.__getitem__)}


def _measured(
    run: Run, name: str, small: Callable[..., Preset], full: Callable[[int], Preset]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Train on MNIST, or two passes over the small digits if quick, and score the test images."""
    model, spent = trained(
        run, name, lambda images, seed: small(images, seed=seed, epochs=2, levels=2) if run.quick else full(seed)
    )
    told = score(run, name, model)
    return {f"{name}_nats": told["nats"]}, told | {"training": spent}


def score(run: Run, name: str, model: Autoregressive) -> dict[str, float]:
    """Mean `nats` of the `images` for testing and its standard `error`, kept beside the weights.

    Each pixel is drawn once as 0 or 1, by lots of the run's seed.
    """
    path = run.place / f"{name}-nats.json"
    if not path.is_file():
        torch.set_num_threads(1)
        asked = digits_of(run, "test")
        each = nats(model, asked.pixels, loss=DensityLoss(binarize=True), seed=run.seed)
        error = float(each.std()) / len(each) ** 0.5
        path.write_text(
            json.dumps({"nats": float(each.mean()), "error": error, "images": len(each)}), encoding="utf-8"
        )
    told: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return told
