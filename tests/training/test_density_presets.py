"""Recipes of densities: which images are binarized, what is given, and what is refused."""

from dataclasses import replace

import pytest
import torch

from amiss.data import Images, open_data
from amiss.errors import DataError, UsageError
from amiss.models import GatedPixelCNN, build
from amiss.training import KINDS, train
from amiss.training.presets.densities import density_data, gray_arguments, mnist_pixelcnn

torch.set_num_threads(1)

DRAW = torch.Generator().manual_seed(0)
BLACK_AND_WHITE = Images.of((torch.rand(40, 1, 8, 8, generator=DRAW) < 0.3).to(torch.uint8) * 255)
GRAY = Images.of(torch.randint(256, (40, 1, 8, 8), generator=DRAW).to(torch.uint8))
COLOR = Images.of(torch.randint(2, (40, 3, 8, 8), generator=DRAW).to(torch.uint8) * 255)


@pytest.mark.parametrize(("images", "levels"), [(BLACK_AND_WHITE, 2), (GRAY, 256), (COLOR, 256)])
def test_black_and_white_images_are_binarized_and_others_scored_by_their_bytes(images, levels):
    assert gray_arguments(images)["levels"] == levels
    for kind in ("fvbn", "made", "pixelcnn", "gated-pixelcnn"):
        preset = KINDS[kind].preset(images)
        assert preset.loss.binarize == (levels == 2)
        model = build(preset.model)
        x = (images.images([0]) > 0.5).float() if levels == 2 else images.images([0])
        assert bool(model.log_prob(x).isfinite().all())
    assert gray_arguments(images, 2)["levels"] == 2


def test_labels_and_small_images_are_given_where_they_are_asked_for():
    digits = open_data("digits", split="train", limit=64)
    labeled = KINDS["gated-pixelcnn"].preset(digits, given="label", levels=2, width=8, blocks=1, epochs=1)
    assert set(density_data(labeled, digits)) == {"image", "label"}
    done = train(labeled, digits, digits)
    assert isinstance(done.model, GatedPixelCNN)
    assert done.model.sample(10, torch.arange(10)).shape == (10, 1, 8, 8)
    assert set(done.facts["figures"]) >= {"nats", "bits_per_dim"}
    small = KINDS["pixelcnn"].preset(digits, given="low", low=2, levels=2, width=8, blocks=1, epochs=1)
    assert set(density_data(small, digits)) == {"image"}
    assert train(small, digits).model.sample(2, torch.rand(2, 1, 2, 2)).shape == (2, 1, 8, 8)


def test_the_small_image_is_about_a_quarter_of_the_side():
    for kind in ("pixelcnn", "row-lstm"):
        assert KINDS[kind].preset(GRAY, given="low").model["arguments"]["low"] == 2
    large = Images.of(torch.zeros(2, 1, 28, 28, dtype=torch.uint8))
    assert KINDS["pixelcnn"].preset(large, given="low").model["arguments"]["low"] == 7


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="density-bytes"):
        gray_arguments(GRAY, 16)
    with pytest.raises(DataError):
        KINDS["pixelcnn"].preset(replace(GRAY, labels=None), given="label")
    with pytest.raises(UsageError, match="density-depends"):
        KINDS["pixelcnn"].preset(GRAY, given="low", low=3)
    with pytest.raises(UsageError, match="density-depends"):
        KINDS["row-lstm"].preset(GRAY, low=4)  # nothing asks for it
    for option in ("width", "blocks"):
        with pytest.raises(UsageError, match="network-size"):
            build(KINDS["pixelcnn"].preset(GRAY, **{option: 0}).model)


@pytest.mark.parametrize("given", ["nothing", "label", "low"])
def test_the_digits_recipe_is_built_for_what_is_given(given):
    preset = mnist_pixelcnn(3, given)
    model = build(preset.model)
    assert (model.condition.classes, model.low) == {"nothing": (0, 0), "label": (10, 0), "low": (0, 7)}[given]
    assert preset.loss.given == given
    assert preset.training.seed == 3
