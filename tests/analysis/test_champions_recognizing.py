"""Proxies of recognizability: each is what it says on images whose answer is known."""

import pytest
import torch

from amiss.analysis.champions import agreement, compressed, nearness, spectral_slope
from amiss.analysis.geometry import read_reference
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import DataError
from amiss.repro import generator

torch.set_num_threads(1)


def noise(n, c=1, side=64, seed=0):
    return (256 * torch.rand(n, c, side, side, generator=generator(seed, 17))).byte()


def sloped(power, n=4, side=64):
    """Images whose power falls with frequency as that."""
    f = torch.fft.fftfreq(side, dtype=torch.float64)
    radius = (f[:, None].square() + f.square()).sqrt().clamp_min(1 / side)
    white = torch.fft.fft2(torch.randn(n, 1, side, side, generator=generator(1), dtype=torch.float64))
    image = torch.fft.ifft2(white * radius ** (power / 2)).real
    return 0.5 + 0.1 * image / image.std()


@pytest.mark.parametrize("power", [0, -1, -2, -3])
def test_the_slope_is_the_power_that_was_put_in(power):
    assert spectral_slope(sloped(power)).mean() == pytest.approx(power, abs=0.2)


def test_noise_has_no_slope_whatever_its_channels_and_a_flat_image_none_at_all(refuses):
    assert spectral_slope(noise(8)).abs().max() < 0.3
    assert spectral_slope(noise(2, 3)).abs().max() < 0.4
    assert spectral_slope(torch.full((1, 1, 32, 40), 9, dtype=torch.uint8)).isnan().all()
    with refuses(DataError, "spectrum-small"):
        spectral_slope(noise(1, side=15))


def test_noise_is_not_compressed_and_regularity_is():
    stripes = (torch.arange(64) % 8 < 4).byte().mul(255).expand(1, 1, 64, 64)
    bits = compressed(torch.cat([noise(1), stripes, torch.zeros(1, 1, 64, 64, dtype=torch.uint8)]))
    assert 8 <= bits[0] < 8.6
    assert bits[1] < 0.5 and bits[2] < 0.5
    assert compressed(noise(1, 3))[0] >= 8


def test_who_is_asked_says_whether_it_agrees():
    bright = Classifier(lambda x: torch.stack([-x.mean((1, 2, 3)), x.mean((1, 2, 3)) - 1], 1) * 40)
    images = torch.tensor([0, 30, 200, 255], dtype=torch.uint8)[:, None, None, None].expand(4, 1, 8, 8)
    told = agreement(bright, images, torch.tensor([0, 1, 1, 0]), batch=3)
    assert told.same.tolist() == [True, False, True, False]
    assert told.share == 0.5 and told.side is None
    assert told.confidence[2] == pytest.approx(1 / (1 + torch.tensor(-40 * (400 / 255 - 1)).exp().item()), abs=1e-5)


def test_images_are_brought_to_the_side_that_is_wanted():
    seen = []

    def sides(x):
        seen.append(tuple(x.shape))
        return torch.stack([x.mean((1, 2, 3)), 1 - x.mean((1, 2, 3))], 1)

    told = agreement(
        Classifier(sides, size=24, labels=["a", "b"]), noise(5), torch.zeros(5, dtype=torch.int64), batch=2
    )
    assert {shape[1:] for shape in seen} == {(1, 24, 24)} and told.side == 24


def test_a_natural_image_is_at_no_distance_and_noise_is_far():
    levels = torch.tensor([10, 20, 40, 200, 210, 240], dtype=torch.uint8)
    natural = Images.of(levels[:, None, None, None].expand(6, 1, 4, 4).contiguous(), [0, 0, 0, 1, 1, 1], ["a", "b"])
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    torch.nn.init.ones_(net[1].weight)
    classifier = Classifier(net)
    reference = read_reference(classifier, "0", natural)
    shown = torch.tensor([20, 25, 0, 225], dtype=torch.uint8)[:, None, None, None].expand(4, 1, 4, 4)
    told = nearness(classifier, reference, shown, torch.tensor([0, 0, 1, 1]))
    # Nearest neighbors within the classes are 10, 10, 20 and 10, 10, 30 gray levels away.
    assert told.tolist() == pytest.approx([0, 5 / (40 / 3), 200 / (50 / 3), 15 / (50 / 3)], rel=1e-4)
