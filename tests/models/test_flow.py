"""Flows: exact inverses, densities that are densities, autoencoders that stay as they were, and files."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from amiss.data import Images
from amiss.errors import CheckpointError, ContractError, ModelError, UsageError
from amiss.models import CodeFlow, ConvVAE, Density, LatentVariable, PixelFlow, build
from amiss.spaces import Latent
from amiss.training import FlowLoss, TrainingRecipe, flow_bits, flow_for, load_model, save_model, train

torch.set_num_threads(1)

VAE = {"size": 8, "latent": 3, "width": 4, "hidden": 16}
PIXELS = {"architecture": "PixelFlow", "arguments": {"size": 8, "transforms": 4, "width": 4}}
CODES = {"architecture": "CodeFlow", "arguments": {"decoder": VAE, "transforms": 4, "hidden": 8, "bins": 4}}


def rand(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def moved(recipe, by=0.1, dtype=torch.float64):
    """A flow whose couplings are no longer the identity."""
    model = build(recipe).to(dtype).eval()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.couplings.parameters():
            p.add_(by * torch.randn(p.shape, generator=g))
    return model


def images(n=4, size=8, channels=1, dtype=torch.float64):
    """Noise, with a black half and a white pixel."""
    x = rand(n, channels, size, size, dtype=dtype)
    x[..., : size // 2, :] = 0
    x[0, 0, -1, 0] = 1
    return x


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("arguments", [{}, {"size": 8, "channels": 3, "transforms": 12}, {"size": 30, "width": 8}])
def test_a_flow_on_pixels_gives_every_image_back(arguments, dtype, within):
    model = moved({"architecture": "PixelFlow", "arguments": arguments}, 0.03, dtype)
    x = images(3, model.size, model.channels, dtype)
    z = model.encode(x)
    assert z.shape == (3, x[0].numel()) == (3, model.latent)
    start = build({"architecture": "PixelFlow", "arguments": arguments}).to(dtype)
    assert (start.encode(x) - z).abs().max() > 0.1  # it is no longer the identity
    assert (model.decode(z) - x).abs().max() < within


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("latent", [2, 5, 16])
def test_a_flow_on_codes_gives_every_code_back(latent, dtype, within):
    recipe = {"architecture": "CodeFlow", "arguments": {"decoder": {**VAE, "latent": latent}}}
    model = moved(recipe, 0.1, dtype)
    x = images(dtype=dtype)
    codes = 7 * rand(50, latent, seed=2, dtype=dtype) - 3.5  # some beyond where the splines reach
    there = model.chain(codes)(codes)
    assert (there - codes).abs().max() > 0.1
    assert (model.chain(there).inv(there) - codes).abs().max() < within
    assert (model.decode(model.encode(x)) - model.vae(x)).abs().max() < within


def test_what_is_searched_along_a_flow_on_pixels_is_the_decoded_code_itself():
    """There is no residual: x + g(z + eps) - g(z) is g(z + eps)."""
    model, x = moved(PIXELS), images()
    task = type("T", (), {"image": x, "extra": {"z": model.encode(x), "gz": model.decode(model.encode(x))}})()
    eps = 0.5 * torch.randn(len(x), model.latent, generator=torch.Generator().manual_seed(3), dtype=x.dtype)
    with_residual, without = Latent(model).decode(task, eps), Latent(model, residual=False).decode(task, eps)
    assert (with_residual - x).abs().max() > 0.01
    torch.testing.assert_close(with_residual, without, rtol=0, atol=1e-9)


def test_drawn_images_stay_in_range_and_black_pixels_still_have_a_gradient():
    model = moved(PIXELS)
    z = model.encode(images()).detach().requires_grad_()
    drawn = model.decode(z)
    (gradient,) = torch.autograd.grad(drawn[:, :, 0, 0].sum(), z)  # black before
    assert bool((gradient.abs().amax(1) > 0).all())
    far = model.decode(20 * torch.randn(20, model.latent, dtype=torch.float64))
    assert far.min() >= 0
    assert far.max() <= 1


def test_the_density_of_pixels_is_that_of_the_change_of_variables():
    model = moved({"architecture": "PixelFlow", "arguments": {"size": 4, "transforms": 4, "width": 4}})
    model.center.fill_(0.3)
    model.spread.copy_(rand(16, seed=4, dtype=torch.float64) + 0.5)
    x = rand(3, 1, 4, 4, dtype=torch.float64)
    for row in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda v: model.encode(v[None])[0], x[row]).reshape(16, 16)
        code = model.encode(x[row : row + 1])
        expected = torch.distributions.Normal(0, 1).log_prob(code).sum() + jacobian.slogdet()[1]
        # A gray level is 1/256 wide, and levels are 1/255 apart in units of the image.
        expected = expected - 16 * math.log(255 / 256)
        torch.testing.assert_close(model.log_prob(x[row : row + 1])[0], expected)


def test_the_density_of_codes_adds_up_to_one():
    model = moved(
        {"architecture": "CodeFlow", "arguments": {"decoder": {**VAE, "latent": 2}, "transforms": 2, "bins": 4}}, 0.1
    )
    line = torch.linspace(-7, 7, 281, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        density = model.normal(grid).exp()
    assert density.max() > 1.05 / (2 * math.pi)  # not the normal any more
    assert float(density.sum() * (line[1] - line[0]) ** 2) == pytest.approx(1, abs=2e-3)


def test_the_couplings_begin_as_the_identity():
    for recipe, inside in ((PIXELS, 30.0), (CODES, 4.9)):
        model = build(recipe).double()
        x = inside * (2 * rand(5, model.latent, dtype=torch.float64) - 1)
        torch.testing.assert_close(model.chain(x)(x), x)
        torch.testing.assert_close(model.normal(x), torch.distributions.Normal(0, 1).log_prob(x).sum(1))


def test_with_identical_codes_the_bound_is_the_autoencoders_own():
    """The average over noise of the sampled bound is the analytic one, when the prior is the same."""
    model = build(CODES).double()
    x = images(1).expand(3000, 1, 8, 8)
    noise = torch.Generator().manual_seed(5)
    with torch.no_grad():
        sampled, own = model.elbo(x, noise), model.vae.elbo(x, noise)
    error = ((sampled.var() + own.var()) / 3000).sqrt()
    assert abs(sampled.mean() - own.mean()) < 5 * error
    assert torch.equal(model.log_prob(x[:2]), model.log_prob(x[:2]))


def test_a_row_does_not_depend_on_its_batch():
    for recipe in (PIXELS, CODES):
        model, x = moved(recipe), images()
        alone = torch.cat([model.encode(row[None]) for row in x])
        torch.testing.assert_close(model.encode(x), alone, rtol=0, atol=1e-10)
        back = torch.cat([model.decode(row[None]) for row in alone])
        torch.testing.assert_close(model.decode(alone), back, rtol=0, atol=1e-10)


def test_flows_are_densities_with_codes():
    for recipe, bound in ((PIXELS, "exact"), (CODES, "lower")):
        model = build(recipe)
        assert isinstance(model, Density)
        assert isinstance(model, LatentVariable)
        assert model.bound == bound
        assert model.sample(2).shape == (2, 1, 8, 8)
        torch.testing.assert_close(model.sample(2, temperature=0.0), model.decode(torch.zeros(2, model.latent)))
        with pytest.raises(ContractError, match="prior alone"):
            model.sample(1, given=torch.zeros(1, 1, 8, 8))
        with pytest.raises(ContractError, match="prior alone"):
            model.log_prob(torch.zeros(1, 1, 8, 8), c=torch.zeros(1))
        with pytest.raises(ContractError, match=r"\(1, 1, 10, 10\)"):
            model.encode(torch.zeros(1, 1, 10, 10))


def test_a_flow_that_means_nothing_is_refused():
    for make in (
        lambda: PixelFlow(size=9),
        lambda: PixelFlow(channels=0),
        lambda: PixelFlow(transforms=10**9),
        lambda: CodeFlow({"latent": 1}),
        lambda: CodeFlow(bins=1),
        lambda: CodeFlow(transforms=0),
    ):
        with pytest.raises(UsageError, match="cannot be built"):
            make()
    with pytest.raises(ModelError, match="layers"):
        build({"architecture": "CodeFlow", "arguments": {"decoder": {"layers": 3}}})


@pytest.mark.parametrize("recipe", [PIXELS, CODES], ids=["pixels", "codes"])
def test_a_file_brings_the_same_flow_back(recipe, tmp_path):
    model = moved(recipe, dtype=torch.float32)
    save_model(tmp_path / "flow.safetensors", model, recipe, {"kind": "decoder"})
    again, facts = load_model(tmp_path / "flow.safetensors")
    x = images(dtype=torch.float32)
    assert facts["recipe"] == recipe
    assert torch.equal(again.encode(x), model.encode(x))
    assert torch.equal(again.decode(again.encode(x)), model.decode(model.encode(x)))
    assert next(again.parameters()).requires_grad


@pytest.mark.parametrize(
    ("recipe", "claim"),
    [
        (PIXELS, {"transforms": 10**12}),
        (PIXELS, {"channels": 10**12}),
        (PIXELS, {"size": 10**7}),
        (CODES, {"transforms": 10**12}),
        (CODES, {"decoder": {**VAE, "latent": 10**9}}),
    ],
)
def test_a_file_that_asks_for_more_than_it_brings_is_refused(recipe, claim, tmp_path):
    claimed = {**recipe, "arguments": {**recipe["arguments"], **claim}}
    save_model(tmp_path / "flow.safetensors", build(recipe), claimed, {"kind": "decoder"})
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(tmp_path / "flow.safetensors")


def test_without_zuko_the_error_names_it_and_the_file_is_not_blamed(tmp_path, monkeypatch):
    save_model(tmp_path / "flow.safetensors", build(PIXELS), PIXELS, {"kind": "decoder"})
    monkeypatch.setitem(sys.modules, "zuko.transforms", None)
    for make in (PixelFlow, CodeFlow, lambda: load_model(tmp_path / "flow.safetensors")):
        with pytest.raises(ModelError, match=r"pip install 'amiss\[flow\]'") as caught:
            make()
        assert caught.value.slug == "model-package"


def test_the_package_is_not_loaded_before_a_flow_is():
    code = "import sys, amiss.models, amiss.training; assert 'zuko' not in sys.modules; amiss.models.ConvVAE()"
    code += "; assert 'zuko' not in sys.modules"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def plain(size, n=64):
    """Images of one gray level each: 6 bits in all."""
    level = torch.arange(n) * 255 // (n - 1)
    return Images.of(level.to(torch.uint8)[:, None, None, None].expand(n, 1, size, size).contiguous())


def test_training_finds_what_pixels_share_and_reports_bits():
    data = plain(4)
    preset = flow_for(data)
    assert preset.kind == "flow"
    preset = replace(preset, training=TrainingRecipe(steps=200, batch=32, rate=1e-2, clip=1e3))
    preset.model["arguments"] |= {"transforms": 4, "width": 8}
    done = train(preset, data, data)
    figures = done.facts["figures"]
    # Each pixel takes 64 values: no model that looks at pixels one by one spends less than 6 bits on them.
    assert figures["bits_per_dim"] < 6 < 8 + done.history.losses["flow"][0] / (16 * math.log(2))
    assert figures["bits_per_dim"] == pytest.approx(flow_bits(done.model, data.pixels, batch=7), rel=0.05)
    assert figures["mse"] < 1e-10


def test_training_on_codes_leaves_the_autoencoder_bit_for_bit_and_makes_codes_normal():
    vae = build({"architecture": "ConvVAE", "arguments": VAE}).eval()
    with torch.no_grad():  # codes that are far from normal: narrow, and around 2
        vae.code.bias.copy_(torch.tensor([2.0] * 3 + [-3.0] * 3))
    data = plain(8)
    preset = flow_for(data, codes=(vae, {"recipe": {"architecture": "ConvVAE", "arguments": VAE}}))
    preset = replace(preset, training=TrainingRecipe(steps=60, batch=64, rate=1e-2))
    done = train(preset, data, data)
    assert isinstance(done.model, CodeFlow)
    for name, t in vae.state_dict().items():
        assert torch.equal(t, done.model.vae.state_dict()[name])
    # The first step's loss is what the prior alone spends: the couplings begin as the identity.
    first = done.history.losses["flow"][0] / (3 * math.log(2))
    assert done.facts["figures"]["bits_per_dim"] < first - 1
    codes = done.model.encode(data.images())
    assert float(codes.detach().mean(0).abs().max()) < 1  # they were around 2


def test_what_is_no_autoencoder_or_of_another_size_has_no_codes_to_map():
    with pytest.raises(ModelError, match="needs an autoencoder"):
        flow_for(plain(8), codes=(build(PIXELS), {}))
    other = build({"architecture": "ConvVAE", "arguments": {**VAE, "size": 12}})
    with pytest.raises(ContractError, match="do not fit this autoencoder"):
        flow_for(plain(8), codes=(other, {"recipe": {"arguments": {}}}))
    assert isinstance(other, ConvVAE)


def test_the_likelihood_of_a_flow_is_for_flows():
    with pytest.raises(ContractError, match="FlowLoss is no loss"):
        list(FlowLoss().players(torch.nn.Linear(1, 1)))
