"""Recipes of recurrent densities: options reach the network, and what images depend on reaches the loss."""

import pytest
import torch
import torch.nn.functional as F

from amiss.data import Images, open_data
from amiss.errors import DataError, UsageError
from amiss.models import Bernoulli, LogisticMixture, build
from amiss.training import KINDS, train
from amiss.training.presets.recurrent_densities import mnist_diagonal_bilstm, mnist_raster_lstm, mnist_row_lstm

KNOWN = open_data("digits", split="train")
ROWS = [KINDS[name] for name in ("row-lstm", "diagonal-bilstm", "raster-lstm")]


def named(kind):
    return kind.name


@pytest.mark.parametrize("kind", ROWS, ids=named)
def test_options_reach_the_network(kind):
    model = build(kind.preset(KNOWN, state=10, layers=2, levels=2).model)
    assert isinstance(model.likelihood, Bernoulli)
    states = {name: t.shape for name, t in model.state_dict().items() if "carry" in name or "weight_hh" in name}
    assert len(states) == 2  # a layer each
    assert all(40 in shape for shape in states.values())  # four gates of ten units
    gray = kind.preset(KNOWN, levels=256)
    assert isinstance(build(gray.model).likelihood, LogisticMixture)
    assert not gray.loss.binarize


@pytest.mark.parametrize("kind", ROWS, ids=named)
@pytest.mark.parametrize("given", ["label", "low"])
def test_what_images_depend_on_is_learned_and_scored(kind, given):
    few = KNOWN.pick(slice(0, 64))
    done = train(
        kind.preset(few, given=given, low=4 if given == "low" else None, state=6, levels=2, epochs=1), few, few
    )
    assert done.facts["figures"]["nats"] > 0
    c = few.truth[:2] if given == "label" else F.avg_pool2d(few.images(slice(0, 2)), 2)
    assert done.model.sample(2, c).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("kind", ROWS, ids=named)
def test_what_cannot_be_learned_is_refused(kind):
    pixels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(DataError):
        kind.preset(Images.of(pixels), given="label")
    with pytest.raises(DataError):
        kind.preset(Images.of(pixels[:, :, :6]))
    with pytest.raises(UsageError, match="density-bytes"):
        kind.preset(KNOWN, levels=3)


@pytest.mark.parametrize("recipe", [mnist_row_lstm, mnist_diagonal_bilstm, mnist_raster_lstm])
def test_recipes_of_mnist_are_for_binary_images_of_its_size(recipe):
    preset = recipe(5)
    assert preset.training.seed == 5
    assert preset.loss.binarize
    with torch.no_grad():
        assert build(preset.model)(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 784)
