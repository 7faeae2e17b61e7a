"""Parts of densities without recurrence, in their quick form: laws of their figures, not their size."""

import json
import math

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.densities import digits_of
from amiss.bench.density_masked import fvbn, made, pixelcnn, pixelcnn_of
from amiss.bench.sampling_superres import superres, superres_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("benches") / "density-10-quick"
    place.mkdir()
    return Run(10, True, place)


@pytest.mark.parametrize("part", [fvbn, made, pixelcnn])
def test_a_density_has_learned_something(run, part):
    figures, told = part(run)
    json.dumps(told)
    name = f"{part.__name__}_nats"
    pixels = digits_of(run, "test").images()
    assert 0 < figures[name] < pixels[0].numel() * math.log(2)  # better than fair lots
    assert told["images"] == len(pixels)


def test_the_field_of_the_gated_network_has_no_hole(run):
    figures, told = pixelcnn(run)
    assert figures["gated_field_seen"] == 1 > figures["pixelcnn_field_seen"]
    assert told["field"]["later"] == told["field"]["gated_later"] == 0


def test_a_density_is_trained_once(run):
    first, again = pixelcnn_of(run)[0], pixelcnn_of(run)[0]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


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
