"""Images shown to other models: known answers, noise of equal size, and what resizing alone does."""

import pytest
import torch
from torch import nn

from amiss.analysis.transfer import Kept, Tally, keeps, random_signs, transfer
from amiss.classifier import Classifier
from amiss.errors import ModelError
from amiss.trust import wilson


class Peaks(nn.Module):
    """The logit of class c is the mean of channel-free column c of an image; `wide` is the side it insists on."""

    def __init__(self, classes=8, wide=8, turn=0):
        super().__init__()
        self.classes, self.wide, self.turn = classes, wide, turn

    def forward(self, x):
        assert x.shape[-1] == self.wide
        return x.mean((1, 2)).roll(self.turn, 1)[:, : self.classes]


def striped(columns, high=200, low=50):
    """Images [n, 1, 8, 8] with one bright column each."""
    x = torch.full((len(columns), 1, 8, 8), low, dtype=torch.uint8)
    for row, c in zip(x, columns, strict=True):
        row[:, :, c] = high
    return x


KEY = torch.arange(4)
LABEL, GUIDE = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 5, 6, 7])


def shown(classifier, made, **options):
    return transfer(classifier, striped(LABEL.tolist()), made, LABEL, GUIDE, KEY, **options)


def test_known_images_give_known_counts():
    made = striped([4, 5, 2, 0])  # two become their guides, one stays, one becomes something else
    found = shown(Classifier(Peaks()), made)
    assert (found.made.n, found.made.changed, found.made.guide, found.right, found.side) == (4, 3, 2, 4, None)
    turned = shown(Classifier(Peaks(turn=1)), made)  # calls everything by the next class
    assert (turned.made.changed, turned.made.guide, turned.right) == (3, 0, 0)


def test_nothing_changed_is_nothing_transferred():
    found = shown(Classifier(Peaks()), striped(LABEL.tolist()))
    for tally in (found.made, found.noise):
        assert (tally.changed, tally.guide) == (0, 0)


def test_the_five_highest_hold_the_guide_where_the_first_does_not():
    made = striped(LABEL.tolist())
    made[:, :, :, 7] = 150  # the second highest of all images; of the last it is the guide
    found = shown(Classifier(Peaks()), made)
    expected = sum(
        int(g) in row.mean((0, 1)).topk(5).indices.tolist() for row, g in zip(made.float(), GUIDE, strict=True)
    )
    assert found.made.guide == 0 and found.made.top == expected >= 1


def test_noise_is_as_large_as_the_change_and_random():
    source = torch.randint(60, 190, (4, 3, 16, 16), dtype=torch.uint8)
    made = source.clone()
    for i, size in enumerate((0, 3, 10, 50)):
        made[i, 0, 2, 3] += size
    noisy = random_signs(source, made, KEY)
    change = noisy.to(torch.int16) - source.to(torch.int16)
    for row, size in zip(change, (0, 3, 10, 50), strict=True):
        assert set(row.abs().flatten().tolist()) == {size}
        if size:
            assert 0.4 < float((row > 0).float().mean()) < 0.6
    assert torch.equal(noisy, random_signs(source, made, KEY))
    assert not torch.equal(noisy, random_signs(source, made, KEY, seed=1))
    assert torch.equal(noisy[2:], random_signs(source[2:], made[2:], KEY[2:]))  # each by its own key
    dark = random_signs(torch.zeros_like(source), torch.full_like(source, 9), KEY)
    assert set(dark.flatten().tolist()) == {0, 9}  # a file holds nothing below 0


def test_images_are_brought_to_the_side_of_the_model():
    made = striped([4, 5, 6, 7])
    found = shown(Classifier(Peaks(wide=16, classes=16), size=16), made)
    assert found.side == 16
    wide = nn.functional.interpolate(striped(LABEL.tolist()).float(), (16, 16), mode="bilinear", antialias=True)
    names = wide.mean((1, 2)).argmax(1)
    assert found.right == int((names == LABEL).sum()) < 4  # columns are other columns at twice the side
    assert found.made.changed == 4


def test_shares_have_wilsons_intervals():
    shares = Tally(20, 15, 1, 4).shares
    assert shares["changed"] == (0.75, *wilson(15, 20)) and shares["guide"] == (0.05, *wilson(1, 20))
    assert Tally(0, 0, 0, 0).shares["top"] == (0.0, 0.0, 1.0)


def test_a_model_of_fewer_classes_is_refused():
    with pytest.raises(ModelError, match="transfer-classes") as error:
        shown(Classifier(Peaks(classes=4)), striped([4, 5, 6, 7]))
    assert "4 classes, and labels up to 7" in str(error.value)


def test_labels_that_are_kept_are_counted_beside_what_chance_keeps():
    made, label = striped([0, 1, 2, 3], low=0), torch.arange(4)
    # A mean of 200 / 255 leads seven of 0 by a factor e^0.78: the surest softmax is 0.238.
    assert keeps(Classifier(Peaks()), made, label, confidence=0.23) == Kept(4, 4, 4, 4, 0.25, None)
    turned = keeps(Classifier(Peaks(turn=1)), made, label, confidence=0.25)
    assert (turned.first, turned.sure) == (0, 0)
    assert turned.chance == 3 / 16  # three of its four answers are one of the labels, each dealt out once in four
    same = keeps(Classifier(Peaks()), striped([2, 2, 2, 2]), torch.tensor([2, 2, 2, 2]))
    assert (same.first, same.chance) == (4, 1)  # one label for all: it tells nothing


def test_of_few_classes_no_five_are_told_and_of_labels_alone_no_confidence():
    few = keeps(Classifier(Peaks(classes=5)), striped([0, 1]), torch.arange(2))
    assert few.first == 2 and few.top is None and few.sure == 0
    labels = Classifier(lambda x: Peaks()(x).argmax(1), labels=list("abcdefgh"), gives="met")
    alone = keeps(labels, striped([0, 1]), torch.arange(2))
    assert (alone.first, alone.top, alone.sure) == (2, None, None)


def test_images_are_brought_to_the_side_of_who_is_asked_and_other_classes_are_refused():
    found = keeps(Classifier(Peaks(wide=16, classes=16), size=16), striped([3]), torch.tensor([6]))
    assert found.side == 16 and found.top == 1  # column 3 of 8 lies at 6 and 7 of 16
    with pytest.raises(ModelError, match="transfer-classes"):
        keeps(Classifier(Peaks(classes=3)), striped([3]), torch.tensor([3]))
