import pytest
import torch

from amiss.data import open_data
from amiss.data.worlds.captions import SCENES
from amiss.data.worlds.scenes import sample_scenes
from amiss.errors import UsageError

# Rows and columns (of 32) that a digit of each place lies in: its middle half.
PLACES = {0: (16, 16), 1: (16, 8), 2: (16, 24), 3: (8, 16), 4: (24, 16)}


def weights(pixels):
    """Mean row and column of the ink of each image [n, 2], and its sum [n]."""
    x = pixels[:, 0].double()
    rows, columns = x.sum(2), x.sum(1)
    axis = torch.arange(x.shape[-1], dtype=torch.float64) + 0.5
    total = x.sum((1, 2))
    return torch.stack([(rows * axis).sum(1), (columns * axis).sum(1)], 1) / total[:, None], total


def test_a_drawing_is_a_pure_function_of_labels_and_look():
    scenes = sample_scenes(40, 10)
    drawn = scenes.draw()
    assert drawn.dtype == torch.uint8 and drawn.shape == (40, 1, 32, 32)
    assert torch.equal(drawn, sample_scenes(40, 10).draw())
    rows = [31, 2, 17]
    assert torch.equal(drawn[rows], scenes.pick(rows).draw())  # whatever is drawn beside it
    assert not torch.equal(drawn, sample_scenes(40, 11).draw())
    as_told = sample_scenes(40, 10, labels=[SCENES.read(text) for text in scenes.captions])
    assert torch.equal(drawn, as_told.draw())


def test_looks_differ_where_labels_do_not():
    one = sample_scenes(20, 10, labels=[(5, 2, 0, 7, 1)] * 20).draw()
    assert len({bytes(image.numpy()) for image in one}) == 20


@pytest.mark.parametrize("place", PLACES)
def test_a_single_digit_stands_where_it_should(place):
    middle, _ = weights(sample_scenes(60, 10, labels=[(place, i % 10, i % 2, 10, 2) for i in range(60)]).draw())
    assert bool(((middle - torch.tensor(PLACES[place])).abs() < 3.5).all())


def test_of_a_pair_the_first_is_above_or_left():
    """The digit that is large outweighs the other, so the ink's middle leans to it."""
    for layout, axis in ((5, 0), (6, 1)):
        for first in (0, 1):
            labels = [(layout, 8, first, 8, 1 - first)] * 40
            middle = weights(sample_scenes(40, 10, labels=labels).draw())[0][:, axis]
            assert bool((middle < 16).all() if first else (middle > 16).all())


def test_large_digits_have_more_ink():
    small, large = (
        weights(sample_scenes(50, 10, labels=[(0, i % 10, size, 10, 2) for i in range(50)]).draw())[1]
        for size in (0, 1)
    )
    assert bool((large > small).all())  # the same hands


def test_half_of_the_scenes_hold_two_digits_and_all_labels_occur():
    labels = sample_scenes(8000, 10).labels
    assert all(map(SCENES.means, labels.unique(dim=0).tolist()))
    assert len(labels.unique(dim=0)) > 800  # of 900
    pair = float((labels[:, 0] >= 5).float().mean())
    assert abs(pair - 0.5) < 4 * 0.5 / 8000**0.5
    for column, names in zip(labels.unbind(1), SCENES.values, strict=True):
        assert set(column.tolist()) == set(range(len(names)))


def test_the_source_has_splits_that_differ_and_a_table():
    train, test = open_data("scenes:n=30", split="train"), open_data("scenes:n=30")
    assert not set(train.ids) & set(test.ids)
    assert list(test.table) == list(SCENES.columns) and test.classes == SCENES.values[0]
    assert torch.equal(test.truth, test.table["layout"]) and test.names[3] == "test/00003"
    assert open_data("scenes:n=3", size=48, channels=3).pixels.shape == (3, 3, 48, 48)
    assert len(open_data("scenes", limit=5)) == 5
    assert open_data("scenes:n=30,seed=1").fingerprint != test.fingerprint


@pytest.mark.parametrize("source", ["scenes:rho=1", "scenes:n=many", "scenes:n"])
def test_what_is_no_world_is_refused(source):
    with pytest.raises(UsageError) as told:
        open_data(source)
    assert told.value.slug == "scenes-source"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 1), "n"),
        ((2, 1, 8), "size"),
        ((2, 1, 32, [(0, 1, 0, 10, 2)]), "labels"),
        ((1, 1, 32, [(0, 1, 0, 1, 0)]), "labels"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, name):
    with pytest.raises(UsageError) as told:
        sample_scenes(*arguments)
    assert told.value.slug == "scenes-argument" and name in told.value.what
