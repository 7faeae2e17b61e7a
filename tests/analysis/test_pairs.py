"""Pairs of sources and guides: other classes, right answers, none twice where it can be helped."""

from collections import Counter

import pytest
import torch

from amiss.analysis.pairs import Pairs, draw_pairs, pair_inputs
from amiss.data import Images
from amiss.errors import DataError, UsageError

MIXES = {
    "even": [10, 10, 10],
    "two": [7, 9],
    "odd": [3, 3, 3],
    "heavy": [50, 4, 3],
    "one each": [1, 1],
    "many": [1] * 41,
}


def labels_of(counts):
    return torch.cat([torch.full((k,), c) for c, k in enumerate(counts)])[torch.randperm(sum(counts))]


def at_most(counts):
    """Pairs that use no image twice, by hand: all of them, or all that the heaviest class leaves."""
    return min(sum(counts) // 2, sum(counts) - max(counts))


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seed", [0, 1])
def test_pairs_are_of_two_classes_and_use_no_image_twice(mix, seed):
    labels, most = labels_of(MIXES[mix]), at_most(MIXES[mix])
    pairs = draw_pairs(labels, labels, most, seed)
    assert len(pairs) == most
    assert bool((labels[pairs.source] != labels[pairs.guide]).all())
    assert max(Counter([*pairs.source.tolist(), *pairs.guide.tolist()]).values()) == 1


@pytest.mark.parametrize("mix", MIXES)
def test_more_pairs_than_images_are_other_pairs_and_end_with_the_last(mix):
    labels = labels_of(MIXES[mix])
    there = sum(int((labels != c).sum()) for c in labels.tolist())  # ordered pairs of two classes
    for n in (at_most(MIXES[mix]) + 1, there, there + 5):
        pairs = draw_pairs(labels, labels, n, seed=3)
        both = list(zip(pairs.source.tolist(), pairs.guide.tolist(), strict=True))
        assert len(both) == len(set(both)) == min(n, there)
        assert all(labels[s] != labels[g] for s, g in both)


def test_wrong_answers_are_no_part_of_a_pair():
    labels = torch.arange(40) % 4
    predicted = torch.where(torch.arange(40) % 3 == 0, (labels + 1) % 4, labels)
    pairs = draw_pairs(labels, predicted, 500)
    used = torch.cat([pairs.source, pairs.guide])
    assert bool((predicted[used] == labels[used]).all())


def test_the_seed_draws_and_fewer_pairs_are_the_first():
    labels = torch.arange(60) % 6
    one, again, other = (draw_pairs(labels, labels, 20, seed) for seed in (4, 4, 5))
    assert torch.equal(one.source, again.source) and torch.equal(one.guide, again.guide)
    assert not torch.equal(one.source, other.source)
    few = draw_pairs(labels, labels, 7, 4)
    assert torch.equal(few.source, one.source[:7]) and torch.equal(few.guide, one.guide[:7])


@pytest.mark.parametrize("mix", MIXES)
def test_fewer_pairs_are_the_first_even_where_images_serve_again(mix):
    labels = labels_of(MIXES[mix])
    there = sum(int((labels != c).sum()) for c in labels.tolist())
    every = draw_pairs(labels, labels, there, 3)
    for n in (1, at_most(MIXES[mix]) + 1, there // 2, there - 1):
        few = draw_pairs(labels, labels, max(1, n), 3)
        assert torch.equal(few.source, every.source[: len(few)]) and torch.equal(few.guide, every.guide[: len(few)])


def test_pairs_beyond_the_images_are_listed_no_further_than_is_needed(monkeypatch):
    labels = torch.arange(3001) % 2
    listed = []
    keys = dict.fromkeys
    counted = type("Counted", (dict,), {"fromkeys": staticmethod(lambda of: listed.append(keys(of)) or listed[-1])})
    monkeypatch.setattr("amiss.analysis.pairs.dict", counted, raising=False)
    monkeypatch.setattr("amiss.analysis.pairs._matched", lambda *_: [(0, 1)])
    assert len(draw_pairs(labels, labels, 2000)) == 2000
    assert sum(map(len, listed)) <= 2 + 2 * 1501


def test_every_class_meets_every_other():
    labels = torch.arange(400) % 4
    pairs = draw_pairs(labels, labels, 200)
    met = set(zip(labels[pairs.source].tolist(), labels[pairs.guide].tolist(), strict=True))
    assert met == {(a, b) for a in range(4) for b in range(4) if a != b}


def test_what_cannot_be_paired_is_refused():
    labels = torch.tensor([0, 0, 1, 1])
    with pytest.raises(DataError, match="pairs-none") as one_class:
        draw_pairs(labels, torch.tensor([0, 0, 0, 0]), 2)
    assert "2 of 4 images are rightly classified, of one class" in str(one_class.value)
    with pytest.raises(DataError, match="of no class"):
        draw_pairs(labels, 1 - labels, 2)
    with pytest.raises(UsageError, match="pairs-count"):
        draw_pairs(labels, labels, 0)


def test_samples_of_a_study_are_pairs():
    pixels = torch.randint(256, (6, 3, 4, 5), dtype=torch.uint8)
    images = Images.of(pixels, torch.arange(6) % 3, names=[f"p{i}" for i in range(6)])
    inputs = pair_inputs(images, Pairs(torch.tensor([0, 0, 4]), torch.tensor([1, 2, 0])))
    assert inputs.names == ("p0 as p1", "p0 as p2", "p4 as p0") and len(set(inputs.ids)) == 3
    assert inputs.columns == {"label": [0, 0, 1], "target": [1, 2, 0]}
    task = inputs.rows([2, 1])
    assert torch.equal(task.image, images.images([4, 0])) and torch.equal(task.guide, images.images([0, 2]))
    assert task.label.tolist() == [1, 0] and task.target.tolist() == [0, 2]
    assert torch.equal(task.key, images.keys()[[4, 0]])


def test_guides_go_with_their_images():
    pixels = torch.randint(256, (4, 1, 3, 3), dtype=torch.uint8)
    images = Images.of(pixels, torch.tensor([0, 1, 0, 1]))
    task = images.pick([0, 2]).guided(images.pick([1, 3]))
    assert torch.equal(task.guide, images.images([1, 3])) and torch.equal(task.image, images.images([0, 2]))
    assert task.target.tolist() == [1, 1] and task.label.tolist() == [0, 0]
    assert images.guided(Images.of(pixels)).target is None
    with pytest.raises(DataError, match="guide-images") as caught:
        images.guided(images.images())
    assert caught.value.seen == "a Tensor"
    with pytest.raises(DataError, match="guide-shape"):
        images.guided(images.pick([0]))
    with pytest.raises(DataError, match="guide-shape"):
        images.guided(Images.of(pixels[..., :2].contiguous()))
