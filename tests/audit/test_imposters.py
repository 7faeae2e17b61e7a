"""Imposters of an audit: what is measured of them is what their files hold, by hand."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from amiss.analysis.pairs import draw_pairs
from amiss.audit import Plan, read_audit, record
from amiss.audit.desk import Desk
from amiss.audit.imposters import DELTA, Neighborhood, imposters, last_hidden, neighborhood
from amiss.audit.sweep import Sweep
from amiss.classifier import Classifier
from amiss.data import Images
from amiss.errors import UsageError
from tests.audit.conftest import audited, from_disk, strict

SMALL = Plan(mistakes=0, attacked=0, fooled=0, epsilons=(1 / 255,), imposters=6)


class Two(nn.Module):
    """Features that are four means of an image, and the difference of two of them as the answer."""

    def __init__(self):
        super().__init__()
        self.quarters = nn.AvgPool2d(4)
        self.flat = nn.Flatten()
        self.rise = nn.Linear(4, 2)
        with torch.no_grad():
            self.rise.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]) * 30)
            self.rise.bias.zero_()

    def forward(self, x):
        return self.rise(self.flat(self.quarters(x)))


def quarters(path):
    x = from_disk(path)[0]
    return np.array([x[i : i + 4, j : j + 4].mean() for i in (0, 4) for j in (0, 4)])


@pytest.fixture(scope="module")
def images():
    """Gray images 8 x 8 whose classes are seen in two quarters, barely."""
    g = torch.Generator().manual_seed(3)
    pixels = torch.randint(96, 160, (40, 1, 8, 8), generator=g)
    labels = torch.arange(40) % 2
    pixels[labels == 0, :, :4, :4] += 8
    pixels[labels == 1, :, :4, 4:] += 8
    said = Classifier(Two()).predict(pixels.float() / 255)
    return Images.of(pixels.to(torch.uint8), torch.where(torch.arange(40) < 36, said, 1 - said), ("a", "b"))


@pytest.fixture(scope="module")
def done(images, tmp_path_factory):
    return audited(Classifier(Two()), images, tmp_path_factory.mktemp("likes") / "run", plan=SMALL)


def test_what_is_said_of_an_imposter_is_what_its_file_holds(done, images):
    part = done.found.imposters
    assert (part.layer, part.delta, len(part), part.among) == ("flat", DELTA, 6, 40)
    features = np.stack([images.images([i])[0, 0].double().numpy() for i in range(40)])
    features = features.reshape(40, 2, 4, 2, 4).mean((2, 4)).reshape(40, 4)
    for k, (s, g) in enumerate(zip(part.pairs.source.tolist(), part.pairs.guide.tolist(), strict=True)):
        made = quarters(done.out / part.paths[k])
        change = from_disk(done.out / part.paths[k]) - images.images([s])[0].double().numpy()
        assert np.abs(change).max() <= DELTA + 1e-6
        assert int(part.answers[k]) == int(made[1] > made[0])
        assert bool(part.taken[k]) == (int(part.answers[k]) == int(images.truth[g]))
        assert bool(part.kept[k]) == (int(part.answers[k]) == int(images.truth[s]))
        left = np.linalg.norm(made - features[g]) / np.linalg.norm(features[s] - features[g])
        assert float(part.ratio[k]) == pytest.approx(left, abs=1e-4)
        assert bool(part.result.met[k]) == (left <= 0.5)

        def three(x, g=g):
            apart = np.linalg.norm(features - x, axis=1)
            apart[g] = np.inf
            return set(np.argsort(apart)[:3].tolist())

        assert int(part.shared[k]) == len(three(made) & three(features[g]))
        assert int(part.shared_before[k]) == len(three(features[s]) & three(features[g]))


def test_the_words_and_the_figures_are_those_of_the_files(done):
    part, figures = done.found.imposters, done.account["figures"]
    assert figures["imposter_label@10/255"] == sum(part.taken.tolist()) / 6
    assert figures["imposter_neighbors@10/255"] == sum(n == 3 for n in part.shared.tolist()) / 6
    assert figures["imposter_ratio@10/255"] == pytest.approx(float(np.median(part.ratio.numpy())))
    words = f"at 10/255, {figures['imposter_label@10/255']:.0%} of 6 imposters take their guide's label"
    assert words in done.account["sentence"]
    section = done.account["imposters"]
    assert section["table"][0]["label"]["share"] == figures["imposter_label@10/255"]
    assert len(section["rows"]) == 6
    for row in section["rows"]:
        assert {row["true"], row["guide_label"]} == {"a", "b"}
        assert all((done.out / row[name]).is_file() for name in ("source", "guide", "image"))
    assert done.account["verified"]["claimed"] == part.claimed > 0


def test_reading_gives_the_same_and_searches_nothing(done, images):
    classifier = Classifier(Two())
    found = read_audit(classifier, images, done.out, plan=SMALL)
    again = record(found, classifier, done.out, model="m", data="d", command="amiss audit")
    assert {**strict(json.dumps(again)), "created": ""} == {**done.account, "created": ""}


def test_none_are_made_where_none_can_be_or_none_are_wanted(images, tmp_path):
    desk = Desk(Classifier(Two()), SMALL, tmp_path, lambda *_: None)
    made, why = imposters(desk, images, torch.zeros(40, dtype=torch.int64))
    assert made is None and "two classes" in why
    off = Desk(Classifier(Two()), Plan(imposters=0), tmp_path, lambda *_: None)
    assert imposters(off, images, images.truth) == (None, "")
    with pytest.raises(UsageError, match="plan-counts"):
        Plan(imposters=-1)


class Reused(nn.Module):
    """One layer twice, a list of outputs, and rows that are no images' on the way."""

    def __init__(self):
        super().__init__()
        self.flat, self.twice, self.out = nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 3)
        self.pair, self.idle = nn.LSTM(16, 16, batch_first=True), nn.Linear(2, 2)
        self.drop, self.soft = nn.Dropout(), nn.Softmax(1)

    def forward(self, x):
        x = self.twice(self.twice(self.flat(x)))
        x = self.drop(x + self.pair(x[:, None])[0][:, 0])
        return self.soft(self.out(x))


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (Two(), "flat"),
        (Reused(), "drop"),
        (nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2)), "2"),
        (nn.Sequential(nn.Conv2d(1, 2, 4), nn.Flatten()), "answer"),
        (lambda x: x.mean((2, 3)).expand(-1, 2), "answer"),
    ],
)
def test_the_last_hidden_layer_speaks_before_the_last_weights(network, layer):
    side = 8 if isinstance(network, Two) else 4
    classifier = Classifier(network)
    assert last_hidden(classifier, torch.rand(2, 1, side, side)) == layer
    if isinstance(network, nn.Module):
        assert not any(module._forward_hooks for module in network.modules())


def test_neighbors_are_fewer_images_where_a_layer_is_wide(images, tmp_path, monkeypatch):
    monkeypatch.setattr("amiss.audit.imposters._WIDE", 4 * 9)
    desk = Desk(Classifier(Two()), SMALL, tmp_path, lambda *_: None)
    around = neighborhood(desk, images, "flat")
    assert len(around.rows) == 9 and around.features.shape == (9, 4)
    assert len(neighborhood(desk, images, "flat", 7).rows) == 7


def test_equal_features_share_all_neighbors_and_a_guide_is_none():
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    around = Neighborhood("any", torch.arange(20), features)
    of = torch.tensor([4, 7])
    assert around.shared(features[of], features[of], of).tolist() == [3, 3]
    far = Neighborhood("any", torch.arange(6), torch.tensor([[0.0], [1], [2], [10], [11], [12]]))
    assert far.shared(torch.tensor([[11.0]]), torch.tensor([[1.0]]), torch.tensor([1])).tolist() == [1]


def test_the_places_of_positions_that_a_neighborhood_may_not_have():
    around = Neighborhood("any", torch.tensor([8, 3, 5]), torch.zeros(3, 1))
    assert around.places(torch.tensor([5, 8, 4, 3])).tolist() == [2, 0, -1, 1]


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"layers": ()}, "sweep-layers"),
        ({"layers": ("a", "a")}, "sweep-layers"),
        ({"deltas": ()}, "sweep-deltas"),
        ({"deltas": (0.1, 0.1)}, "sweep-deltas"),
        ({"deltas": (5.0, 10.0)}, "sweep-deltas"),
        ({"deltas": (float("nan"),)}, "sweep-deltas"),
        ({"deltas": (7.5 / 255,)}, "sweep-levels"),
        ({"deltas": (0.5 / 255, 1 / 255)}, "sweep-levels"),
        ({"deltas": (1e-9,)}, "sweep-levels"),
        ({"deltas": (1 / 255, 1 / 255 + 1e-10)}, "sweep-levels"),
        ({"pairs": 0}, "sweep-counts"),
        ({"steps": 0}, "sweep-counts"),
    ],
)
def test_what_the_experiment_cannot_ask_is_refused(change, slug):
    with pytest.raises(UsageError, match=slug):
        Sweep(**{"layers": ("a",), **change})


def test_every_whole_gray_level_can_be_a_bound():
    assert len(Sweep(("a",), tuple(level / 255 for level in range(1, 256))).deltas) == 255


def test_pairs_of_an_audit_are_drawn_by_its_seed(done, images):
    part = done.found.imposters
    pairs = draw_pairs(images.truth, done.found.predicted, 6, 0)
    assert torch.equal(part.pairs.source, pairs.source)
