"""The parts of the bench of sampling in their quick forms: what they count is what they say."""

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.densities import RECIPES, binary_images, distinct
from amiss.bench.sampling_completion import complete
from amiss.bench.sampling_speed import speed


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "sampling-10-quick"
    place.mkdir()
    return Run(10, True, place)


def test_every_density_is_completed_and_keeps_what_is_given(run):
    figures, raw = complete(run)
    assert all(raw[name]["given_kept"] == 1 for name in RECIPES)
    assert figures["completion_agreement"] == min(raw[name]["agreement"] for name in RECIPES)
    assert all(0 <= figures[f"completion_agreement_{name}"] <= 1 for name in RECIPES)
    assert all((run.place / f"completion-{name}.png").is_file() for name in RECIPES)
    assert complete(run) == (figures, raw)  # weights are read again, lots are those of the seed


def test_the_cache_draws_the_same_images_and_costs_less(run):
    figures, raw = speed(run)
    assert figures["cached_equals_naive"] == 1
    assert raw["float32_pixels_alike"] > 0.99
    assert figures["cached_sampling_speedup"] > 1


def test_images_are_distinct_where_no_two_draws_are_alike():
    a, b, c = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2), torch.full((2, 1, 2, 2), 0.5)
    assert distinct([a, b, c]) == 1
    c[1] = a[1]
    assert distinct([a, b, c]) == 0.5


def test_binarized_images_are_those_of_the_seed(run):
    x = binary_images(run, 30).images()
    assert ((x == 0) | (x == 1)).all()
    assert x.equal(binary_images(run, 30).images())
    other = binary_images(Run(11, True, run.place), 30).images()
    assert 0 < float((x != other).double().mean()) < 0.5
