"""Recurrent densities in the bench: what was trained once is scored once, and the best is the least of all."""

import json

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.densities import digits_of
from amiss.bench.density_long_pixel import pixel
from amiss.bench.density_recurrent import best, diagonal, raster, row, score
from amiss.models import RowLSTM
from amiss.training import save_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("bench") / "density-10-quick")


@pytest.fixture(scope="module")
def parts(run):
    run.place.mkdir()
    return {"row_lstm": row(run), "diagonal_bilstm": diagonal(run), "raster_lstm": raster(run)}


def test_passes_over_the_digits_teach_each_network_something(parts):
    """Better than independent pixels, each with the mean of the training images: what no context can beat."""
    learned, asked = (digits_of(Run(10, True, None), split).images() for split in ("train", "test"))
    mean = learned.mean(0).clamp(0.01, 0.99)
    alone = -(asked * mean.log() + (1 - asked) * (1 - mean).log()).flatten(1).sum(1).mean()
    for name, (figures, told) in parts.items():
        assert figures == {f"{name}_nats": told["nats"]}
        assert told["nats"] < float(alone), name
        assert 0 < told["error"] < 1
        assert told["images"] == len(asked)


def test_the_best_is_the_least_and_counts_a_pixelcnn_that_is_there(run, parts):
    figures, told = best(run)
    assert figures["pixel_nats"] == min(part["nats"] for _, part in parts.values())
    # Files of other densities of this seed count too; here one that knows nothing, 64 coins.
    coins = RowLSTM(size=8, width=2, state=2, first=3, hidden=2)
    with torch.no_grad():
        for p in coins.parameters():
            p.zero_()
    recipe = {"architecture": "RowLSTM", "arguments": {"size": 8, "width": 2, "state": 2, "first": 3, "hidden": 2}}
    save_model(run.place / "pixelcnn.safetensors", coins, recipe, {})
    again, told = best(run)
    assert told["nats"]["pixelcnn"] == pytest.approx(64 * 0.6931472, abs=1e-4)
    assert again["pixel_nats"] == min(told["nats"].values())


def test_what_is_scored_stays_scored(run, parts):
    path = run.place / "row_lstm-nats.json"
    path.write_text(json.dumps({"nats": 1.5, "error": 0.1, "images": 3}))
    assert score(run, "row_lstm", None)["nats"] == 1.5


def test_the_long_run_tells_what_its_own_samples_cost(tmp_path):
    run = Run(10, True, tmp_path / "density-long-10-quick")
    run.place.mkdir()
    figures, told = pixel(run)
    assert figures["own_sample_gap"] == abs(told["own"] - told["unseen"])
    # Two draws of the same digits' pixels cost about the same.
    assert abs(told["unseen"] - figures["pixel_nats"]) < 4 * told["error"]
    assert told["samples"] == 100
