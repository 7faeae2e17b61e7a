"""The bench of densities in its quick form: what was trained once is scored once, and the best is the least."""

import json
import math

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.densities import RECIPES, density, digits_of, measured, score, trained
from amiss.bench.density_long_pixel import pixel
from amiss.bench.density_pixels import PIXELS, best, pixelcnn
from amiss.bench.sampling_superres import superres, superres_of
from amiss.training.presets.densities import fvbn_for


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("benches") / "density-10-quick"
    place.mkdir()
    return Run(10, True, place)


@pytest.fixture(scope="module")
def parts(run):
    return {name: measured(run, name) for name in RECIPES}


def test_passes_over_the_digits_teach_each_network_something(parts):
    """Better than independent pixels, each with the mean of the training images; dense layers, better than coins."""
    learned, asked = (digits_of(Run(10, True, None), split).images() for split in ("train", "test"))
    mean = learned.mean(0).clamp(0.01, 0.99)
    alone = -(asked * mean.log() + (1 - asked) * (1 - mean).log()).flatten(1).sum(1).mean()
    for name, (figures, told) in parts.items():
        json.dumps(told)
        least = alone if name in PIXELS else 64 * math.log(2)
        assert figures == {f"{name}_nats": told["nats"]}
        assert told["nats"] < float(least), name
        assert 0 < told["error"] < 1
        assert told["images"] == len(asked)


def test_the_best_is_the_least(run, parts):
    figures, told = best(run)
    assert figures["pixel_nats"] == min(parts[name][0][f"{name}_nats"] for name in PIXELS)
    assert figures["pixel_minutes"] == max(told["minutes"].values()) > 0


def test_the_field_of_the_gated_network_has_no_hole(run):
    figures, told = pixelcnn(run)
    assert figures["gated_field_seen"] == 1 > figures["pixelcnn_field_seen"]
    assert told["field"]["later"] == told["field"]["gated_later"] == 0


def test_a_density_is_trained_and_scored_once(run, parts):
    first, again = density(run, "row_lstm")[0], density(run, "row_lstm")[0]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    path = run.place / "row_lstm-nats.json"
    before = path.read_text()
    path.write_text(json.dumps({"nats": 1.5, "error": 0.1, "images": 3}))
    assert score(run, "row_lstm", first)["nats"] == 1.5
    path.write_text(before)


def test_weights_of_another_recipe_are_not_taken_for_this_one(tmp_path):
    run = Run(10, True, tmp_path / "density-10-quick")
    run.place.mkdir()

    def recipe(epochs):
        return lambda images, seed: fvbn_for(images, levels=2, seed=seed, epochs=epochs)

    one = trained(run, "toy", recipe(1))[1]
    (run.place / "toy-nats.json").write_text("{}")
    two = trained(run, "toy", recipe(2))[1]
    assert two["steps"] > one["steps"]
    assert not (run.place / "toy-nats.json").exists()
    assert trained(run, "toy", recipe(2))[1] == two


def test_super_resolution_heeds_what_it_is_given(run):
    figures, told = superres(run)
    json.dumps(told)
    assert 0 <= figures["superres_distinct"] <= 1
    assert 0 <= told["mse_best_of_draws"] <= figures["superres_mse"]
    assert (run.place / "superres.png").is_file()
    model = superres_of(run)[0]
    # White blocks are answered with more white than black ones.
    low = torch.zeros(32, 1, 2, 2)
    low[16:] = 1
    ink = model.sample(32, low).mean((1, 2, 3))
    assert ink[16:].mean() > ink[:16].mean() + 0.2


def test_the_long_run_tells_what_its_own_samples_cost(tmp_path):
    run = Run(10, True, tmp_path / "density-long-10-quick")
    run.place.mkdir()
    (tmp_path / "density-10-quick").mkdir()
    figures, told = pixel(run)
    assert figures["own_sample_gap"] == abs(told["own"] - told["unseen"])
    # Two draws of the same digits' pixels cost about the same.
    assert abs(told["unseen"] - figures["pixel_nats"]) < 4 * told["error"]
    assert told["samples"] == 100
