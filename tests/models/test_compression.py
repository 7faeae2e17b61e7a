"""The learned codec: its prior is one, looks back alone, and costs what it says; images of every size fit."""

import math

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models import Density, ImageCodec, LatentVariable, build
from amiss.models.compression import FEATURES, LEAST, _nats

torch.set_num_threads(1)


def codec(seed=0, **arguments):
    """A small codec with a prior that looks everywhere."""
    small = {"channels": 1, "size": 16, "stride": 8, "code": 5, "width": 8, "depth": 1, "rates": 3}
    model = build({"architecture": "ImageCodec", "arguments": {**small, **arguments}}, seed)
    with torch.no_grad():
        draw = torch.Generator().manual_seed(seed)
        model.scale.copy_(0.1 * torch.randn(model.scale.shape, generator=draw))
        model.mean.copy_(0.1 * torch.randn(model.mean.shape, generator=draw))
    return model.eval()


def test_the_cost_of_a_number_is_that_of_its_logistic_mass():
    scale = torch.tensor([LEAST, 0.3, 1.0, 7.0], dtype=torch.float64)[:, None]
    d = torch.arange(-12, 13, dtype=torch.float64)
    # Of the lower tail, whose differences lose nothing.
    mass = torch.sigmoid((0.5 - d.abs()) / scale) - torch.sigmoid((-0.5 - d.abs()) / scale)
    got = _nats(d, scale)
    known = mass > 1e-200
    assert torch.allclose(got[known], -mass[known].log(), rtol=1e-9, atol=1e-12)
    assert torch.allclose(
        _nats(torch.arange(-4000.0, 4001).double(), scale).neg().exp().sum(1), torch.ones(4).double()
    )
    assert bool(_nats(torch.tensor([3e4]), torch.tensor([LEAST])).isfinite().all())


@pytest.mark.parametrize("place", [(0, 0, 0), (0, 1, 1), (2, 0, 1), (2, 1, 0), (4, 1, 1)])
def test_the_prior_of_a_number_knows_those_before_it_alone(place):
    model = codec(size=24, code=40)
    code = torch.randint(-4, 5, (2, *model.grid), generator=torch.Generator().manual_seed(0)).float()
    rate = torch.tensor([0, 2])
    mean, scale = model.prior_of(code, rate)
    c, i, j = place
    changed = code.clone()
    changed[:, c, i, j] += 50
    mean_then, scale_then = model.prior_of(changed, rate)
    differ = ((mean != mean_then) | (scale != scale_then))[0]
    order = torch.arange(differ.numel()).view(model.grid)
    assert not differ[order <= order[c, i, j]].any()
    assert differ.any() == (place != (39, 2, 2))
    assert (scale >= LEAST).all()


def test_a_part_of_the_channels_has_the_prior_that_it_has_in_the_whole():
    model = codec(code=40)
    code = torch.randint(-4, 5, (2, *model.grid), generator=torch.Generator().manual_seed(0)).float()
    rate = torch.zeros(2, dtype=torch.long)
    mean, scale = model.prior_of(code, rate)
    mean_part, scale_part = model.prior_of(code[:, 3:38], rate, 3)
    assert torch.equal(mean[:, 37], mean_part[:, -1])
    assert torch.allclose(scale[:, 37], scale_part[:, -1])


def test_draws_from_the_prior_cost_as_much_as_its_entropy():
    model = codec()
    with torch.no_grad():
        model.scale.copy_(torch.full((3, 5, FEATURES), -4.0) / 20)  # the features do not count
        model.scale[:, :, 0] = math.log(math.expm1(2)) / 20
        model.mean.zero_()
    code = model.prior(2000, generator=torch.Generator().manual_seed(0)).view(-1, *model.grid)
    with torch.no_grad():  # features still count for a little: the entropy is that of the scales found
        mean, scale = model.prior_of(code, torch.ones(2000, dtype=torch.long))
    entropy = scale.log() + 2  # of a logistic distribution; of its rounding nearly the same
    assert float(_nats(code - mean, scale).mean()) == pytest.approx(float(entropy.mean()), abs=0.02)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 20), (1, 28), (3, 32)])
def test_images_of_every_size_go_there_and_back(channels, size):
    model = codec(channels=channels, size=size)
    x = torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    z = model.encode(x)
    assert z.shape == (2, model.latent)
    assert model.decode(z).shape == model(x).shape == x.shape
    code = model.quantize(x, 0)
    assert torch.equal(code, code.round())
    assert model.nats(code, 0).shape == (2,)
    assert model.sample(3).shape == (3, channels, size, size)
    assert torch.equal(model.sample(2), model.sample(2))
    assert isinstance(model, LatentVariable) and isinstance(model, Density)


@torch.no_grad()
def test_rounding_costs_what_the_code_says_and_noise_about_as_much():
    model = codec()
    x = torch.rand(50, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    model.log_gain += 0.5
    rate = torch.full((50,), 1)
    nats, error = model.rate_distortion(x, rate)
    code = model.quantize(x, 1)
    assert torch.equal(nats, model.nats(code, 1))
    assert torch.allclose(error, (model.synthesize(code, rate) - x).square().flatten(1).sum(1))
    noisy = model.rate_distortion(x, rate, torch.Generator().manual_seed(0))[0]
    assert float(noisy.sum()) == pytest.approx(float(nats.sum()), rel=0.1)


def test_every_weight_learns():
    model = codec().train()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "last" in name or "layers.1" in name:
                weight.normal_(0, 0.1)
        model.log_gain += 0.5
    x = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    nats, error = model.rate_distortion(x, torch.arange(8) % 3, torch.Generator().manual_seed(0))
    (nats.sum() + 10 * error.sum()).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_what_cannot_be_built_or_asked_is_refused():
    for wrong in ({"stride": 6}, {"code": 65}, {"rates": 0}, {"size": 10**6}, {"width": 10**6}):
        with pytest.raises(UsageError, match="codec-arguments"):
            codec(**wrong)
    model = codec()
    with pytest.raises(ContractError, match="codec-shape"):
        model.encode(torch.zeros(1, 3, 16, 16))
    with pytest.raises(UsageError, match="codec-rate"):
        model.quantize(torch.zeros(1, 1, 16, 16), 3)
    with pytest.raises(ContractError, match="density-none"):
        model.log_prob(torch.zeros(1, 1, 16, 16))
    with pytest.raises(ContractError, match="codes-condition"):
        model.sample(1, torch.zeros(1))
    assert isinstance(model, ImageCodec)
