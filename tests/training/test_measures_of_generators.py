"""Frechet distance, classes, memory and guards, against answers in closed form."""

import math

import pytest
import torch
from scipy.linalg import sqrtm

from amiss.errors import DataError, ModelError
from amiss.models import build
from amiss.repro import generator
from amiss.training.measures.classes import class_shares, classes_drawn, entropy, histogram_kl
from amiss.training.measures.frechet import frechet_distance, gaussian_frechet, penultimate
from amiss.training.measures.game import diversity, game, won
from amiss.training.measures.memory import memorized, nearest

GAN = {"architecture": "GAN", "arguments": {"shape": [1, 4, 4], "latent": 3, "widths": [8], "judges": [8]}}


def covariance(d, seed):
    root = torch.randn(d, d + 2, generator=generator(seed), dtype=torch.float64)
    return root @ root.T


def test_the_distance_of_normal_numbers_is_that_of_means_and_deviations():
    """In one dimension: (m - n)^2 + (s - t)^2."""
    one = torch.ones(1)
    assert gaussian_frechet(3 * one, 4 * one[None], one, 25 * one[None]) == pytest.approx(4 + 9)


def test_commuting_covariances_have_a_closed_form():
    a, b = torch.tensor([1.0, 4.0, 0.0]), torch.tensor([9.0, 1.0, 16.0])
    distance = gaussian_frechet(torch.zeros(3), a.diag(), torch.zeros(3), b.diag())
    assert distance == pytest.approx(float((a.sqrt() - b.sqrt()).square().sum()))


def test_the_distance_is_that_of_the_root_of_the_product():
    a, b = covariance(6, 0), covariance(6, 1)
    m, n = torch.randn(2, 6, generator=generator(2), dtype=torch.float64)
    root = torch.from_numpy(sqrtm((a @ b).numpy()).real)
    expected = (m - n).square().sum() + (a + b - 2 * root).trace()
    assert gaussian_frechet(m, a, n, b) == pytest.approx(float(expected), rel=1e-9)
    assert gaussian_frechet(m, a, n, b) == pytest.approx(gaussian_frechet(n, b, m, a), rel=1e-9)


def test_samples_of_the_same_distribution_are_near_and_shifted_ones_as_far_as_the_shift():
    a, b = torch.randn(2, 20_000, 4, generator=generator(0)).unbind(0)
    assert frechet_distance(a, b) < 0.01
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b + 2) == pytest.approx(16, rel=0.02)
    assert frechet_distance(a, 3 * b) == pytest.approx(4 * (3 - 1) ** 2, rel=0.02)


def test_features_without_a_distance_are_refused():
    wide = torch.randn(5, 6)
    for a, b in ((wide, torch.randn(50, 6)), (torch.randn(50, 6), wide), (torch.randn(50, 6), torch.randn(50, 5))):
        with pytest.raises(DataError) as refused:
            frechet_distance(a, b)
        assert refused.value.slug == "frechet-shape"
    with pytest.raises(DataError) as refused:
        frechet_distance(torch.full((50, 6), math.nan), torch.randn(50, 6))
    assert refused.value.slug == "frechet-not-finite"


def test_the_last_hidden_layer_gives_the_logits():
    lenet = build({"architecture": "LeNet", "arguments": {"size": 8, "width": 4, "hidden": 7}}).eval()
    images = torch.randint(0, 256, (5, 1, 8, 8), generator=generator(0), dtype=torch.uint8)
    features, logits = penultimate(lenet, images, mean=(0.5,), std=(0.25,), batch=2)
    assert features.shape == (5, 7)
    torch.testing.assert_close(logits, lenet((images / 255 - 0.5) / 0.25))
    torch.testing.assert_close(logits, lenet.fc2(features))
    with pytest.raises(ModelError):
        penultimate(lenet.conv1, images)


def test_shares_of_classes_and_their_entropy():
    shares = class_shares(torch.tensor([0, 0, 0, 2]), 4)
    assert shares.tolist() == [0.75, 0, 0.25, 0]
    assert classes_drawn(shares) == 2
    assert classes_drawn(shares, 0.5) == 1
    assert entropy(shares) == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert entropy(torch.full((10,), 0.1)) == pytest.approx(math.log(10))
    for labels in ([], [4], [-1]):
        with pytest.raises(DataError):
            class_shares(torch.tensor(labels, dtype=torch.int64), 4)


def test_the_divergence_of_histograms():
    even = torch.full((4,), 0.25)
    assert histogram_kl(even, even) == 0
    assert histogram_kl(torch.tensor([1.0, 0, 0, 0]), even) == pytest.approx(math.log(4))
    assert histogram_kl(even, torch.tensor([1.0, 0, 0, 0])) == math.inf
    # A generator that lost one of four classes and is fair among the others: log 4/3.
    assert histogram_kl(torch.tensor([1, 1, 1, 0]) / 3, even) == pytest.approx(math.log(4 / 3))
    with pytest.raises(DataError):
        histogram_kl(even, torch.full((5,), 0.2))


def test_the_nearest_training_image_is_found_at_its_distance():
    training = torch.randint(0, 256, (300, 1, 6, 6), generator=generator(0), dtype=torch.uint8)
    images = torch.rand(40, 1, 6, 6, generator=generator(1))
    distances, index = nearest(images, training, batch=7)
    every = torch.cdist(images.flatten(1).double(), (training / 255).flatten(1).double())
    torch.testing.assert_close(distances.double(), every.min(1).values, rtol=1e-5, atol=1e-5)
    assert torch.equal(index, every.argmin(1))
    with pytest.raises(DataError):
        nearest(images, training[..., :5])


def test_copies_are_memorized_and_new_images_are_as_rarely_near_as_unseen_ones():
    every = torch.randint(0, 256, (1500, 1, 5, 5), generator=generator(0), dtype=torch.uint8)
    training, unseen, new = every[:500], every[500:1000], every[1000:]
    copied = memorized(training[:200], training, unseen)
    assert copied.share == 1
    assert torch.equal(copied.index, torch.arange(200))
    assert memorized(new, training, unseen).share == pytest.approx(0.01, abs=0.015)
    half = memorized(torch.cat([training[:100], new[:100]]), training, unseen)
    assert half.share == pytest.approx(0.5, abs=0.02)


def test_diversity_is_one_for_equal_spread_and_none_for_one_image():
    real = torch.rand(500, 1, 4, 4, generator=generator(0))
    assert diversity(real, real) == pytest.approx(1)
    assert diversity(real[:1].expand(50, -1, -1, -1), real) == pytest.approx(0, abs=1e-6)
    assert diversity(0.5 * real, real) == pytest.approx(0.5)
    for pair in ((real[:1], real), (real, real[..., :2]), (real, real[:1].expand(9, -1, -1, -1))):
        with pytest.raises(DataError):
            diversity(*pair)


def test_a_discriminator_has_won_where_its_loss_stays_low():
    assert won([1.0] * 5 + [0.01] * 10, steps=10) == 5
    assert won([1.0] * 5 + [0.01] * 9, steps=10) is None
    assert won([0.01] * 9 + [1.0] + [0.01] * 9, steps=10) is None
    assert won([]) is None


def test_a_generator_that_draws_one_image_alone_is_called_collapsed():
    model = build(GAN).eval()
    real = torch.rand(300, 1, 4, 4, generator=generator(0))
    last = model.generator[-2]
    with torch.no_grad():
        last.weight.mul_(1e-4)
    told = game(model, real)
    assert told.collapsed
    assert told.diversity < 0.01
    assert 0 <= told.caught <= 1
    assert 0 <= told.believed <= 1
    with torch.no_grad():
        last.weight.mul_(1e6)
    assert not game(model, real).collapsed
