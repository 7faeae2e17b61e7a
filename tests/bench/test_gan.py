"""Generators judged by known answers, and the bench has a quick form."""

import math

import pytest
import torch

from amiss.bench.bench import Run, load_bench
from amiss.bench.gan_digits import dcgan, dense
from amiss.bench.gan_faces import faces, picked
from amiss.bench.gan_ring import on_ring, ring, ring_points
from amiss.repro import generator


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(10, True, tmp_path_factory.mktemp("gan"))


def test_points_of_the_ring_are_on_the_ring():
    """Within three standard deviations of a hill in the plane lie 1 - exp(-9 / 2) of its points."""
    modes, good, shares = on_ring(ring_points(20_000, generator(0)))
    assert modes == 8
    assert good == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert shares.sum().item() == pytest.approx(good)


def test_a_collapsed_generator_has_one_mode_and_a_blurred_one_none():
    points = ring_points(4000, generator(0))
    one = points[(points - points[0]).flatten(1).norm(dim=1) < 0.03]
    modes, good, _ = on_ring(one)
    assert modes == 1
    assert good > 0.95
    assert on_ring(torch.rand(4000, 1, 1, 2, generator=generator(1)))[0] == 0


def test_three_different_codes_are_picked_a_trial():
    codes = torch.arange(5.0)[:, None]
    trials = picked(codes, 200, generator(0))[..., 0]
    assert trials.shape == (200, 3)
    assert all(len(set(row)) == 3 for row in trials.tolist())
    assert set(trials.flatten().tolist()) == set(range(5))


def test_every_part_has_a_quick_form_with_every_figure(run):
    parts = {"ring": ring, "dense": dense, "dcgan": dcgan, "faces": faces}
    bench = load_bench("gan")
    assert {name: bench.parts[name] for name in parts} == parts
    figures, raw = {}, {}
    for name, part in parts.items():
        more, raw[name] = part(run)
        figures |= more
    assert figures.keys() <= bench.bars.keys()
    assert 0 <= figures["ring_modes"] <= 8
    assert 0 <= figures["dcgan_classes"] <= 10
    assert 0 <= figures["dcgan_memorised"] <= 1
    assert 0 <= figures["gan_arithmetic"] <= 1
    assert figures["dcgan_class_kl"] >= 0
    # After a few steps nothing is a digit: far from the test images, where the training images are near.
    assert figures["dcgan_frechet"] > 10 * raw["dcgan"]["frechet_of_training_images"]
    assert sum(raw["dcgan"]["shares"]) == pytest.approx(1)
    again, _ = dcgan(run)  # read from its file
    assert {**again, "dcgan_minutes": 0} == {**{k: figures[k] for k in again}, "dcgan_minutes": 0}
