"""A captioner: a density of sentences given an image, which answers probes in words."""

import pytest
import torch

from amiss import Adam, Budget, Classifier, Linf, Mimic, Pixels, Probe, Says, Sign, Task
from amiss.errors import ContractError, ModelError, UsageError
from amiss.models import Captioner
from amiss.training import TrainingRecipe, fit
from amiss.training.losses import CaptionLoss

WORDS = ("a", "bright", "dark", "picture")


def captioner(**kwargs):
    torch.manual_seed(0)
    net = Captioner(WORDS, size=8, length=4, width=2, code=6, hidden=7, **kwargs)
    return net.double().eval().requires_grad_(False)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "lstm-sigmoid", "gru"])
def test_sentences_of_an_image_share_one_density(cell):
    net, x = captioner(cell=cell), torch.rand(3, 1, 8, 8, dtype=torch.float64)
    drawn = net.sample(2000, x[:1].expand(2000, -1, -1, -1), generator=torch.Generator().manual_seed(0))
    rows, counts = drawn.unique(dim=0, return_counts=True)
    chances = net.log_prob(rows, x[:1].expand(len(rows), -1, -1, -1)).exp()
    assert float(chances.sum()) <= 1 + 1e-9
    shares = counts.double() / 2000
    assert bool(((shares - chances).abs() < 5 * (chances * (1 - chances) / 2000).sqrt() + 1e-3).all())
    assert torch.equal(net.sample(5, x[:1].expand(5, -1, -1, -1)), net.sample_naive(5, x[:1].expand(5, -1, -1, -1)))


def test_it_answers_in_words_and_says_how_likely_these_are():
    net, x = captioner(), torch.rand(3, 1, 8, 8, dtype=torch.float64)
    said = net.answer(x)
    tokens = net.vocabulary.rows(said, 4)
    assert torch.allclose(net.log_prob(said, x), net.log_prob(tokens, x))
    assert torch.allclose(net.log_prob("A dark picture.", x), net.log_prob(["a dark picture"] * 3, x))
    wide = net.answer(x, width=3)
    assert bool((net.log_prob(wide, x) >= net.log_prob(said, x) - 1e-9).all())
    assert net.answer(x[:0]) == []


@pytest.fixture(scope="module")
def sees():
    """A captioner that has learned to tell bright pictures from dark ones."""
    x = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.4
    x[::2] += 0.6
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = Captioner(WORDS, size=8, length=4, width=8, code=32, hidden=32)
        said = [f"a {'bright' if i % 2 == 0 else 'dark'} picture" for i in range(200)]
        data = {"image": x, "tokens": net.vocabulary.rows(said, 4)}
        fit(net, CaptionLoss(), data, TrainingRecipe(steps=200, batch=40, rate=4e-3))
    assert net.answer(x) == said
    return net


def test_it_is_made_to_say_a_sentence(sees):
    x = torch.full((4, 1, 8, 8), 0.2) + 0.1 * torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    assert set(sees.answer(x)) == {"a dark picture"}
    probe = Probe(Pixels(), Says("a bright picture"), Linf(0.5), Sign(0.05), budget=Budget(20))
    result = probe.run(sees, Task(torch.arange(4), x))
    assert bool(result.met.all())
    assert set(sees.answer(result.images)) == {"a bright picture"}


def test_its_encoder_is_made_to_mistake_an_image_for_another(sees):
    """A feature adversary of the encoder carries over to what is said, word for word."""
    dark, bright = (torch.full((2, 1, 8, 8), value) for value in (0.2, 0.8))
    probe = Probe(Pixels(), Mimic("code"), Linf(0.65), Adam(0.05), budget=Budget(60))
    task = Task(torch.arange(2), dark, guide=bright)
    result = probe.run(Classifier(sees.encoder, labels=[str(i) for i in range(32)]), task)
    assert sees.answer(result.images) == ["a bright picture"] * 2


@pytest.mark.parametrize(
    ("call", "slug"),
    [
        (lambda net, x: net.log_prob("a dark pictures", x), "text-symbol"),
        (lambda net, x: net.log_prob("a a a a a", x), "text-length"),
        (lambda net, x: net.log_prob("a", x[:, :, :7]), "caption-image"),
        (lambda net, x: net.log_prob("a", None), "caption-image"),
        (lambda net, x: net.sample(2), "caption-image"),
        (lambda net, x: net.log_prob(3, x), "caption-sentence"),
        (lambda net, x: net.log_prob(["a", 3], x), "caption-sentence"),
        (lambda net, x: net.answer(x * torch.nan), "caption-finite"),
        (lambda net, x: Captioner(WORDS, size=7), "captioner"),
        (lambda net, x: Captioner(("a", "a")), "vocabulary"),
    ],
)
def test_what_cannot_be_said_is_refused(call, slug):
    with pytest.raises((ContractError, ModelError, UsageError)) as caught:
        call(captioner(), torch.rand(2, 1, 8, 8, dtype=torch.float64))
    assert caught.value.slug == slug


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (torch.rand(2, 3, 8, 8), "other channels"),
        (torch.rand(2, 1, 9, 8), "another size"),
        (torch.rand(3, 1, 8, 8), "another number"),
        (torch.rand(8, 8), ""),
    ],
)
def test_it_is_said_in_what_images_differ_from_those_it_knows(x, why):
    with pytest.raises(ContractError) as caught:
        captioner().log_prob(["a", "dark"], x.double())
    assert caught.value.slug == "caption-image"
    assert caught.value.why.startswith(why) and ";" not in caught.value.why


def test_an_image_that_is_no_number_ends_its_own_sample_alone(sees):
    x = torch.full((3, 1, 8, 8), 0.25)
    x[1, 0, 2, 3] = torch.nan
    assert sees.log_prob("a bright picture", x).isfinite().tolist() == [True, False, True]
    probe = Probe(Pixels(), Says("a bright picture"), Linf(0.5), Sign(0.05), budget=Budget(20))
    assert probe.run(sees, Task(torch.arange(3), x)).met.tolist() == [True, False, True]
