"""Likelihoods of gray levels: they sum to 1, their draws follow them, and a temperature sharpens or flattens."""

import math

import pytest
import torch

from amiss.errors import UsageError
from amiss.models import Bernoulli, Categorical, LogisticMixture, bits_per_dim

KINDS = [
    Bernoulli(),
    Categorical(2),
    Categorical(8),
    Categorical(256),
    LogisticMixture(3, 8),
    LogisticMixture(2, 256),
]


def outputs(likelihood, n=6, channels=1, scale=2.0, seed=0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, likelihood.outputs * channels, 1, generator=g, dtype=torch.float64)


def chances(likelihood, output):
    """Probability of each level [N, levels]."""
    values = torch.linspace(0, 1, likelihood.levels, dtype=torch.float64)
    return torch.stack([likelihood.log_prob(output, v.expand(len(output), 1, 1)).exp() for v in values], 1)


@pytest.mark.parametrize("likelihood", KINDS, ids=repr)
@pytest.mark.parametrize("scale", [0.3, 2.0, 8.0])
def test_probabilities_of_all_levels_sum_to_one(likelihood, scale):
    total = chances(likelihood, outputs(likelihood, scale=scale)).sum(1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)


@pytest.mark.parametrize("likelihood", KINDS, ids=repr)
def test_draws_follow_the_probabilities(likelihood):
    output, n = outputs(likelihood, n=1), 20_000
    expected = chances(likelihood, output)[0]
    g = torch.Generator().manual_seed(1)
    drawn = likelihood.sample(output.expand(n, -1, -1), g)[:, 0, 0]
    place = (drawn * (likelihood.levels - 1)).round().long()
    assert (drawn * (likelihood.levels - 1) - place).abs().max() < 1e-9
    found = torch.bincount(place, minlength=likelihood.levels).double() / n
    # Five standard deviations of a share, and a little for shares of nothing.
    assert ((found - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-3).all()


@pytest.mark.parametrize("likelihood", KINDS, ids=repr)
def test_a_mean_is_the_mean_of_the_levels(likelihood):
    if isinstance(likelihood, LogisticMixture):
        pytest.skip("the mean of the mixture is that of its components, not of its bins")
    output = outputs(likelihood)
    values = torch.linspace(0, 1, likelihood.levels, dtype=torch.float64)
    torch.testing.assert_close(likelihood.mean(output)[:, 0, 0], chances(likelihood, output) @ values)


@pytest.mark.parametrize("likelihood", KINDS, ids=repr)
def test_dimensions_are_summed_and_rows_are_not(likelihood):
    """With two channels and three places: the sum of the parts, whatever the order of the blocks is."""
    g = torch.Generator().manual_seed(2)
    output = torch.randn(4, likelihood.outputs * 2, 3, generator=g, dtype=torch.float64)
    x = torch.randint(0, likelihood.levels, (4, 2, 3), generator=g).double() / (likelihood.levels - 1)
    blocks = output.unflatten(1, (likelihood.outputs, 2))
    parts = [
        likelihood.log_prob(blocks[:, :, c, i : i + 1], x[:, c : c + 1, i : i + 1])
        for c in range(2)
        for i in range(3)
    ]
    torch.testing.assert_close(likelihood.log_prob(output, x), torch.stack(parts).sum(0))


# Of a mixture one component in the middle: of several the sharper draw may well choose the broadest.
@pytest.mark.parametrize("likelihood", [*KINDS[:4], LogisticMixture(1, 64)], ids=repr)
def test_temperature_sharpens_and_flattens(likelihood):
    output = outputs(likelihood)
    if isinstance(likelihood, LogisticMixture):
        output = torch.tensor([0.0, 0.1, -2.0], dtype=torch.float64).reshape(1, 3, 1)

    def entropy(temperature):
        p = chances(likelihood, likelihood.tempered(output, temperature)).clamp_min(1e-300)
        return -(p * p.log()).sum(1)

    assert (entropy(0.5) < entropy(1.0)).all()
    assert (entropy(1.0) < entropy(2.0)).all()


def test_extreme_outputs_give_finite_numbers_and_gradients():
    likelihood = LogisticMixture(2, 256)
    output = torch.tensor([[50.0, -50, 30, -30, -40, 40]]).reshape(1, 6, 1).repeat(3, 1, 1).requires_grad_()
    nats = likelihood.log_prob(output, torch.tensor([0.0, 128 / 255, 1.0]).reshape(3, 1, 1))
    assert nats.isfinite().all()
    nats.sum().backward()
    assert output.grad.isfinite().all()


def test_uniform_levels_cost_their_bits():
    nats = Categorical(256).log_prob(torch.zeros(2, 256 * 3, 4), torch.zeros(2, 3, 4))
    torch.testing.assert_close(nats, torch.full((2,), -12 * math.log(256)))
    torch.testing.assert_close(bits_per_dim(nats, 12), torch.full((2,), 8.0))


@pytest.mark.parametrize(
    ("make", "slug"),
    [
        (lambda: Categorical(1), "likelihood-levels"),
        (lambda: Categorical(257), "likelihood-levels"),
        (lambda: LogisticMixture(0), "likelihood-components"),
        (lambda: LogisticMixture(2, 1), "likelihood-levels"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make, slug):
    with pytest.raises(UsageError) as error:
        make()
    assert error.value.slug == slug
