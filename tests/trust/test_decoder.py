"""Decoders that keep what the classifier sees, and those that do not."""

import pytest
import torch

from amiss.errors import ModelError
from amiss.testing import LinearWorld
from amiss.trust import DecoderGate, decoder_gate
from tests.trust.nets import sum_model


class Map:
    """A codec of two functions."""

    def __init__(self, encode, decode=lambda z: z):
        self.encode, self.decode = encode, decode


def test_an_exact_decoder_keeps_everything():
    world = LinearWorld(latent=64, dtype=torch.float32)
    gate = decoder_gate(world.classifier(), world.codec, world.task.image)
    assert gate.explained == pytest.approx(1, abs=1e-9)
    assert gate.agreement == 1
    assert gate.passed


def test_the_share_explained_is_that_of_the_subspace():
    # Projection onto a basis keeps the part of the variance that lies in it.
    world = LinearWorld(n=400, latent=40)
    x = world.task.image.flatten(1)
    gate = decoder_gate(world.classifier(), world.codec, world.task.image, batch=7)
    lost = (x - 0.5) - (x - 0.5) @ world.codec.basis @ world.codec.basis.T
    variance = (x - x.mean(0)).square().sum()
    assert gate.explained == pytest.approx(float(1 - lost.square().sum() / variance), abs=1e-9)
    same = world.logits(world.codec.decode(world.codec.encode(world.task.image))).argmax(1)
    assert gate.agreement == float((same == world.logits(world.task.image).argmax(1)).double().mean())


def test_a_mean_image_explains_nothing(images):
    x = images(20, (1, 2, 2))
    gate = decoder_gate(sum_model(2.0), Map(lambda x: x.flatten(1), lambda z: x.mean(0).expand(len(z), 1, 2, 2)), x)
    assert gate.explained == pytest.approx(0, abs=1e-6)
    assert not gate.passed


def test_the_gate_sees_the_decoder_as_the_search_does(images):
    class Drawing(torch.nn.Sequential):
        encode = torch.nn.Sequential.forward

        def decode(self, z):
            return z

    codec = Drawing(torch.nn.BatchNorm2d(1, eps=0)).train()  # in evaluation mode, before any update: the identity
    gate = decoder_gate(sum_model(2.0), codec, images(8, (1, 2, 2)))
    assert gate.explained == 1 and gate.agreement == 1
    assert codec.training and int(codec[0].num_batches_tracked) == 0


def test_both_shares_are_needed():
    assert DecoderGate(0.7, 0.7).passed
    assert not DecoderGate(0.99, 0.69).passed
    assert not DecoderGate(0.69, 0.99).passed
    assert DecoderGate(0.5, 0.5, threshold=0.5).passed
    assert "keeps 69% of the pixels' variance" in str(DecoderGate(0.69, 0.99))
    assert "names 99% of the reconstructions" in str(DecoderGate(0.69, 0.99))


def test_equal_images_and_a_decoder_of_nan_are_no_division_by_zero(images):
    one = images(1, (1, 2, 2)).repeat(5, 1, 1, 1)
    assert decoder_gate(sum_model(2.0), Map(lambda x: x), one).explained == 1
    assert decoder_gate(sum_model(2.0), Map(lambda x: x / 2), one).explained == 0
    broken = decoder_gate(sum_model(2.0), Map(lambda x: x * float("nan")), images(5, (1, 2, 2)))
    assert broken.explained == 0
    assert not broken.passed


@pytest.mark.parametrize(
    "codec",
    [
        Map(lambda x: x @ torch.zeros(3, 3)),
        Map(lambda x: x, lambda z: z[:, :, :1]),
        Map(lambda x: x, lambda z: z.expand(-1, 3, -1, -1)),
        Map(lambda x: x, lambda z: z[:1]),
    ],
)
def test_a_decoder_of_other_shapes_is_refused(codec, images, refuses):
    with refuses(ModelError, "decoder-shape"):
        decoder_gate(sum_model(2.0), codec, images(4, (1, 2, 2)))
