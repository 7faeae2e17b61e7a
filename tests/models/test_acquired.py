"""Models behind a learned camera see what it records and nothing else."""

import pytest
import torch

from amiss.errors import ContractError, UsageError
from amiss.models import LitCaptioner, LitClassifier, PickedClassifier

torch.set_num_threads(1)

MOVIES = {"architecture": "MovieClassifier", "arguments": {"classes": 2, "size": 8, "extra": 2, "width": 2}}
SIGNALS = {"architecture": "SequenceClassifier", "arguments": {"inputs": 3, "classes": 2, "hidden": 4}}
LENET = {"architecture": "LeNet", "arguments": {"channels": 1, "classes": 3, "size": 8, "width": 2, "hidden": 4}}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def picked(recipe, keep=2):
    """A classifier that keeps frames 1 and 4 of five."""
    torch.manual_seed(0)
    model = PickedClassifier(5, keep, recipe).eval()
    model.picker.raw.data.copy_(torch.tensor([0.0, 2, 0, 0, 1]))
    return model


@pytest.mark.parametrize("each", [False, True])
def test_a_movie_is_judged_by_its_picked_frames_and_what_stands_beside_them(each):
    model = picked(MOVIES)
    ask = model.each if each else model
    x, beside, lengths = rand(3, 5, 1, 8, 8), rand(3, 5, 2, seed=1), torch.tensor([5, 4, 2])
    said = ask(x, beside, lengths)
    assert said.shape == ((3, 5, 2) if each else (3, 2))
    other, numbers = x.clone(), beside.clone()
    for frame in (0, 2, 3):
        other[:, frame], numbers[:, frame] = 0.9, 7.0
    assert torch.equal(ask(other, numbers, lengths), said)
    for part in (other, numbers):
        part[:, 1] = 0.3
    assert not torch.equal(ask(other, beside, lengths), said)
    assert not torch.equal(ask(x, numbers, lengths), said)


def test_a_signal_is_judged_by_its_picked_samples_and_may_end_early():
    model, x = picked(SIGNALS), rand(2, 5, 3)
    silent = x.clone()
    silent[:, [0, 2, 3]] = 0
    assert torch.equal(model(x), model.model(silent))
    short = torch.tensor([3, 2])
    assert torch.equal(model(x[:, :3], lengths=short), model(x, lengths=short))
    with pytest.raises(ContractError, match="picker-movie"):
        model(rand(2, 6, 3))
    with pytest.raises(ContractError, match="sequence-finite"):
        model(torch.full((2, 5, 3), float("nan")))


def test_a_lit_classifier_sees_readings_alone():
    torch.manual_seed(0)
    model = LitClassifier(LENET, 1, 8, patterns=3, noise=0.1).eval()
    names = "light scale conv1 relu1 pool1 conv2 relu2 pool2 flatten fc1 relu3 fc2"
    assert [name for name, _ in model.named_children()] == names.split()
    x = rand(4, 1, 8, 8)
    assert torch.equal(model(x), model(x))
    # A change that no pattern sees: two pixels on the same side of every pattern.
    signs = model.light.signs().detach().flatten(1)
    i, j = next((i, j) for i in range(64) for j in range(i) if torch.equal(signs[:, i], signs[:, j]))
    moved = x.flatten(1).double()
    moved[:, i] += 0.25
    moved[:, j] -= 0.25
    torch.testing.assert_close(model(moved.float().unflatten(1, (1, 8, 8))), model(x), rtol=0, atol=1e-4)
    lots = [model(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(lots[0], lots[1]) and not torch.equal(lots[0], lots[2])
    assert not torch.equal(lots[0], model(x))


def test_a_lit_captioner_sees_readings_alone():
    torch.manual_seed(0)
    model = LitCaptioner(["a", "b"], patterns=2, noise=0.1, begin="hadamard", size=16, hidden=4).eval()
    assert model.light.hard().shape == (2, 16, 16)
    x = rand(3, 1, 16, 16)
    alike = x.mean((2, 3), keepdim=True) + torch.zeros_like(x)
    other = alike.clone()
    other[:, :, 0] += 0.1
    other[:, :, 1] -= 0.1  # rows on the same side of both patterns: of the whole, and of a half
    code = model.encoder(alike)
    torch.testing.assert_close(model.encoder(other), code, rtol=0, atol=1e-4)
    assert (model.encoder(100 * x) - model.encoder(100 * alike)).abs().max() > 1e-2
    assert model.log_prob("a b", x).shape == (3,)


def test_what_is_missing_in_frames_that_are_not_picked_or_not_there_changes_nothing():
    model = picked(MOVIES).train()
    x, beside, lengths = rand(3, 5, 1, 8, 8), rand(3, 5, 2, seed=1), torch.tensor([5, 4, 2])
    holes, numbers = x.clone(), beside.clone()
    for part in (holes, numbers):
        part[1, 4:], part[2, 2:] = float("nan"), float("inf")  # behind the ends, in every draw
    said, grads = [], []
    for seen, told in ((x, beside), (holes, numbers)):
        torch.manual_seed(1)
        model.zero_grad()
        logits = model(seen, told, lengths)
        logits.square().sum().backward()
        said.append(logits.detach())
        grads.append(model.picker.raw.grad.clone())
    assert bool(grads[1].isfinite().all()) and bool(grads[1].any())
    assert torch.equal(said[0], said[1])
    torch.testing.assert_close(*grads)
    still = model.eval()(x, beside)
    for part in (x, beside):
        part[:, [0, 2, 3]] = float("nan")
    assert torch.equal(model(x, beside), still)


def test_new_layers_of_a_captioner_go_where_it_is():
    model = LitCaptioner(["a"], patterns=2, size=8, hidden=4, units=4, code=4).double().to("meta")
    model.see(3)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.float64)}


@pytest.mark.parametrize(
    "make",
    [
        lambda: PickedClassifier(5, 6, SIGNALS),
        lambda: PickedClassifier(5, 2, LENET),
        lambda: LitClassifier(SIGNALS),
        lambda: LitClassifier({"architecture": "LeNet", "arguments": [1]}),
        lambda: LitClassifier({}),
        lambda: LitCaptioner(["a"], patterns=0),
        lambda: LitCaptioner(["a"], units=0),
        lambda: LitCaptioner(["a"], width=8),
    ],
)
def test_what_cannot_be_recorded_is_refused(make):
    with pytest.raises(UsageError):
        make()
