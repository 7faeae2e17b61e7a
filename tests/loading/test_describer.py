"""A captioner from its file answers probes: by the layers of its encoder, by its sentences, and by both at once."""

import pytest
import torch

import amiss as am
from amiss.errors import ContractError, ModelError
from amiss.models import Captioner, build
from amiss.training import TrainingRecipe, fit, save_model
from amiss.training.losses import CaptionLoss

RECIPE = {
    "architecture": "Captioner",
    "arguments": {"words": ["a", "bright", "dark", "picture"], "size": 8, "length": 3, "width": 8, "code": 32},
}
SAYS = am.Says("a bright picture")
DARK, BRIGHT = (torch.full((2, 1, 8, 8), value) for value in (0.2, 0.8))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The file of a captioner that has learned to tell bright pictures from dark ones."""
    x = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4
    x[::2] += 0.6
    net = build(RECIPE, seed=1)
    said = [f"a {'bright' if i % 2 == 0 else 'dark'} picture" for i in range(200)]
    data = {"image": x, "tokens": net.vocabulary.rows(said, 3)}
    fit(net, CaptionLoss(), data, TrainingRecipe(steps=200, batch=40, rate=4e-3))
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_model(path, net, RECIPE, {"kind": "captioner"})
    return path


@pytest.fixture
def captioner(path):
    return am.open_captioner(path)


@pytest.mark.parametrize(
    "wanted",
    [am.Mimic("code"), SAYS, am.Says("A bright picture."), am.Mimic("code") + SAYS],
    ids=["mimic", "says", "says-plainly", "both"],
)
def test_it_is_made_to_describe_the_guide(captioner, wanted):
    assert captioner.answer(DARK) == ["a dark picture"] * 2
    probe = am.Probe(am.Pixels(), wanted, am.Linf(0.65), am.Adam(0.05), budget=am.Budget(60))
    result = probe.run(captioner, am.Task(torch.arange(2), DARK, guide=BRIGHT))
    assert bool(result.met.all())
    assert captioner.answer(result.images) == ["a bright picture"] * 2
    assert not any(p.grad is not None for p in captioner.captioner.parameters())
    assert all(p.requires_grad for p in captioner.captioner.parameters())


def test_it_says_what_the_captioner_says_and_counts_its_looks(captioner):
    net, x = captioner.captioner, BRIGHT.clone().requires_grad_()
    net.train()  # a pass in evaluation mode leaves no trace
    before = {name: t.clone() for name, t in net.state_dict().items()}
    nats = captioner.log_prob("a dark picture", x)
    nats.sum().backward()
    said = captioner.answer(BRIGHT, width=3)
    assert net.training
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert (captioner.counts.forward, captioner.counts.backward, captioner.counts.queries) == (2, 1, 4)
    net.eval()
    torch.testing.assert_close(nats, net.log_prob("a dark picture", BRIGHT))
    assert said == net.answer(BRIGHT, width=3)
    assert torch.equal(captioner.outputs(BRIGHT, ("code",))["code"], net.encoder(BRIGHT))
    assert (captioner.size, captioner.channels) == (8, 1)


def test_its_fingerprint_tells_of_the_weights_that_speak(path, captioner):
    assert am.open_captioner(path, "cpu").fingerprint == captioner.fingerprint
    other = am.open_captioner(path)
    with torch.no_grad():
        other.captioner.readout.bias[0] += 1
    assert other.fingerprint != captioner.fingerprint


def test_what_it_cannot_be_asked_is_refused(captioner, tmp_path):
    for call, slug in [
        (lambda: captioner.log_prob("a brigt picture", DARK), "text-symbol"),
        (lambda: captioner.log_prob("a bright dark picture", DARK), "text-length"),
        (lambda: captioner.answer(DARK[..., :7]), "caption-image"),
        (lambda: captioner.log_prob("a picture", torch.zeros(1, 3, 8, 8)), "caption-image"),
    ]:
        with pytest.raises((ContractError, ModelError)) as caught:
            call()
        assert caught.value.slug == slug
    recipe = {"architecture": "LeNet", "arguments": {"size": 8}}
    save_model(tmp_path / "net.safetensors", build(recipe), recipe, {"kind": "classifier"})
    with pytest.raises(ModelError, match="model-kind"):
        am.open_captioner(tmp_path / "net.safetensors")


def test_a_probe_says_which_word_is_unknown(captioner):
    probe = am.Probe(am.Pixels(), am.Says("a brigt picture"), am.Linf(0.1), am.Adam(0.05), budget=am.Budget(2))
    with pytest.raises(ModelError, match="Did you mean bright"):
        probe.run(captioner, am.Task(torch.arange(2), DARK))


def test_layers_bear_names_and_any_size_fits():
    net = Captioner(("a",), channels=3, size=50, width=4, code=8, hidden=8)
    names = [name for name, _ in net.encoder.named_children()]
    assert names[:4] == ["center", "conv1", "norm1", "relu1"]
    assert names[-3:] == ["flatten", "fc", "code"]
    assert net.encoder(torch.rand(2, 3, 50, 50)).shape == (2, 8)
