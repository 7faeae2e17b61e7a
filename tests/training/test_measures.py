"""Measures of images and codes against known answers: those of scikit-image, and a model that is solved by hand."""

import math

import pytest
import torch

from amiss.errors import UsageError
from amiss.models.likelihoods import Bernoulli
from amiss.training.measures.images import mse, psnr, ssim
from amiss.training.measures.latent import active_units, bounds, collapse, importance_bound

torch.set_num_threads(1)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("channels", "side"), [(1, 11), (3, 20)])
def test_the_ratios_are_those_of_scikit_image(channels, side):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = rand(4, channels, side, side), rand(4, channels, side, side, seed=1)
    y = 0.7 * x + 0.3 * y
    known = [
        metrics.structural_similarity(
            a.double().numpy(), b.double().numpy(), channel_axis=0, data_range=1.0,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for a, b in zip(x, y, strict=True)
    ]  # fmt: skip
    torch.testing.assert_close(ssim(x, y), torch.tensor(known, dtype=torch.float64), rtol=0, atol=1e-6)
    known = [metrics.peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1.0) for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(psnr(x, y), torch.tensor(known, dtype=torch.float64), rtol=1e-5, atol=0)


def test_known_distances():
    x = torch.zeros(2, 1, 12, 12)
    y = x.clone()
    y[1] += 0.1
    assert mse(x, y).tolist() == pytest.approx([0, 0.01])
    assert psnr(x, y)[0] == math.inf and psnr(x, y)[1].item() == pytest.approx(20, abs=1e-5)
    assert ssim(y, y).tolist() == pytest.approx([1, 1])
    for wrong in (x[:1], x[0], torch.zeros(2, 1, 12, 13)):
        for measure in (mse, psnr, ssim):
            with pytest.raises(UsageError) as refused:
                measure(x, wrong)
            assert refused.value.slug == "measure-shapes"
    with pytest.raises(UsageError, match="11 x 11"):
        ssim(x[..., :10], x[..., :10])


class Unit:
    """The likelihood N(x; output, 1)."""

    outputs = 1

    def log_prob(self, output, x):
        return -0.5 * ((x - output) ** 2 + math.log(2 * math.pi)).flatten(1).sum(1)


class Linear:
    """x = a z + noise, all normal: log p(x) is that of N(0, 1 + a^2), and the posterior is known.

    Its posterior is the true one moved by `wrong`. The second dimension of the code is never used.
    """

    latent = 2
    likelihood = Unit()

    def __init__(self, a=1.5, wrong=0.0):
        self.a, self.wrong = a, wrong

    def posterior(self, x, c=None):
        mean = self.a / (1 + self.a**2) * x.flatten(1) + self.wrong
        log_variance = torch.full_like(mean, -math.log(1 + self.a**2))
        return torch.cat([mean, torch.zeros_like(mean)], 1), torch.cat([log_variance, torch.zeros_like(mean)], 1)

    def output(self, z, c=None):
        return self.a * z[:, :1, None, None]

    def log_prior(self, z):
        return -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)

    def log_prob(self, x):
        variance = 1 + self.a**2
        return -0.5 * (x.flatten(1)[:, 0] ** 2 / variance + math.log(2 * math.pi * variance))


def data(n, seed=0):
    return 2 * torch.randn(n, 1, 1, 1, generator=torch.Generator().manual_seed(seed))


def test_with_the_true_posterior_every_code_gives_the_log_probability():
    model, x = Linear(), data(50)
    for k in (1, 7):
        best, plain = importance_bound(model, x, k, torch.Generator().manual_seed(1))
        torch.testing.assert_close(best, model.log_prob(x).double(), rtol=0, atol=1e-4)
        torch.testing.assert_close(plain, best, rtol=0, atol=1e-4)


def test_the_bound_rises_with_the_codes_towards_the_log_probability():
    """With a posterior moved by w the plain bound falls short by w^2 (1 + a^2) / 2: its divergence."""
    model, x = Linear(wrong=0.6), data(1).expand(20_000, 1, 1, 1)
    truth = model.log_prob(x[:1]).item()
    means = []
    for k in (1, 4, 32):
        best, plain = importance_bound(model, x, k, torch.Generator().manual_seed(2))
        assert (best >= plain - 1e-9).all()
        means.append(best.mean().item())
    assert means[0] == pytest.approx(truth - 0.6**2 * (1 + 1.5**2) / 2, abs=0.03)
    assert means[0] < means[1] < means[2] < truth + 0.005
    assert truth - means[2] < 0.15 * (truth - means[0])


def test_bounds_of_many_images_do_not_depend_on_their_batches():
    x = rand(30, 1, 1, 1)
    one = bounds(Linear(), x, 3, batch=30)
    assert one.images == 30 and one.codes == 3
    assert one.importance == pytest.approx(Linear().log_prob(x).mean().item(), abs=1e-4)
    assert bounds(Linear(), x, 3, batch=7).importance == pytest.approx(one.importance, abs=1e-4)
    with pytest.raises(UsageError) as refused:
        bounds(Linear(), x, 0)
    assert refused.value.slug == "bound-codes"


def test_the_dimension_in_use_is_found():
    assert active_units(Linear(), rand(100, 1, 1, 1)).tolist() == [True, False]
    # The posterior mean is a / (1 + a^2) x: below a standard deviation of 0.1 it counts as unused.
    assert active_units(Linear(a=0.01), rand(100, 1, 1, 1)).tolist() == [False, False]


class Conditional(Linear):
    """Needs to be told the class, and adds it to the code's image."""

    def posterior(self, x, c=None):
        return super().posterior(x - c[:, None, None, None].to(x))

    def output(self, z, c=None):
        return super().output(z) + c[:, None, None, None].to(z)


def test_a_conditional_model_is_told_the_classes():
    x, c = data(12), torch.arange(12) % 3
    told = bounds(Conditional(), x, 2, c=c, batch=5)
    assert told.elbo == pytest.approx(Linear().log_prob(x - c[:, None, None, None]).mean().item(), abs=1e-4)
    assert active_units(Conditional(), rand(12, 1, 1, 1), c=c, batch=5).tolist() == [True, False]


def test_collapse_is_seen_and_health_as_well():
    x = rand(50, 1, 4, 4)
    perfect = collapse(lambda x: x, x)
    assert perfect.explained == pytest.approx(1) and perfect.varies == pytest.approx(1) and not perfect.collapsed
    mean = x.mean(0)
    assert collapse(lambda part: mean.expand_as(part), x).explained == pytest.approx(0, abs=1e-6)
    for dead in (mean, torch.zeros_like(mean), torch.ones_like(mean)):
        assert collapse(lambda part, dead=dead: dead.expand_as(part), x, batch=7).collapsed
    assert not collapse(lambda part: 0.5 * part + 0.5 * mean, x).collapsed
    # Answers that vary but have nothing to do with the images are no reconstructions.
    assert collapse(lambda part: 1 - part, x).collapsed


def test_the_likelihood_of_the_library_fits_the_measures():
    """A decoder of fair coins: every bound is -d ln 2, whatever the codes."""

    class Coins(Linear):
        likelihood = Bernoulli()

        def output(self, z, c=None):
            return torch.zeros(len(z), 1, 1, 1)

        def posterior(self, x, c=None):
            return torch.zeros(len(x), 2), torch.zeros(len(x), 2)

    told = bounds(Coins(), torch.full((5, 1, 1, 1), 128, dtype=torch.uint8), 4, binarize=True)
    assert told.elbo == pytest.approx(-math.log(2), abs=1e-5) == told.importance
