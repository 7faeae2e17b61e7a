"""Generators: images in range, rows apart from each other, and an inverter that leaves its generator alone."""

import pytest
import torch

from amiss.errors import ContractError, ModelError, UsageError
from amiss.models import DCGAN, GAN, Adversarial, Implicit, Inverter, LatentVariable, arithmetic, build
from amiss.training import load_model, save_model

SMALL = {
    "dense": {"architecture": "GAN", "arguments": {"shape": [1, 8, 8], "latent": 6, "widths": [16], "judges": [16]}},
    "convolutional": {"architecture": "DCGAN", "arguments": {"size": 10, "latent": 6, "width": 4}},
    "color": {"architecture": "DCGAN", "arguments": {"channels": 3, "size": 8, "latent": 6, "width": 3}},
    "batch": {"architecture": "DCGAN", "arguments": {"size": 8, "latent": 6, "width": 4, "norm": "batch"}},
    "spectral": {"architecture": "DCGAN", "arguments": {"size": 8, "latent": 6, "width": 4, "norm": "spectral"}},
    "three stages": {"architecture": "DCGAN", "arguments": {"size": 50, "latent": 6, "width": 2}},
}


@pytest.fixture(params=SMALL, ids=list(SMALL))
def recipe(request):
    return SMALL[request.param]


def test_a_generator_draws_images_and_scores_none(recipe):
    model = build(recipe).eval()
    assert isinstance(model, Adversarial)
    assert isinstance(model, Implicit)
    assert model.bound == "none"
    images = model.sample(5)
    assert images.shape == (5, *model.shape)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 1
    assert model.discriminate(images).shape == (5,)


def test_what_is_drawn_follows_from_the_generator_of_lots_and_the_temperature(recipe):
    model = build(recipe).eval()
    draw = [model.sample(3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    cold = model.sample(2, temperature=0.0)
    torch.testing.assert_close(cold[0], cold[1], rtol=0, atol=0)
    codes = model.prior(4, generator=torch.Generator().manual_seed(3))
    hot = model.prior(4, temperature=2.0, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(hot, 2 * codes)


def test_rows_do_not_depend_on_their_batch(recipe):
    model = build(recipe).double().eval()
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        together, alone = model.decode(z), torch.cat([model.decode(row[None]) for row in z])
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(model.discriminate(together)[2], model.discriminate(together[2:3])[0])


def test_a_saved_generator_draws_the_same_images(recipe, tmp_path):
    model = build(recipe, seed=3).eval()
    save_model(tmp_path / "model.safetensors", model, recipe, {"kind": "dcgan"})
    again, facts = load_model(tmp_path / "model.safetensors")
    torch.testing.assert_close(again.sample(3), model.sample(3))  # weights lie elsewhere in memory: other sums
    torch.testing.assert_close(again.discriminate(again.sample(3)), model.discriminate(model.sample(3)))
    assert facts["recipe"] == recipe


def test_the_lecture_s_networks_have_the_lecture_s_sizes():
    model = GAN()
    sizes = [
        [m.weight.shape for m in part.modules() if isinstance(m, torch.nn.Linear)]
        for part in (model.generator, model.discriminator)
    ]
    assert sizes[0] == [(256, 100), (512, 256), (1024, 512), (784, 1024)]
    assert sizes[1] == [(512, 784), (256, 512), (1, 256)]


def test_a_discriminator_s_spectral_norm_holds_its_slope():
    model = build(SMALL["spectral"], seed=0).train()
    for _ in range(300):  # the norm is found by power iteration, one step a pass
        model.discriminate(torch.rand(2, 1, 8, 8))
    inner = [m for m in model.eval().discriminator if isinstance(m, torch.nn.Conv2d)][1]
    largest = torch.linalg.matrix_norm(inner.weight.flatten(1), ord=2)
    assert largest.item() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": [1, 10_000, 10_000]},
        {"shape": [1, 28]},
        {"shape": [0, 28, 28]},
        {"latent": 0},
        {"latent": 2**40},
        {"widths": []},
        {"widths": [8] * 1000},
        {"judges": [2**30]},
    ],
)
def test_dense_networks_beyond_reason_are_refused(arguments):
    with pytest.raises(UsageError) as refused:
        GAN(**arguments)
    assert refused.value.slug == "gan-arguments"


@pytest.mark.parametrize(
    "arguments",
    [{"size": 4}, {"size": 10_000}, {"channels": 0}, {"width": 2**20}, {"latent": -1}, {"norm": "layer"}],
)
def test_convolutional_networks_beyond_reason_are_refused(arguments):
    with pytest.raises(UsageError) as refused:
        DCGAN(**arguments)
    assert refused.value.slug == "gan-arguments"


def test_images_of_another_size_and_conditions_are_refused():
    model = build(SMALL["dense"]).eval()
    with pytest.raises(ContractError) as shape:
        model.discriminate(torch.zeros(2, 1, 9, 9))
    assert shape.value.slug == "gan-shape"
    with pytest.raises(ContractError) as condition:
        model.sample(2, torch.zeros(2))
    assert condition.value.slug == "gan-condition"


def test_concepts_are_averages_that_are_added_and_subtracted():
    a, b, c = torch.tensor([[[1.0, 0], [3, 0]], [[0.0, 2], [0, 4]], [[10.0, 10], [20, 20]]])
    torch.testing.assert_close(arithmetic([a, c], [b]), torch.tensor([17.0, 12]))
    torch.testing.assert_close(arithmetic([a]), torch.tensor([2.0, 0]))
    trials = torch.stack([a, b])  # two trials at once
    torch.testing.assert_close(arithmetic([trials]), torch.tensor([[2.0, 0], [0, 3]]))
    for add, subtract in (([], [a]), ([a[:0]], []), ([a[0]], [])):
        with pytest.raises(UsageError) as refused:
            arithmetic(add, subtract)
        assert refused.value.slug == "code-arithmetic"


def test_three_concepts_of_three_codes_are_as_long_as_a_code():
    z = torch.randn(3, 2000, 3, 16, generator=torch.Generator().manual_seed(0))
    assert arithmetic([z[0], z[1]], [z[2]]).square().mean().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("name", ["dense", "color"])
def test_an_inverter_is_a_latent_variable_model_whose_generator_stays(name):
    model = build({"architecture": "Inverter", "arguments": {"generator": SMALL[name], "width": 4, "hidden": 8}})
    assert isinstance(model, Inverter)
    assert isinstance(model, LatentVariable)
    before = {key: t.clone() for key, t in model.gan.state_dict().items()}
    model.train()
    assert not model.gan.training
    assert model.encoder.training
    images = model.sample(4, generator=torch.Generator().manual_seed(0))
    assert model.encode(images).shape == (4, 6)
    assert model(images).shape == images.shape
    model(images).sum().backward()
    assert all(p.grad is None for p in model.gan.parameters())
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert all(torch.equal(t, before[key]) for key, t in model.gan.state_dict().items())
    assert not any(p.requires_grad for p in model.requires_grad_(True).gan.parameters())


def test_an_inverter_that_cannot_be_is_refused():
    for generator in ({"architecture": "LeNet"}, {}, {"architecture": "DCGAN", "arguments": [28]}):
        with pytest.raises(UsageError) as refused:
            Inverter(generator)
        assert refused.value.slug == "inverter-arguments"
    with pytest.raises(UsageError):
        Inverter(SMALL["dense"], width=2**30)
    with pytest.raises(ModelError, match="arguments"):
        build(
            {"architecture": "Inverter", "arguments": {"generator": {"architecture": "DCGAN", "arguments": {"a": 1}}}}
        )


def test_an_inverter_refuses_what_it_cannot_answer():
    model = Inverter(SMALL["dense"], width=4, hidden=8).eval()
    cases = {
        "inverter-shape": lambda: model.encode(torch.zeros(1, 3, 8, 8)),
        "codes-condition": lambda: model.sample(1, given=torch.zeros(1, 1, 8, 8), mask=torch.ones(1, 1, 8, 8)),
        "density-none": lambda: model.log_prob(torch.zeros(1, 1, 8, 8)),
    }
    for slug, call in cases.items():
        with pytest.raises(ContractError) as refused:
            call()
        assert refused.value.slug == slug
