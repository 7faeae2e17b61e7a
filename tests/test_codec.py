"""Encoders with decoders: those of other images, and those whose code means nothing, are refused in words."""

import pytest
import torch

from amiss import recipes
from amiss.errors import ContractError, ModelError
from amiss.models import ConvVAE
from amiss.spaces import Latent
from amiss.spaces.codec import redrawn, refuse_constant
from amiss.testing import LinearWorld

WORLD = LinearWorld(n=6)
IMAGES = WORLD.task.image


class Two:
    """A codec of two functions; the encoder takes the first four pixels."""

    def __init__(self, decode, encode=lambda x: x.flatten(1)[:, :4]):
        self.encode, self.decode = encode, decode


def spread(z):
    """One gray level for each code, everywhere."""
    return z.mean(1).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


CONSTANT = {
    "the same image": lambda z: torch.full((len(z), 1, 8, 8), 0.5, dtype=z.dtype),
    "one that depends on the code by nothing": lambda z: 0.5 + 0 * spread(z),
    "one that changes by less than a byte": lambda z: 0.5 + 1e-4 * spread(z).tanh(),
    "one out of its own batch": lambda z: spread(z[:1] * 0).expand(len(z), 1, 8, 8) + 0.3,
}
FLAT = {
    "detached": lambda z: spread(z).detach(),
    "rounded": lambda z: (spread(z) * 16).round() / 16,
}


@pytest.mark.parametrize("decode", CONSTANT.values(), ids=CONSTANT)
@pytest.mark.parametrize("n", [1, 6])
def test_a_decoder_that_draws_one_image_is_refused(decode, n, refuses):
    for call in (
        lambda: refuse_constant(Two(decode), IMAGES[:n]),
        lambda: refuse_constant(Two(decode), IMAGES[:n], slope=False),
    ):
        with refuses(ModelError, "decoder-constant") as caught:
            call()
        assert f"{n + 8} codes" in str(caught.value)
        assert "amiss train vae" in str(caught.value)


@pytest.mark.parametrize("decode", FLAT.values(), ids=FLAT)
def test_a_decoder_without_a_derivative_is_refused_where_one_is_wanted(decode, refuses):
    refuse_constant(Two(decode), IMAGES, slope=False)
    with refuses(ModelError, "decoder-constant") as caught:
        refuse_constant(Two(decode), IMAGES)
    assert "derivative by the code that is zero at all of 14 codes" in str(caught.value)


def test_a_decoder_whose_code_means_something_passes():
    alike = IMAGES[:1].expand(5, -1, -1, -1)
    long = Two(lambda z: spread(z) / 1e5, lambda x: 1e5 * x.flatten(1)[:, :4])  # codes of any length
    nothing = Two(lambda z: spread(z) * float("nan"))  # of numbers that are none the gate speaks
    half = Two(lambda z: torch.where(z[:, :1].view(-1, 1, 1, 1) > 0.5, spread(z), torch.zeros(1, dtype=z.dtype)))
    for codec in (WORLD.codec, Two(spread), long, half):
        for x in (IMAGES, alike, IMAGES[:1]):
            refuse_constant(codec, x)
    refuse_constant(nothing, IMAGES, slope=False)


def test_a_module_is_left_as_it_was():
    vae = ConvVAE(1, 8, 2, width=4, hidden=8).train()
    refuse_constant(vae, torch.rand(3, 1, 8, 8))
    assert vae.training
    assert all(p.requires_grad and p.grad is None for p in vae.parameters())


def test_a_search_along_such_a_decoder_is_refused_before_it_begins(refuses):
    for decode in CONSTANT.values():
        for rows in ([0], [0, 1, 2]):
            with refuses(ModelError, "decoder-constant"):
                recipes.lse(Two(decode)).run(WORLD.classifier(), WORLD.task.rows(torch.tensor(rows)))


@pytest.mark.parametrize(
    ("codec", "seen"),
    [
        (ConvVAE(1, 16, 2, width=4, hidden=8), "[6, 1, 8, 8], where the decoder asks for (N, 1, 16, 16)"),
        (ConvVAE(3, 8, 2, width=4, hidden=8), "[6, 1, 8, 8], where the decoder asks for (N, 3, 8, 8)"),
        (Two(lambda z: spread(z)[..., :4]), "images [6, 1, 8, 4] back"),
        (Two(spread, lambda x: x @ torch.zeros(3, 3, dtype=x.dtype)), "RuntimeError"),
        (Two(lambda z: None, lambda x: [][1]), "IndexError"),
    ],
)
def test_a_decoder_of_other_images_is_refused_wherever_it_is_asked(codec, seen, refuses):
    images = IMAGES.float()
    task = WORLD.task
    for call in (
        lambda: redrawn(codec, images),
        lambda: refuse_constant(codec, images),
        lambda: Latent(codec).prepare(type(task)(task.key, image=images, label=task.label)),
    ):
        with refuses(ModelError, "decoder-shape") as caught:
            call()
        assert seen in str(caught.value)
        assert "amiss train vae" in str(caught.value)


def test_a_task_without_images_is_no_matter_of_the_decoder(refuses):
    with refuses(ContractError, "contract-no-image"):
        Latent(WORLD.codec).prepare(type(WORLD.task)(torch.arange(2)))


def test_memory_that_runs_out_is_not_blamed_on_the_decoder():
    def out_of_memory(x):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        redrawn(Two(spread, out_of_memory), IMAGES)
