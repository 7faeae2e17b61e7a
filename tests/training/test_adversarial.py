"""The game: losses by hand, players that move alone, and exact resume; an encoder that learns a generator's codes."""

from dataclasses import replace

import pytest
import torch

import amiss as am
from amiss.data import Images
from amiss.errors import ContractError, ModelError
from amiss.loading import open_decoder
from amiss.models import Inverter, build
from amiss.repro import generator
from amiss.training import KINDS, TrainingRecipe, fit, load_model, train
from amiss.training.batches import Batch
from amiss.training.losses import AdversarialLoss, InversionLoss

torch.set_num_threads(1)
KINDS_OF_GAN = ("gan", "dcgan")
SMALL = {"architecture": "DCGAN", "arguments": {"size": 8, "latent": 3, "width": 4}}


def images(n=96, size=8, seed=0):
    """Bars at one of four places."""
    places = torch.randint(0, 4, (n,), generator=generator(seed))
    pixels = torch.zeros(n, 1, size, size, dtype=torch.uint8)
    pixels[torch.arange(n), 0, :, 2 * places] = 255
    return Images.of(pixels, places, ["a", "b", "c", "d"])


def batch(n=16, step=0):
    return Batch({"image": images(n).images()}, step, 0.0, 0)


def drawn(model, rows, stream):
    return model.decode(model.prior(len(rows), generator=rows.generator(stream)))


def test_losses_are_those_of_the_lecture_by_probabilities():
    model = build(SMALL).eval()  # batch statistics at rest, so that the images can be drawn twice
    rows = batch()
    real, faked = (model.discriminate(x).sigmoid() for x in (rows["image"], drawn(model, rows, 0)))
    d = AdversarialLoss().losses(model, rows, ("discriminator",))["discriminator"]
    torch.testing.assert_close(d, -(real.log() + (1 - faked).log()).sum())
    fooled = model.discriminate(drawn(model, rows, 1)).sigmoid()
    expected = {"non-saturating": -fooled.log().sum(), "minimax": (1 - fooled).log().sum()}
    for name, value in expected.items():
        g = AdversarialLoss(generator=name).losses(model, rows, ("generator",))["generator"]
        torch.testing.assert_close(g, value)


READING = {"architecture": "DCGAN", "arguments": {**SMALL["arguments"], "reads": True}}


def test_a_generator_pays_for_codes_that_cannot_be_read_off_its_images():
    model, rows = build(READING).eval(), batch()
    plain, coded = (
        AdversarialLoss(code=code).losses(model, rows, ("generator",))["generator"] for code in (0.0, 3.0)
    )
    z = model.prior(len(rows), generator=rows.generator(1))
    seen = model.reader(model.discriminator[:-1](2 * model.decode(z) - 1))
    torch.testing.assert_close(coded - plain, 3 * (seen - z).square().mean(1).sum())
    owned = {name: set(map(id, p)) for name, p in AdversarialLoss(code=3.0).players(model).items()}
    assert set(map(id, model.reader.parameters())) <= owned["generator"]
    assert not owned["generator"] & owned["discriminator"]
    assert set.union(*owned.values()) == set(map(id, model.parameters()))


def test_codes_come_to_be_readable_where_that_counts():
    errors = []
    for code in (0.0, 5.0):
        model = build(READING, seed=1)
        fit(
            model,
            AdversarialLoss(code=code),
            {"image": images().pixels},
            TrainingRecipe(steps=60, batch=16, rate=3e-3),
        )
        z = model.eval().prior(200, generator=generator(5))
        errors.append(float((model.judge(model.decode(z))[1] - z).square().mean().detach()))
    assert errors[1] < 0.7 < 0.9 < errors[0]  # 1 is what knowing nothing costs


def test_a_model_without_a_reader_cannot_be_charged_for_its_codes():
    with pytest.raises(ContractError, match="gan-reader"):
        AdversarialLoss(code=1.0).losses(build(SMALL), batch(), ("generator",))


def test_logits_keep_a_sure_discriminator_s_losses_finite():
    model = build(SMALL).eval()
    with torch.no_grad():
        model.discriminator[-1].bias.fill_(-1e4)  # sure that all is drawn
    rows = batch()
    saturated = AdversarialLoss(generator="minimax").losses(model, rows, ("generator",))["generator"]
    steep = AdversarialLoss().losses(model, rows, ("generator",))["generator"]
    assert steep.item() == pytest.approx(16e4, rel=1e-3)
    assert saturated.item() == pytest.approx(0, abs=1e-6)
    own = list(model.generator.parameters())
    slopes = [sum(g.abs().sum() for g in torch.autograd.grad(loss, own)) for loss in (saturated, steep)]
    assert slopes[0] == 0  # the minimax loss saturates
    assert slopes[1] > 0


def test_the_penalty_is_half_the_squared_slope_at_real_images():
    model = build(SMALL).eval()
    x = batch()["image"].requires_grad_()
    (slope,) = torch.autograd.grad(model.discriminate(x).sum(), x)
    lone, every = AdversarialLoss(), AdversarialLoss(r1=0.3, every=4)
    values = {
        step: [loss.losses(model, batch(step=step), ("discriminator",))["discriminator"] for loss in (lone, every)]
        for step in (0, 1, 4)
    }
    expected = 4 * 0.3 / 2 * slope.square().sum()
    for step in (0, 4):
        torch.testing.assert_close(values[step][1] - values[step][0], expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(*values[1])


def test_a_turn_moves_its_own_player_alone():
    model, loss = build(SMALL), AdversarialLoss()
    players = {name: list(own) for name, own in loss.players(model).items()}
    assert set(map(id, model.parameters())) == {id(p) for own in players.values() for p in own}
    value = loss.losses(model, batch(), ("discriminator",))["discriminator"]
    slopes = torch.autograd.grad(value, players["generator"], allow_unused=True)
    assert all(slope is None for slope in slopes)


def test_a_loss_refuses_another_kind_of_model():
    with pytest.raises(ContractError):
        AdversarialLoss().players(build({"architecture": "LeNet"}))
    with pytest.raises(ContractError):
        InversionLoss().players(build(SMALL))


@pytest.mark.parametrize("name", KINDS_OF_GAN)
def test_a_game_that_was_cut_short_goes_on_bit_for_bit(name, tmp_path):
    data = images()
    preset = KINDS[name].preset(data, seed=10)
    assert preset.kind == name
    preset = replace(preset, training=replace(preset.training, epochs=None, steps=6, batch=16))
    whole, halves = build(preset.model, seed=10), build(preset.model, seed=10)

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    rows = {"image": data.pixels}
    history = fit(whole, preset.loss, rows, preset.training)
    assert set(history.losses) == {"discriminator", "generator"}
    with pytest.raises(KeyboardInterrupt):
        fit(halves, preset.loss, rows, preset.training, out=tmp_path, on_step=stop)
    again = build(preset.model, seed=11)
    assert fit(again, preset.loss, rows, preset.training, out=tmp_path).resumed == 3
    for key, t in whole.state_dict().items():
        assert torch.equal(t, again.state_dict()[key]), key


def test_averaged_weights_and_statistics_fit_each_other():
    """Where nothing moves any more, the average is the network itself, its batch statistics included."""
    model = build(SMALL)
    recipe = TrainingRecipe(steps=60, batch=16, rate=1e-12, ema=0.5, schedule="constant")
    fit(model, AdversarialLoss(), {"image": images().pixels}, recipe)
    z = model.prior(400, generator=generator(0))
    with torch.no_grad():
        at_rest = model.decode(z)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
        unknown = model.decode(z)
        own = model.train().decode(z)  # statistics of this very batch
    assert (at_rest - own).abs().mean() < 0.01
    assert (unknown - own).abs().mean() > 0.05


def test_every_kind_is_trained_measured_and_saved(tmp_path):
    data, test = images(), images(40, seed=1)
    preset = KINDS["dcgan"].preset(data, latent=3, width=4, seed=10)
    preset = replace(preset, training=replace(preset.training, steps=20, batch=16))
    done = train(preset, data, test)
    assert done.facts["kind"] == "dcgan"
    assert done.facts["figures"].keys() == {"images", "diversity", "caught", "believed"}
    done.save(tmp_path / "gan.safetensors")

    codes = load_model(tmp_path / "gan.safetensors")
    preset = KINDS["inverter"].preset(data, codes=codes, seed=10)
    preset = replace(preset, training=replace(preset.training, epochs=None, steps=20, batch=16))
    inverter = train(preset, data, test)
    assert inverter.facts["figures"].keys() == {"images", "code_mse", "mse"}
    torch.testing.assert_close(inverter.model.gan.state_dict(), codes[0].state_dict())
    inverter.save(tmp_path / "inverter.safetensors")
    assert isinstance(open_decoder(tmp_path / "inverter.safetensors"), Inverter)


def test_an_inverter_needs_a_generator_of_its_size():
    with pytest.raises(ModelError) as none:
        KINDS["inverter"].preset(images())
    assert none.value.slug == "inverter-generator"
    with pytest.raises(ContractError):
        KINDS["inverter"].preset(images(size=10), codes=(build(SMALL), {"recipe": SMALL}))


class Bumps(torch.nn.Module):
    """A generator of a bump whose place is the code: an answer that an encoder can learn in seconds."""

    def __init__(self):
        super().__init__()
        self.height = torch.nn.Parameter(torch.tensor(4.0))

    def forward(self, z):
        at = torch.linspace(-2, 2, 8)
        rows, columns = (torch.exp(-2 * (at - z[:, i, None]) ** 2) for i in (0, 1))
        return self.height * torch.einsum("ni,nj->nij", rows, columns)[:, None] - 2


def test_an_encoder_learns_the_codes_of_its_generator_and_serves_a_repair():
    dense = {"shape": [1, 8, 8], "latent": 2, "widths": [4], "judges": [4]}
    model = Inverter({"architecture": "GAN", "arguments": dense}, width=8, hidden=64)
    model.gan.generator = Bumps().requires_grad_(False)
    with torch.no_grad():
        x = model.decode(0.7 * model.prior(400, generator=generator(1)))
    fit(model, InversionLoss(), {"image": x}, TrainingRecipe(steps=300, batch=64, rate=5e-3))
    z = 0.7 * model.prior(100, generator=generator(2))
    with torch.no_grad():
        unseen = model.decode(z)
        assert (model.encode(unseen) - z).square().mean() < 0.05
        assert (model(unseen) - unseen).square().mean() < 0.1 * unseen.var(0).mean()

    # A classifier that asks which half is brighter: a repair moves the bump across, along the generator's codes.
    half = torch.nn.Linear(64, 2)
    left = torch.arange(64) % 8 < 4
    with torch.no_grad():
        half.weight.copy_(torch.stack([left, ~left]).float())
        half.bias.zero_()
    classifier = am.Classifier(torch.nn.Sequential(torch.nn.Flatten(), half), labels=["left", "right"])
    chosen, there = unseen[:8], classifier.predict(unseen[:8])
    task = am.Task(key=torch.arange(8), image=chosen, label=there, target=1 - there)
    found = am.recipes.lse(model, steps=60).run(classifier, task)
    assert found.met.all()
    assert torch.equal(classifier.predict(found.images), 1 - there)
