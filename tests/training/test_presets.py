"""Presets and jobs: what is chosen for which images, and figures that mean what they say."""

import math
from dataclasses import replace

import pytest
import torch

from amiss.data import Images, open_data
from amiss.errors import DataError, UsageError
from amiss.models import ConvVAE, LeNet, build
from amiss.training import (
    KINDS,
    ClassifierLoss,
    ELBOLoss,
    accuracy,
    attributes_for,
    classifier_for,
    decoder_for,
    load_model,
    mean_elbo,
    reconstruction_error,
    train,
)
from amiss.training.presets import (
    cifar_classifier,
    faces_classifier,
    faces_vae,
    mnist_classifier,
    mnist_vae,
    weak_classifier,
)
from tests.realdata import amiss_data

torch.set_num_threads(1)


def images(n=40, channels=1, size=8, classes=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, channels, size, size), generator=g, dtype=torch.uint8)
    labels = torch.arange(n) % classes
    return Images.of(pixels, labels, [f"c{i}" for i in range(classes)])


@pytest.mark.parametrize(("channels", "size", "name"), [(1, 8, "LeNet"), (1, 28, "LeNet"), (3, 8, "LeNet")])
def test_small_images_get_lenet(channels, size, name):
    assert classifier_for(images(channels=channels, size=size)).model["architecture"] == name


@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 32), (3, 64)])
def test_larger_images_get_the_small_cnn_and_every_choice_can_be_built(channels, size):
    some = images(4, channels=channels, size=size)
    for preset in (classifier_for(some), decoder_for(some)):
        build(preset.model)
    assert classifier_for(some).model["architecture"] == "SmallCNN"
    loss = classifier_for(some).loss
    assert isinstance(loss, ClassifierLoss)
    assert len(loss.mean) == len(loss.std) == channels


def test_another_network_can_be_named():
    for name in ("ResNet", "resnet"):
        preset = classifier_for(images(size=16), network=name)
        assert preset.model["architecture"] == "ResNet"
        assert build(preset.model)(torch.rand(2, 1, 16, 16)).shape == (2, 2)
    tabled = replace(images(size=16), table={"bright": torch.arange(40) % 2})
    assert attributes_for(tabled, network="smallcnn").model["architecture"] == "SmallCNN"
    with pytest.raises(UsageError, match="LeNet, SmallCNN, ResNet"):
        classifier_for(images(), network="ConvVAE")


def test_the_scale_of_a_classifier_is_that_of_its_images():
    loss = classifier_for(images(400)).loss
    assert isinstance(loss, ClassifierLoss)
    pixels = images(400).pixels.double() / 255
    assert loss.mean[0] == pytest.approx(float(pixels.mean()), abs=1e-4)
    assert loss.std[0] == pytest.approx(float(pixels.std()), abs=1e-4)


def test_only_black_and_white_images_are_trained_with_binary_noise():
    grey = images()
    binary = Images.of((grey.pixels > 127).to(torch.uint8) * 255)
    colored = images(channels=3)
    assert [decoder_for(i).loss.binarize for i in (grey, binary, colored)] == [False, True, False]
    kinds = [decoder_for(i).model["arguments"]["likelihood"] for i in (grey, binary, colored)]
    assert kinds == ["normal", "bernoulli", "normal"]
    assert decoder_for(grey).training.seconds == 90


@pytest.mark.parametrize("kind", ["gan", "dcgan", "stackgan", "captioner"])
def test_one_image_is_refused_where_batches_are_normalized(kind):
    few = open_data("scenes", split="train", limit=2)
    KINDS[kind].preset(few)
    with pytest.raises(DataError, match="training-single"):
        KINDS[kind].preset(few.pick([0]))


@pytest.mark.parametrize("wrong", [{"beta": -1.0}, {"beta": float("inf")}, {"warm": 2.0}])
def test_a_bound_is_weighed_with_factors_that_mean_something(wrong):
    with pytest.raises(UsageError, match="elbo-beta"):
        ELBOLoss(**wrong)


def test_images_without_labels_or_not_square_are_refused():
    with pytest.raises(DataError, match="without labels"):
        classifier_for(Images.of(images().pixels))
    with pytest.raises(DataError, match="square"):
        decoder_for(Images.of(images().pixels[:, :, :7]))


def test_all_presets_can_be_built_and_say_what_they_are():
    classifiers = mnist_classifier(), weak_classifier(), faces_classifier(), cifar_classifier()
    decoders = mnist_vae(latent=2), faces_vae()
    assert [p.kind for p in (*classifiers, *decoders)] == ["classifier"] * 4 + ["vae"] * 2
    for preset in (*classifiers, *decoders):
        build(preset.model)
    assert mnist_vae(latent=2).model["arguments"]["latent"] == 2


def test_accuracy_counts_the_right_answers():
    """A network that answers with the brightest of two pixels, on images that are known."""
    model = torch.nn.Flatten()
    pixels = torch.tensor([[[[9, 0]]], [[[0, 9]]], [[[9, 0]]], [[[0, 9]]]], dtype=torch.uint8)
    assert accuracy(model, pixels, torch.tensor([0, 1, 0, 0]), batch=3) == 0.75


def test_the_mean_bound_is_the_same_in_every_batch_size_and_exact_for_fair_coins():
    model = build({"architecture": "ConvVAE", "arguments": {"size": 8}}).eval()
    assert isinstance(model, ConvVAE)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    pixels = images(10).pixels
    for binarize in (True, False):
        bound, kl = mean_elbo(model, pixels, binarize=binarize, batch=3)
        assert bound == pytest.approx(-64 * math.log(2), rel=1e-6)
        assert kl == 0
    expected = ((pixels.double() / 255 - 0.5) ** 2).mean()
    assert reconstruction_error(model, pixels, batch=4) == pytest.approx(float(expected), rel=1e-6)


def test_real_handwriting_is_learned_and_the_file_keeps_the_figure(tmp_path):
    handwriting, test = open_data("digits", split="train"), open_data("digits", split="test")
    done = train(classifier_for(handwriting, epochs=8), handwriting, test)
    assert done.facts["figures"]["accuracy"] > 0.95
    done.save(tmp_path / "m.safetensors")
    model, facts = load_model(tmp_path / "m.safetensors")
    again = accuracy(model, test.pixels, test.labels, mean=tuple(facts["mean"]), std=tuple(facts["std"]))
    assert again == facts["figures"]["accuracy"]
    assert facts["data"] == handwriting.fingerprint
    assert facts["classes"] == list(handwriting.classes)


def test_an_autoencoder_of_real_handwriting_halves_the_error_of_the_mean_image():
    """The mean image is the best that a decoder whose code has collapsed can give."""
    handwriting, test = open_data("digits", split="train"), open_data("digits", split="test")
    done = train(decoder_for(handwriting, epochs=15), handwriting, test)
    mean, x = handwriting.images().mean(0), test.images()
    assert done.facts["figures"]["mse"] < 0.5 * float(((x - mean) ** 2).mean())


def test_the_weak_classifier_of_real_mnist_leaves_mistakes_to_study():
    source = amiss_data("MNIST")
    some, test = open_data(source, split="train").pick(slice(0, 1000)), open_data(source, limit=2000)
    done = train(weak_classifier(), some, test)
    assert isinstance(done.model, LeNet)
    assert 0.90 < done.facts["figures"]["accuracy"] < 0.97
