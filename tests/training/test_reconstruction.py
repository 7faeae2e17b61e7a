"""What autoencoders and denoisers minimize, and the recipes that train them."""

import math
from dataclasses import replace

import pytest
import torch

from amiss.data import open_data
from amiss.errors import ContractError, DataError, UsageError
from amiss.models import ConvAutoencoder, ConvVAE, Denoiser, DenseAutoencoder
from amiss.training import Batch, TrainingRecipe, fit, train
from amiss.training.kinds import KINDS
from amiss.training.losses import DenoisingLoss, ELBOLoss, Erased, Noisy, ReconstructionLoss
from amiss.training.presets.vae import decoder_for, mnist_vae_long

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits():
    return open_data("digits", split="train", limit=300), open_data("digits", split="test", limit=100)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def batch(x, **rows):
    return Batch({"image": x, **rows}, step=3, fraction=0.5, seed=1)


def value(loss, model, x, **rows):
    ((_, total),) = loss.losses(model, batch(x, **rows), loss.turns[0]).items()
    return total


def test_noise_has_its_deviation_and_comes_from_the_generator():
    x = rand(50, 3, 8, 8)
    one, same, other = (Noisy(0.2)(x, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert (one - x).std().item() == pytest.approx(0.2, rel=0.03)
    assert (one - x).mean().item() == pytest.approx(0, abs=0.01)
    assert torch.equal(Noisy(0)(x, torch.Generator()), x)


def test_erased_pixels_are_black_in_all_channels_and_the_others_stay():
    x = rand(50, 3, 8, 8) + 0.1
    holes = Erased(0.3)(x, torch.Generator().manual_seed(1)) == 0
    assert torch.equal(holes[:, 0], holes[:, 2])
    assert holes.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(Erased(0)(x, torch.Generator()), x)
    assert not Erased(1)(x, torch.Generator()).any()


@pytest.mark.parametrize(
    "wrong", [lambda: Noisy(-1), lambda: Noisy(math.inf), lambda: Erased(1.1), lambda: Erased(-1)]
)
def test_corruptions_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError) as refused:
        wrong()
    assert refused.value.slug == "corruption-range"


def test_a_model_without_weights_pays_one_bit_a_pixel():
    model = DenseAutoencoder(size=8, latent=4)
    for p in model.parameters():
        torch.nn.init.zeros_(p)
    x = rand(5, 1, 8, 8)
    assert value(ReconstructionLoss("bce"), model, x).item() == pytest.approx(5 * 64 * math.log(2), rel=1e-5)
    squares = (x - 0.5).square().sum().item()
    assert value(ReconstructionLoss("mse"), model, x).item() == pytest.approx(squares, rel=1e-5)


def test_the_code_is_that_of_the_corrupted_image_and_the_aim_is_the_image():
    """With all pixels erased the answer cannot depend on the images, but the loss does."""
    model = ConvAutoencoder(size=8, latent=4, width=2, hidden=8)
    blind = ReconstructionLoss("mse", Erased(1.0))
    x, y = rand(4, 1, 8, 8), rand(4, 1, 8, 8, seed=1)
    answer = model(torch.zeros(1, 1, 8, 8))
    for images in (x, y):
        assert value(blind, model, images).item() == pytest.approx((answer - images).square().sum().item(), rel=1e-4)


def test_a_denoiser_that_does_nothing_pays_for_the_noise():
    x = rand(200, 1, 8, 8)
    model = Denoiser(1, 8, 4, 1, sigma=0.3)
    assert value(DenoisingLoss(), model, x).item() / x.numel() == pytest.approx(0.09, rel=0.05)
    assert value(DenoisingLoss(Noisy(0)), model, x).item() == 0


def test_a_trained_denoiser_is_near_the_best_for_independent_pixels():
    """Bytes of 0 or 255 with even odds, pixel by pixel: the mean given y is a sigmoid of (y - 1/2) / sigma^2."""
    g = torch.Generator().manual_seed(0)
    pixels = (torch.rand(600, 1, 4, 4, generator=g) < 0.5).to(torch.uint8) * 255
    model = Denoiser(1, 4, 8, 1, sigma=0.5)
    fit(model, DenoisingLoss(), {"image": pixels}, TrainingRecipe(steps=250, batch=100, rate=1e-2))
    clean = (torch.rand(500, 1, 4, 4, generator=g) < 0.5).float()
    y = Noisy(0.5)(clean, g)
    best = ((y - 0.5) / 0.25).sigmoid()
    with torch.no_grad():
        answer = model(y)
    floor, paid = (best - clean).square().mean(), (answer - clean).square().mean()
    assert floor < paid < 1.15 * floor


def test_losses_refuse_models_of_another_kind():
    x = rand(2, 1, 8, 8)
    for loss, model in (
        (ReconstructionLoss(), Denoiser(1, 8)),
        (DenoisingLoss(), DenseAutoencoder(size=8)),
        (ELBOLoss(), DenseAutoencoder(size=8)),
    ):
        with pytest.raises(ContractError) as refused:
            value(loss, model, x)
        assert refused.value.slug == "loss-model"


def test_a_conditional_bound_reads_the_labels():
    model = ConvVAE(size=8, latent=2, width=2, hidden=8, classes=3)
    x = rand(3, 1, 8, 8)
    one = value(ELBOLoss(), model, x, label=torch.tensor([0, 1, 2]))
    other = value(ELBOLoss(), model, x, label=torch.tensor([2, 1, 0]))
    assert one.item() != other.item()
    assert value(ELBOLoss(beta=0.0), model, x, label=torch.tensor([0, 1, 2])) < one


@pytest.mark.parametrize(
    ("name", "epochs", "figure", "better"),
    [
        ("autoencoder", 80, "bce", -0.1),
        ("conv-autoencoder", 10, "bce", -0.1),
        ("denoiser", 6, "psnr", 1.0),
        ("conditional-vae", 10, "negative_elbo", -3.0),
    ],
)
def test_every_kind_learns_digits(digits, name, epochs, figure, better):
    learned, asked = digits
    short, long = (
        train(KINDS[name].preset(learned, seed=3, epochs=n), learned, asked).facts["figures"] for n in (0.1, epochs)
    )
    assert (long[figure] - short[figure]) / better > 1
    if name == "denoiser":
        assert long["psnr"] > long["psnr_noisy"] + 1


def test_recipes_say_what_they_cannot_do(digits):
    learned, _ = digits
    with pytest.raises(UsageError) as refused:
        KINDS["conv-autoencoder"].preset(learned, noise=0.1, erased=0.1)
    assert refused.value.slug == "corruption-two"
    with pytest.raises(DataError):
        KINDS["conditional-vae"].preset(replace(learned, labels=None))


def test_recipes_name_their_options():
    assert set(KINDS["conv-autoencoder"].options) == {"latent", "noise", "erased"}
    assert set(KINDS["denoiser"].options) == {"sigma", "width"}
    assert {"latent", "beta", "couplings"} <= set(KINDS["vae"].options)
    assert KINDS["conditional-vae"].labeled


def test_a_learned_prior_is_trained_and_scored(digits):
    learned, asked = digits
    done = train(decoder_for(learned, latent=4, couplings=2, beta=0.5, epochs=1), learned, asked)
    assert done.model.learned is not None and done.preset.loss.beta == 0.5
    assert any(bool(p.any()) for p in done.model.learned.networks[0][-1].parameters())  # the coupling has moved
    assert math.isfinite(done.facts["figures"]["negative_elbo"])
    assert mnist_vae_long(5).training.seed == 5
