"""The worlds of real images with a plant: what is asked was not trained on, and networks are trained once."""

import math

import pytest
import torch

from amiss.bench import real_plants
from amiss.bench.real_plants import (
    REAL,
    RealWorld,
    cifar_patch,
    mnist_color,
    mnist_patch,
    mnist_thumbnails,
    train_models,
)
from amiss.data import open_data
from amiss.data.worlds.planted import color_strokes
from tests.realdata import amiss_data

torch.set_num_threads(1)


def share(planted, label):
    return float(planted.there[planted.clean.labels == label].float().mean())


def near(value, wanted, n):
    return abs(value - wanted) < 4.5 * math.sqrt(wanted * (1 - wanted) / n) + 1e-9


@pytest.mark.parametrize("make", [mnist_color, mnist_patch])
def test_mnist_is_biased_to_train_on_and_free_of_it_to_test_on(make):
    world = make(1, 0.9, amiss_data("MNIST"))
    assert (len(world.train), len(world.seen), len(world.test)) == (2000, 20_000, 10_000)
    assert near(share(world.seen, 4), 0.95, 1800)
    assert near(share(world.seen, 9), 0.05, 1800)
    assert all(near(share(world.test, label), 0.5, 850) for label in range(10))
    assert torch.equal(world.train.draw(), world.seen.draw()[:2000])  # the decoder saw what the classifier saw
    other = make(2, 0.9, amiss_data("MNIST"))
    assert set(other.train.clean.ids) != set(world.train.clean.ids)


def test_thumbnails_hold_little_of_a_digit_and_nobody_is_asked_what_he_has_learned():
    world = mnist_thumbnails(1, 0.0, amiss_data("MNIST"))
    assert (len(world.train), len(world.seen), len(world.test)) == (40_000, 20_000, 20_000)
    assert not {*world.train.clean.names} & {*world.test.clean.names}
    assert all(near(share(world.train, label), 0.5, 3500) for label in range(10))
    pixels = world.test.clean.pixels[:500, 0].double().flatten(1)
    kept = torch.linalg.svdvals(pixels - pixels.mean(0)).square()
    assert float(kept[:49].sum() / kept.sum()) > 0.99  # 784 pixels, of which 49 were measured


def test_cifar_asks_for_no_image_that_a_network_has_seen():
    images = real_plants.cifar_sprites(amiss_data("cifar10-sprites"))
    assert len(images) == 11_000
    assert images.classes[int(images.labels[0])] == "frog"  # the first training image
    world = cifar_patch(0, 0.8, amiss_data("cifar10-sprites"))
    assert world.train.clean.classes == world.test.clean.classes == ("automobile", "truck")
    # By position and not by content: CIFAR-10 holds a few images twice.
    assert not {*world.test.clean.names} & {*world.seen.clean.names}
    assert {*world.train.clean.names} <= {*world.seen.clean.names}
    assert len(world.test) + len(world.seen) == 11_000
    n = len(world.train)
    assert 900 < n < 1100
    assert near(share(world.train, 0), 0.9, n / 2)
    assert near(share(world.train, 1), 0.1, n / 2)
    assert near(share(world.test, 0), 0.5, len(world.test) / 2)
    there = dict(zip(world.seen.clean.names, world.seen.there.tolist(), strict=True))
    assert [there[name] for name in world.train.clean.names] == world.train.there.tolist()


def test_every_world_is_listed_with_the_place_of_its_images():
    for name, (make, place) in REAL.items():
        world = make(0, 0.0, amiss_data(*place))
        assert world.name == name
        assert world.plant in world.test.images().table


def test_networks_are_trained_where_their_files_are_not_there_yet(tmp_path, monkeypatch):
    train, test = (open_data("digits", split=split) for split in ("train", "test"))
    seen = color_strokes(train, 0.9, 0, [4])
    world = RealWorld("tiny", 0, 0.9, seen.pick(slice(0, 200)), seen, color_strokes(test, 0.0, 1, [4]), (4.0, 1.0))
    classifier, decoder = train_models(world, tmp_path / "new")
    x = world.test.images().images(slice(0, 4))
    assert classifier.labels == world.test.clean.classes
    assert decoder.decode(decoder.encode(x)).shape == x.shape
    monkeypatch.setattr(real_plants, "train", None)  # nothing is left to train
    again, same = train_models(world, tmp_path / "new")
    assert torch.equal(again.network(x), classifier.network(x))
    assert torch.equal(same.encode(x), decoder.encode(x))
