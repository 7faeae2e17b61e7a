"""Strips of film: a movie classifier asked by images gives the same logits, the same gradients, and can be probed."""

import pytest
import torch

import amiss as am
from amiss.data import film_strips
from amiss.data.sequences import Sequences
from amiss.errors import ContractError, DataError, UsageError
from amiss.models import ConvVAE, FilmDecoder, FilmStrip, MovieClassifier
from amiss.models.film_strip import unrolled

torch.set_num_threads(1)


def movies(n=4, t=5, channels=1, lengths=None):
    lots = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (n, t, channels, 9, 9), generator=lots, dtype=torch.uint8)
    return Sequences.of(frames, lengths, torch.arange(n) % 2, table={"onset": torch.arange(n)})


def classifier(hidden=5, **kwargs):
    torch.manual_seed(0)
    return MovieClassifier(2, size=9, width=2, code=4, hidden=hidden, **kwargs).eval()


@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_has_the_logits_of_its_movie(hidden, channels):
    net, shown = classifier(hidden, channels=channels), movies(channels=channels)
    strips = film_strips(shown)
    assert strips.pixels.shape == (4, channels, 9, 45)
    x = shown.frames.float() / 255
    assert torch.equal(unrolled(strips.images(), 5), x)
    assert torch.equal(FilmStrip(net)(strips.images()), net(x))
    assert torch.equal(strips.truth, shown.truth) and strips.classes == shown.classes
    assert torch.equal(strips.table["onset"], shown.table["onset"])


def test_a_strip_of_the_first_frames_has_the_logits_of_these():
    net, shown = classifier(), movies(lengths=[5, 3, 4, 5])
    x = shown.frames.float() / 255
    strips = film_strips(shown)  # as long as the shortest
    assert torch.equal(FilmStrip(net, frames=3)(strips.images()), net(x, lengths=torch.full((4,), 3)))
    assert torch.equal(film_strips(shown, 2).pixels, strips.pixels[..., :18])


def test_its_gradients_are_those_of_the_movie():
    net, x = classifier(), movies().frames.float() / 255
    strips = film_strips(movies()).images().requires_grad_()
    x.requires_grad_()
    (of_strips,) = torch.autograd.grad(FilmStrip(net)(strips)[:, 0].sum(), strips)
    (of_movies,) = torch.autograd.grad(net(x)[:, 0].sum(), x)
    assert torch.allclose(unrolled(of_strips, 5), of_movies, atol=1e-7) and bool(of_movies.any())


def test_a_probe_makes_a_wrong_movie_right_and_a_layer_knows_a_row_of_each():
    strips = film_strips(movies(n=24))
    net = classifier()
    with torch.no_grad():  # one that has learned nothing gives all movies one label
        net.readout.bias -= FilmStrip(net)(strips.images()).mean(0)
        net.readout.weight *= 20
        net.readout.bias *= 20
    asked = am.Classifier(FilmStrip(net))
    wrong = strips.misclassified(asked)
    assert 0 < len(wrong) < 24
    repaired = am.recipes.pgd(0.5, steps=40, target="task").run(asked, wrong)
    assert repaired.met.double().mean() > 0.5
    right = repaired.images[repaired.met]
    assert torch.equal(asked.network(right).argmax(1), wrong.label[repaired.met])
    assert asked.outputs(strips.images(), ("classifier.codes",))["classifier.codes"].shape == (24, 5, 10)


def test_codes_of_a_strip_are_those_of_its_frames():
    torch.manual_seed(0)
    frame = ConvVAE(size=9, latent=2, width=4, hidden=8).eval()
    decoder, x = FilmDecoder(frame), film_strips(movies()).images()
    z = decoder.encode(x)
    assert z.shape == (4, 10)
    assert torch.allclose(z[:, 4:6], frame.encode(x[..., 18:27].contiguous()), atol=1e-6)
    one, other = decoder.decode(z), decoder.decode(z + torch.eye(10)[4])
    assert one.shape == x.shape
    moved = (one - other).abs().amax((0, 1, 2)) > 0
    with pytest.raises(ContractError, match="film-strip-shape"):
        decoder.encode(x[..., 1:])
    assert bool(moved[18:27].any()) and not bool(moved[:18].any()) and not bool(moved[27:].any())


@pytest.mark.parametrize(
    "arguments", [{"classifier": classifier(extra=2)}, {"classifier": classifier(), "frames": 0}]
)
def test_classifiers_that_need_more_than_frames_are_refused(arguments):
    with pytest.raises(UsageError, match="film-strip"):
        FilmStrip(**arguments)


@pytest.mark.parametrize(
    "shape", [(2, 1, 8, 45), (2, 3, 9, 45), (2, 1, 9, 44), (2, 1, 9, 36), (2, 1, 9, 0), (1, 9, 45)]
)
def test_images_that_are_no_strips_are_refused(shape):
    with pytest.raises(ContractError, match="film-strip-shape"):
        FilmStrip(classifier(), frames=5)(torch.zeros(shape))


def test_sequences_that_make_no_strips_are_refused():
    short = movies(lengths=[5, 3, 4, 5])
    for given, frames, seen in (
        (short, 4, "1 of 4 movies have fewer than 4 frames"),
        (short, 0, "0 frames"),
        (Sequences.of(torch.zeros(3, 4, 2)), None, "signals"),
    ):
        with pytest.raises(DataError, match="film-strips") as caught:
            film_strips(given, frames)
        assert seen in caught.value.seen
