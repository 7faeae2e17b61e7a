"""What is believed: successes as their files hold them, and decoders that keep what the classifier sees."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from amiss.classifier import Classifier
from amiss.constraints import Unconstrained
from amiss.data import Images
from amiss.errors import DataError, ModelError
from amiss.objectives import Become
from amiss.optimizers import Sign
from amiss.probe import Probe
from amiss.spaces import Pixels
from amiss.task import Task
from amiss.testing import LinearWorld
from amiss.trust import DecoderGate, decoder_gate, refuse_other_order, verify


def sum_model(bias):
    """Two logits: 0, and the sum of the pixels minus a bias."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[0.0] * 4, [1.0] * 4]))
        network[1].bias.copy_(torch.tensor([0.0, -bias]))
    return Classifier(network)


class Map:
    """A codec of two functions."""

    def __init__(self, encode, decode=lambda z: z):
        self.encode, self.decode = encode, decode


def test_a_file_is_judged_by_its_bytes_and_not_by_the_tensor(tmp_path):
    # 100.4/255 a pixel is past the bias in the tensor; its file holds 100/255, which is not.
    images = torch.stack([torch.full((1, 2, 2), v / 255) for v in (100.4, 100.6, 101.0)])
    task = Task(torch.arange(3), torch.zeros_like(images), target=torch.ones(3, dtype=torch.int64))
    probe = Probe(Pixels(), Become(margin=0.0), Unconstrained(), Sign(0.1))
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    held = verify(probe, sum_model(4 * 100.2 / 255), task, images, paths)
    assert held.tolist() == [False, True, True]
    assert [np.unique(Image.open(path)).tolist() for path in paths] == [[100], [101], [101]]


def test_the_margin_is_part_of_the_judgement(tmp_path):
    images = torch.full((1, 1, 2, 2), 0.4)
    task = Task(torch.arange(1), torch.zeros_like(images), target=torch.ones(1, dtype=torch.int64))
    for margin, held in ((0.0, True), (0.55, True), (0.65, False)):
        probe = Probe(Pixels(), Become(margin=margin), Unconstrained(), Sign(0.1))
        assert verify(probe, sum_model(1.0), task, images, [tmp_path / "x.png"]).tolist() == [held]


def test_nothing_to_verify_is_no_error():
    probe = Probe(Pixels(), Become(), Unconstrained(), Sign(0.1))
    assert verify(probe, sum_model(1.0), Task(torch.arange(0)), torch.zeros(0, 1, 2, 2), []).tolist() == []


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


@pytest.mark.parametrize(
    ("own", "other", "refused"),
    [
        (("cat", "dog"), ("dog", "cat"), True),
        (("a", "Cat", "dog"), ("a", "dog", "cat"), True),
        (("cat", "dog"), ("cat", "dog"), False),
        (("cat", "dog"), ("n01", "n02"), False),
        (("cat", "dog", "owl"), ("cat", "dog"), False),
        (("cat", "dog", "owl"), ("cat", "owl"), True),  # owls would be counted as dogs
        (("cat", "dog"), ("cat", "dog", "owl"), False),
        (None, tuple(sorted(map(str, range(12)))), False),  # folders 0, 1, 10, 11, 2, ...: numbers are no names
    ],
)
def test_the_same_names_in_another_order_are_refused(own, other, refused, refuses):
    n = len(own or other)
    classifier = Classifier(lambda x: torch.zeros(len(x), n), labels=own)
    classifier.predict(torch.zeros(1, 1, 2, 2))
    images = Images.of(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), [0], other)
    with refuses(DataError, "data-class-order") if refused else nullcontext():
        refuse_other_order(classifier, images)
