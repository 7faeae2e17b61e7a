"""Likelihoods: sums over dimensions, nats, and distributions that add up to one."""

import itertools
import math

import pytest
import torch

from amiss.errors import UsageError
from amiss.models import Bernoulli, Normal, bits_per_dim


def test_probabilities_of_all_binary_images_add_up_to_one():
    logits = torch.tensor([0.3, -2.0, 1.0, 4.0]).reshape(1, 1, 2, 2)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).reshape(16, 1, 2, 2)
    log_prob = Bernoulli().log_prob(logits.expand(16, 1, 2, 2), images)
    assert log_prob.shape == (16,)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.1, 0.5, None])
def test_normal_is_that_of_torch_summed_over_pixels(sigma):
    likelihood = Normal(sigma)
    g = torch.Generator().manual_seed(0)
    output = torch.randn(3, 2 * likelihood.outputs, 4, 4, generator=g)
    x = torch.rand(3, 2, 4, 4, generator=g)
    scale = torch.tensor(sigma) if sigma else output[:, 2:].clamp(-6, 2).exp()
    expected = torch.distributions.Normal(output[:, :2].sigmoid(), scale).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.log_prob(output, x), expected)
    assert likelihood.mean(output).shape == x.shape


def test_a_learned_sigma_cannot_buy_infinite_density():
    output = torch.full((1, 2, 1, 1), -1e6)
    density = Normal(None).log_prob(output, torch.zeros(1, 1, 1, 1))
    assert density.item() == pytest.approx(6 - 0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize(("likelihood", "spread"), [(Bernoulli(), 0.46), (Normal(0.2), 0.2)])
def test_samples_have_the_mean_and_spread_of_the_distribution(likelihood, spread):
    output = torch.full((20_000, 1, 1, 1), math.log(3 / 7))  # mean 0.3
    draws = likelihood.sample(output, torch.Generator().manual_seed(0))
    assert draws.mean().item() == pytest.approx(0.3, abs=0.012)
    assert draws.std().item() == pytest.approx(spread, rel=0.03)
    assert torch.equal(draws, likelihood.sample(output, torch.Generator().manual_seed(0)))


def test_a_fair_coin_costs_one_bit_a_dimension():
    nats = Bernoulli().log_prob(torch.zeros(2, 1, 28, 28), torch.ones(2, 1, 28, 28))
    torch.testing.assert_close(bits_per_dim(nats, 784), torch.ones(2))
    with pytest.raises(UsageError):
        bits_per_dim(nats, 0)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_spread_that_means_nothing_is_refused(sigma):
    with pytest.raises(UsageError, match="standard deviation"):
        Normal(sigma)
