"""Autoencoders, U-Nets and what a VAE may be told: sizes that are known, identities, and answers to bad input."""

import math

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models import ConvAutoencoder, ConvVAE, DenseAutoencoder, LatentVariable, UNet, build
from amiss.models.code_prior import CodePrior
from amiss.models.unet import Denoiser, unet_sizes

torch.set_num_threads(1)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def small(**arguments):
    return ConvVAE(size=8, width=4, hidden=16, latent=3, **arguments).eval()


SLIDE = "572 570 568 284 282 280 140 138 136 68 66 64 32 30 28 56 54 52 104 102 100 200 198 196 392 390 388 388"


def test_the_u_net_has_every_size_of_the_slide():
    assert unet_sizes() == [int(side) for side in SLIDE.split()]
    with torch.device("meta"):  # the real widths, without memory
        maps = list(UNet().maps(torch.empty(1, 1, 572, 572)))
    assert [m.shape[2] for m in maps] == unet_sizes()
    assert [m.shape[1] for m in maps[13:17]] == [1024, 1024, 1024, 512]
    assert maps[-1].shape == (1, 2, 388, 388)


def test_with_same_padding_the_size_stays():
    net = UNet(3, 5, width=4, depth=2, padding="same")
    assert net(rand(2, 3, 12, 20)).shape == (2, 5, 12, 20)
    assert max(unet_sizes(64, 3, "same")) == 64


def test_a_valid_u_net_sees_what_a_crop_would_have_shown_it():
    """Without padding an answer does not know where the border is: shifted images give shifted answers."""
    net = UNet(1, 1, width=2, depth=1).double()
    x = rand(1, 1, 24, 24).double()
    torch.testing.assert_close(net(x[..., 2:22, 2:22]), net(x)[..., 2:-2, 2:-2])


def test_without_skips_all_passes_the_bottom():
    """What the bottom makes zero leaves a constant; with skips the image still comes through."""
    for skips in (True, False):
        net = UNet(1, 1, width=4, depth=2, padding="same", skips=skips)
        with torch.no_grad():
            for p in net.down[-1].parameters():
                p.zero_()
        a, b = net(rand(1, 1, 8, 8, seed=1)), net(rand(1, 1, 8, 8, seed=2))
        assert torch.equal(a, b) != skips


@pytest.mark.parametrize("side", [571, 573, 574, 190, 139])
def test_sides_that_do_not_halve_are_refused_with_one_that_does(side):
    with pytest.raises(ContractError) as refused:
        unet_sizes(side)
    assert refused.value.slug == "unet-shape"
    fits = int(refused.value.hint.split()[-1].rstrip("."))
    assert fits >= side and unet_sizes(fits)[0] == fits


def test_numbers_past_all_reason_are_refused_before_memory_is_asked_for():
    for make in (
        lambda: UNet(depth=9),
        lambda: UNet(width=10**9),
        lambda: UNet(padding="full"),
        lambda: Denoiser(size=30),
        lambda: Denoiser(sigma=0),
        lambda: Denoiser(size=2**40),
        lambda: DenseAutoencoder(latent=10**9),
        lambda: ConvAutoencoder(size=7),
        lambda: ConvVAE(latent=10**9),
        lambda: ConvVAE(couplings=10**9),
        lambda: ConvVAE(classes=10**9),
        lambda: ConvVAE(latent=1, couplings=2),
    ):
        with pytest.raises(UsageError):
            make()


def test_a_new_denoiser_is_the_identity():
    y = randn(2, 3, 16, 16)
    assert torch.equal(Denoiser(size=16, width=4)(y), y)


def test_the_mean_over_positions_turns_with_the_image():
    model = Denoiser(2, 8, 4, 1).double().eval()
    y = randn(2, 2, 8, 12).double()
    torch.testing.assert_close(model.averaged(y), y)
    torch.nn.init.normal_(model.net.head.weight, generator=torch.Generator().manual_seed(0))
    for move in (lambda t: torch.rot90(t, 1, (2, 3)), lambda t: t.flip(3), lambda t: t.flip(2)):
        assert (model(move(y)) - move(model(y))).abs().max() > 1e-3
        torch.testing.assert_close(model.averaged(move(y)), move(model.averaged(y)))


def test_a_denoiser_keeps_the_pixels_that_are_given():
    model = Denoiser(1, 8, 4, 1).eval()
    x, kept = rand(3, 1, 8, 8), rand(3, 1, 8, 8, seed=1) < 0.5
    drawn = model.sample(3, given=x, mask=kept, steps=3)
    assert torch.equal(drawn[kept], x[kept]) and drawn.shape == x.shape
    one, other = (model.sample(2, generator=torch.Generator().manual_seed(s), steps=3) for s in (0, 1))
    assert not torch.equal(one, other) and torch.equal(one, model.sample(2, steps=3))
    for wrong in ({"given": x[:2]}, {"mask": kept}, {"c": torch.zeros(3)}):
        with pytest.raises(ContractError) as refused:
            model.sample(3, **wrong)
        assert refused.value.slug == "denoiser-condition"


class Shrinking(Denoiser):
    """The best denoiser of images that are normal numbers around a half, of deviation `spread`."""

    spread = 0.3

    def forward(self, y):
        return 0.5 + (y - 0.5) * self.spread**2 / (self.spread**2 + self.sigma**2)


def test_the_walk_of_a_perfect_denoiser_has_the_spread_of_noisy_images():
    """It is linear, y' - 1/2 = r (y - 1/2) + sigma n with r = 1 - sigma^2 / (2 (s^2 + sigma^2)): its end is known."""
    model = Shrinking(1, 32, 2, 1, sigma=0.1)
    # The answer is the estimate of the last y, nine tenths of it, clipped where it leaves [0, 1].
    drawn = model.sample(20, steps=200)
    rest = 1 - 0.5 * 0.1**2 / (0.3**2 + 0.1**2)
    walk = 0.1 / math.sqrt(1 - rest**2)
    inside = ((drawn > 0) & (drawn < 1)).float().mean()
    expected = math.erf(0.5 / (walk * 0.9) / math.sqrt(2))
    assert inside.item() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("make", [DenseAutoencoder, ConvAutoencoder])
def test_an_autoencoder_is_walked_like_a_vae(make):
    model = make(channels=3, size=12, latent=5).eval()
    x = rand(4, 3, 12, 12)
    assert isinstance(model, LatentVariable) and model.bound == "none"
    assert model.encode(x).shape == (4, 5) and model(x).shape == x.shape
    assert model(x).min() >= 0 and model(x).max() <= 1
    assert model.sample(2).shape == (2, 3, 12, 12)
    for slug, ask in (
        ("density-none", lambda: model.log_prob(x)),
        ("codes-condition", lambda: model.sample(2, given=x[:2])),
        ("codes-condition", lambda: model.sample(2, torch.zeros(2))),
    ):
        with pytest.raises(ContractError) as refused:
            ask()
        assert refused.value.slug == slug
    with pytest.raises(ContractError, match=r"\(N, 3, 12, 12\)"):
        model.encode(rand(1, 3, 8, 8))


def test_codes_are_drawn_around_those_that_training_has_seen():
    model = ConvAutoencoder(size=8, latent=2, width=2, hidden=4)
    mean, root = torch.tensor([3.0, -1.0]), torch.tensor([[2.0, 0.0], [1.0, 0.5]])
    model.encoder = torch.nn.Flatten()
    g = torch.Generator().manual_seed(0)
    model.size, model.channels = 1, 2  # the images are the codes themselves
    for _ in range(1500):
        model.encode((mean + torch.randn(64, 2, generator=g) @ root.T)[:, :, None, None])
    model.eval()
    codes = model.prior(20_000, generator=g)
    torch.testing.assert_close(codes.mean(0), mean, atol=0.15, rtol=0)
    torch.testing.assert_close(codes.T.cov(), root @ root.T, atol=0.3, rtol=0)
    assert torch.equal(model.prior(2, temperature=0.0)[0], model.prior(2, temperature=0.0)[1])
    before = model.center.clone()
    model.encode(rand(4, 2, 1, 1))
    assert torch.equal(before, model.center)  # in use it follows nothing


def test_the_dense_codes_are_never_negative():
    model = DenseAutoencoder(size=8, latent=6).eval()
    assert model.encode(rand(5, 1, 8, 8)).min() >= 0 and model.prior(50).min() >= 0


def test_a_conditional_vae_listens_to_the_class():
    model = small(classes=4)
    x, c = rand(4, 1, 8, 8), torch.arange(4)
    assert not torch.equal(model.encode(x, c), model.encode(x, c.flip(0)))
    z = randn(1, 3).expand(4, 3)
    images = model.decode(z, c)
    assert all(not torch.equal(images[0], images[i]) for i in (1, 2, 3))
    torch.testing.assert_close(model.log_prob(x, c), model.elbo_parts(x, None, c).total)
    assert model.sample(4, c).shape == x.shape
    for wrong in (None, torch.arange(3), torch.tensor([0, 1, 2, 4]), torch.tensor([0, 1, 2, -1]), torch.ones(4)):
        with pytest.raises(ContractError) as refused:
            model.encode(x, wrong)
        assert refused.value.slug == "vae-condition"
    with pytest.raises(ContractError, match="no classes"):
        small().encode(x, c)


def test_a_learned_prior_begins_as_the_normal_one_and_inverts():
    prior = CodePrior(5, 4)
    z = randn(6, 5)
    u, log_scale = prior.to_normal(z)
    torch.testing.assert_close(u, z)
    assert not log_scale.any()
    prior = prior.double()
    for p in prior.parameters():
        torch.nn.init.normal_(p, 0, 0.3, generator=torch.Generator().manual_seed(1))
    z = z.double()
    u, log_scale = prior.to_normal(z)
    torch.testing.assert_close(prior.to_codes(u), z)
    jacobian = torch.autograd.functional.jacobian(lambda row: prior.to_normal(row[None])[0][0], z[0])
    torch.testing.assert_close(log_scale[0], torch.linalg.slogdet(jacobian).logabsdet)


def test_the_density_of_a_learned_prior_sums_to_one():
    vae = ConvVAE(size=8, latent=2, width=2, hidden=4, couplings=3).eval().double()
    g = torch.Generator().manual_seed(2)
    for p in vae.learned.parameters():
        torch.nn.init.normal_(p, 0, 0.2, generator=g)
    ticks = torch.linspace(-12, 12, 301).double()
    grid = torch.cartesian_prod(ticks, ticks)
    with torch.no_grad():
        total = vae.log_prior(grid).exp().sum() * (ticks[1] - ticks[0]) ** 2
    assert total.item() == pytest.approx(1, abs=1e-3)


def test_both_forms_of_the_bound_have_one_mean():
    """With couplings that do nothing the sampled KL is that of the normal prior, in the mean over draws."""
    one = small()
    other = small(couplings=2)
    other.load_state_dict(one.state_dict(), strict=False)
    x = rand(1, 1, 8, 8).round().expand(5000, 1, 8, 8)
    with torch.no_grad():
        exact, sampled = one.elbo_parts(x), other.elbo_parts(x)
    torch.testing.assert_close(exact.reconstruction, sampled.reconstruction)
    deviation = sampled.kl.std() / math.sqrt(5000)
    assert abs(float(sampled.kl.mean() - exact.kl[0])) < 4 * float(deviation)


def test_the_new_architectures_are_built_by_name():
    for name in ("DenseAutoencoder", "ConvAutoencoder", "UNet", "Denoiser"):
        assert type(build({"architecture": name, "arguments": {}})).__name__ == name
