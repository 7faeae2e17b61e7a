"""Planted shortcuts: as strong as asked for, in the images asked for, and nothing else changed."""

import math
from itertools import pairwise

import pytest
import torch

from amiss.data import Images, open_data
from amiss.data.worlds.planted import GREEN, RED, color_strokes, corner_patch
from amiss.errors import DataError, UsageError

N = 3000


def noise(n=N, channels=1, size=8, classes=5):
    g = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, channels, size, size), generator=g, dtype=torch.uint8)
    return Images.of(
        pixels, torch.arange(n) % classes, [str(i) for i in range(classes)], table={"old": torch.ones(n)}
    )


PLANTS = [color_strokes, corner_patch]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 1.0])
def test_the_plant_agrees_as_often_as_it_should_in_each_class(plant, rho):
    images, wanted = noise(), (1 + rho) / 2
    there = plant(images, rho, 0, [1, 3]).there
    for label in range(5):
        rows = images.labels == label
        agrees = (there[rows] == (label in (1, 3))).float().mean()
        assert abs(float(agrees) - wanted) <= 4 * math.sqrt(wanted * (1 - wanted) / int(rows.sum()))


@pytest.mark.parametrize("plant", PLANTS)
def test_a_world_is_the_same_at_every_strength_but_for_those_that_are_turned(plant):
    images = noise()
    lots = [plant(images, rho, 7, [2]).there for rho in (0.0, 0.5, 0.9)]
    chosen = images.labels == 2
    for weak, strong in pairwise(lots):
        turned = weak != strong
        assert bool((strong == chosen)[turned].all())  # only toward agreement
        assert bool(turned.any())
    assert not torch.equal(lots[0], plant(images, 0.0, 8, [2]).there)
    few = images.pick([5, 17, 4])  # a lot is the image's own, wherever it stands
    assert torch.equal(plant(few, 0.9, 7, [2]).there, lots[2][[5, 17, 4]])


@pytest.mark.parametrize("plant", PLANTS)
def test_the_table_and_the_pick_follow_the_plant(plant):
    world = plant(noise(40), 0.5, 0, [0])
    images = world.images()
    assert set(images.table) == {"old", world.plant}
    assert torch.equal(images.table[world.plant].bool(), world.there)
    assert torch.equal(images.labels, world.clean.labels)
    assert images.names == world.clean.names
    some = world.pick([3, 1, 30])
    assert len(some) == 3
    assert torch.equal(some.draw(), images.pixels[[3, 1, 30]])
    assert torch.equal(world.pick(slice(2, 5)).draw(), images.pixels[2:5])


def test_strokes_keep_their_gray_in_the_brightest_channel_and_have_one_of_two_colors():
    world = color_strokes(noise(200), 0.0, 0, [1])
    drawn, gray = world.draw(), world.clean.pixels[:, 0]
    assert drawn.shape[1] == 3
    assert torch.equal(drawn.amax(1), gray)
    for color, rows in ((RED, world.there), (GREEN, ~world.there)):
        shown = gray[rows][:, None] * torch.tensor(color).view(3, 1, 1) / 255
        assert float((drawn[rows] - shown).abs().max()) <= 0.51
    assert RED.index(255) != GREEN.index(255)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_patch_is_white_where_it_stands_and_touches_nothing_else(channels):
    world = corner_patch(noise(100, channels, size=9), 0.5, 0, [1], side=3)
    drawn, clean = world.draw(), world.clean.pixels
    inside = torch.zeros(9, 9, dtype=torch.bool)
    inside[5:8, 5:8] = True
    assert bool((drawn[world.there][:, :, inside] == 255).all())
    assert torch.equal(drawn[:, :, ~inside], clean[:, :, ~inside])
    assert torch.equal(drawn[~world.there], clean[~world.there])
    assert bool(world.there.any()) and bool((~world.there).any())


@pytest.mark.parametrize("plant", PLANTS)
def test_switching_twice_is_the_world_itself_and_once_changes_the_plant_alone(plant):
    world = plant(noise(60), 0.9, 0, [1])
    other = world.switched()
    assert torch.equal(other.there, ~world.there)
    assert torch.equal(other.switched().draw(), world.draw())
    assert bool((other.draw() != world.draw()).flatten(1).any(1).all())
    every, none = world.having(True), world.having(False)
    there = world.there[:, None, None, None]
    assert torch.equal(torch.where(there, every.draw(), none.draw()), world.draw())
    assert torch.equal(world.clean.pixels, plant(noise(60), 0.9, 0, [1]).clean.pixels)  # drawing changed no original


def test_real_handwriting_can_be_planted():
    digits = open_data("digits", limit=50)
    images = color_strokes(digits, 0.9, 0, [4]).images()
    assert images.pixels.shape == (50, 3, 8, 8)
    assert corner_patch(digits, 0.9, 0, [4], side=2).images().pixels.shape == (50, 1, 8, 8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: color_strokes(noise(9), 1.1, 0, [1]),
        lambda: color_strokes(noise(9), math.nan, 0, [1]),
        lambda: color_strokes(noise(9), 0.5, 0, []),
        lambda: color_strokes(noise(9), 0.5, 0, [5]),
        lambda: color_strokes(noise(9), 0.5, 0, range(5)),
        lambda: color_strokes(noise(9, 3), 0.5, 0, [1]),
        lambda: corner_patch(noise(9), 0.5, 0, [1], side=5),
        lambda: corner_patch(noise(9), 0.5, 0, [1], side=0),
    ],
)
def test_what_cannot_be_planted_is_refused(make):
    with pytest.raises(UsageError, match="planted"):
        make()


def test_images_without_labels_are_refused():
    with pytest.raises(DataError, match="labels"):
        color_strokes(Images.of(noise(5).pixels), 0.5, 0, [1])
