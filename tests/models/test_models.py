"""Classifiers and the autoencoder: shapes, names, known values, and rows that do not see each other."""

import pytest
import torch

from amiss.errors import ContractError, ModelError, UsageError
from amiss.models import ARCHITECTURES, ConvVAE, Density, LatentVariable, LeNet, ResNet, SmallCNN, build

torch.set_num_threads(1)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def vae(**arguments):
    model = build({"architecture": "ConvVAE", "arguments": {"width": 4, "hidden": 16, "latent": 3, **arguments}})
    assert isinstance(model, ConvVAE)
    return model.eval()


@pytest.mark.parametrize("size", [4, 8, 28, 30])
def test_lenet_gives_logits_for_any_small_size(size):
    assert LeNet(channels=2, classes=7, size=size)(rand(3, 2, size, size)).shape == (3, 7)


@pytest.mark.parametrize("size", [16, 32, 48, 50])
def test_small_cnn_gives_logits_for_larger_sizes(size):
    assert SmallCNN(channels=3, classes=2, size=size, width=4)(rand(3, 3, size, size)).shape == (3, 2)


def test_lenet_has_the_layers_and_parameters_it_says():
    model = LeNet()
    assert sum(p.numel() for p in model.parameters()) == 114_314
    names = "conv1 relu1 pool1 conv2 relu2 pool2 flatten fc1 relu3 fc2"
    assert [name for name, _ in model.named_children()] == names.split()


def test_images_too_small_are_refused():
    for make in (
        lambda: LeNet(size=3),
        lambda: ResNet(size=7),
        lambda: SmallCNN(size=15),
        lambda: ConvVAE(size=7),
        lambda: ConvVAE(latent=0),
    ):
        with pytest.raises(UsageError):
            make()


@pytest.mark.parametrize("size", [8, 9, 28, 33, 48, 50, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_autoencoder_keeps_shapes_and_range(size, channels):
    model = vae(channels=channels, size=size)
    x = rand(2, channels, size, size)
    assert model.encode(x).shape == (2, 3)
    image = model.decode(model.encode(x) * 100)
    assert image.shape == x.shape
    assert image.min() >= 0
    assert image.max() <= 1
    assert model.elbo(x).shape == (2,)


def test_decoding_is_deterministic_and_a_row_does_not_depend_on_its_batch():
    model = vae(size=28).double()
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    together = model.decode(z)
    assert torch.equal(together, model.decode(z))
    alone = torch.cat([model.decode(row[None]) for row in z])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)
    # Exactly: the image of row 0 has no derivative by row 1.
    z.requires_grad_(True)
    (grad,) = torch.autograd.grad(model.decode(z)[0].sum(), z)
    assert grad[0].abs().min() > 0
    assert not grad[1:].any()


def test_with_all_weights_zero_the_bound_is_that_of_fair_coins():
    """Posterior and prior agree and each of d pixels is a fair coin: the bound is -d ln 2, and exact."""
    model = vae(size=8)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    x = rand(4, 1, 8, 8).round()
    parts = model.elbo_parts(x)
    torch.testing.assert_close(parts.reconstruction, torch.full((4,), -64 * 0.6931472))
    assert torch.equal(parts.kl, torch.zeros(4))
    torch.testing.assert_close(model.log_prob(x), parts.total)


@pytest.mark.parametrize("form", [{"likelihood": "bernoulli"}, {"likelihood": "normal", "sigma": 0.5}])
def test_the_bound_is_below_the_log_probability(form):
    """Law: E[bound] <= E[log mean_k w_k], strictly once the posterior is not exact (Burda et al. 2016)."""
    model = vae(size=8, **form)
    x = rand(1, 1, 8, 8).round().expand(2000, 1, 8, 8)
    mean, log_variance = model.posterior(x)
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        noise = torch.randn(mean.shape, generator=g)
        z = mean + (0.5 * log_variance).exp() * noise
        log_q = (-0.5 * noise**2 - 0.5 * log_variance).sum(1)  # both without the constant of the normal
        weights = model.likelihood.log_prob(model.output(z), x) - 0.5 * (z**2).sum(1) - log_q
        importance = weights.logsumexp(0) - torch.tensor(2000.0).log()
        bound = model.elbo(x, torch.Generator().manual_seed(4)).mean()
    assert bound <= importance
    # The sampled KL has the analytic one as its mean: both bounds are the same number.
    assert weights.mean() == pytest.approx(float(bound), abs=0.3)


def test_the_kl_is_that_of_torch():
    model = vae(size=8)
    x = rand(4, 1, 8, 8)
    mean, log_variance = model.posterior(x)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (0.5 * log_variance).exp()), normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(model.elbo_parts(x).kl, expected)


def test_the_noise_of_a_bound_comes_from_the_generator_alone():
    model, x = vae(size=8), rand(3, 1, 8, 8)
    torch.manual_seed(1)
    first = model.elbo(x, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    assert torch.equal(first, model.elbo(x, torch.Generator().manual_seed(5)))
    assert not torch.equal(first, model.elbo(x, torch.Generator().manual_seed(6)))
    assert torch.equal(model.elbo(x), model.elbo(x))


def test_samples_are_decoded_codes_of_the_prior():
    model = vae(size=8)
    assert isinstance(model, Density)
    assert isinstance(model, LatentVariable)
    assert model.bound == "lower"
    cold = model.sample(3, temperature=0.0)
    torch.testing.assert_close(cold, model.decode(torch.zeros(3, 3)))
    codes = model.prior(4000, temperature=2.0, generator=torch.Generator().manual_seed(0))
    assert codes.std().item() == pytest.approx(2, rel=0.03)
    with pytest.raises(ContractError, match="prior alone"):
        model.sample(1, given=torch.zeros(1, 1, 8, 8))


def test_images_of_another_size_are_refused_with_both_shapes():
    with pytest.raises(ContractError, match=r"\(2, 1, 9, 9\)(.|\n)*\(N, 1, 8, 8\)"):
        vae(size=8).encode(rand(2, 1, 9, 9))


NEEDED = {
    "Inverter": {"generator": {"architecture": "DCGAN", "arguments": {"size": 8}}},
    "StackGAN": {"words": ["a", "b"], "levels": [2]},
    "TextModel": {"symbols": ["a", "b"]},
    "Captioner": {"words": ["a", "b"]},
    "MovieClassifier": {"classes": 2},
    "LabelSequence": {"inputs": 2, "classes": 2},
    "SequenceClassifier": {"inputs": 2, "classes": 2},
    "PickedClassifier": {
        "frames": 4,
        "keep": 2,
        "model": {"architecture": "SequenceClassifier", "arguments": {"inputs": 2, "classes": 2}},
    },
    "LitClassifier": {"model": {"architecture": "LeNet"}},
    "LitCaptioner": {"words": ["a", "b"]},
}
"""Arguments of those architectures that have no default for all."""


def test_every_architecture_builds_by_its_own_name_and_repeats_its_weights():
    state = torch.get_rng_state()
    for name, kind in ARCHITECTURES.items():
        recipe = {"architecture": name, "arguments": NEEDED.get(name, {})}
        first, same, other = (build(recipe, seed) for seed in (1, 1, 2))
        assert type(first) is kind
        pairs = list(zip(first.parameters(), same.parameters(), strict=True))
        assert all(torch.equal(a, b) for a, b in pairs)
        differ = any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
        assert differ or name == "FVBN"  # whose weights begin at 0
    assert torch.equal(torch.get_rng_state(), state)


def test_an_unknown_architecture_or_argument_is_named_with_help():
    with pytest.raises(ModelError, match="Did you mean 'LeNet'"):
        build({"architecture": "lenet5", "arguments": {}})
    with pytest.raises(ModelError, match="klasses"):
        build({"architecture": "LeNet", "arguments": {"klasses": 3}})
    with pytest.raises(ModelError, match="does not describe"):
        build({"arguments": {}})
