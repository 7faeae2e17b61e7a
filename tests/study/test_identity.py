"""What makes two objects the same: everything they are made of, and nothing that they remember."""

import functools
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from amiss.classifier import Classifier
from amiss.constraints import Linf, Mask
from amiss.errors import DataError
from amiss.objectives import Become, Says
from amiss.probe import Probe
from amiss.spaces import Latent, Pixels
from amiss.study.identity import experiment, likeness, refuse_other, wording
from amiss.testing import LinearWorld
from tests.probes import catalog
from tests.study.studies import probe


class Decoder:
    """Somebody's: it says nothing of itself, and remembers how often it was asked."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def decode(self, z):
        return z * self.weight


@dataclass
class Noted:
    size: int = 1
    note: dict = field(default_factory=dict)

    @cached_property
    def drawn(self):
        return torch.ones(self.size)


class Lazy:
    def __init__(self):
        self.size = 2

    @cached_property
    def drawn(self):
        return torch.ones(self.size)


class Slotted:
    __slots__ = ("far", "near")

    def __init__(self, near):
        self.near = near


class Kind(Enum):
    ONE = 1
    TWO = 2


def scaled(scale, times=1):
    def scale_by(x):
        return x * scale * times

    return scale_by


def net(act=nn.ReLU, weight=0.5, slope=0.1):
    layers = nn.Sequential(nn.Linear(2, 2), act(), nn.LeakyReLU(slope))
    with torch.no_grad():
        for part in layers.parameters():
            part.fill_(weight)
    return layers


class Shifted(nn.Module):
    """Keeps a number and a tensor that no state holds, and notes what it saw."""

    def __init__(self, by, mean):
        super().__init__()
        self.by, self.mean, self.seen = by, mean, None

    def forward(self, x):
        self.seen = x - self.mean + self.by
        return self.seen


def itself():
    ring = [1]
    ring.append(ring)
    return ring


SAME = [
    lambda: None,
    lambda: [1, 2.5, "x", b"y", (True, None)],
    lambda: {"a": {1, 2, 3}},
    lambda: {"a": {3, 2, 1}},
    lambda: torch.arange(3),
    lambda: numpy.arange(30_000),
    lambda: Decoder(),
    lambda: Noted(),
    lambda: Slotted(1),
    lambda: Kind.ONE,
    lambda: net(),
    lambda: scaled(2),
    lambda: Decoder().decode,
    lambda: functools.partial(scaled(2), times=3),
    lambda: Path("a/b"),
    lambda: torch.float32,
    lambda: numpy,
    lambda: Decoder,
    lambda: len,
    lambda: str.upper,
    itself,
    lambda: LinearWorld(),
    lambda: Probe(Latent(Decoder()), Become(), Linf(0.1), None),
]

OTHER = [
    (0, False),
    (1, 1.0),
    ("1", 1),
    ([1], (1,)),
    ([1, [2]], [[1], 2]),
    ({"a": 1}, {"a": 2}),
    ({1, 2}, {1, 3}),
    (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    (torch.zeros(2), torch.zeros(1, 2)),
    (numpy.zeros(30_000), numpy.eye(1, 30_000, 20_000)[0]),
    (numpy.zeros(3), numpy.zeros(3, numpy.float32)),
    (Decoder(1.0), Decoder(2.0)),
    (Decoder(1.0).decode, Decoder(2.0).decode),
    (Noted(1), Noted(2)),
    (Slotted(1), Slotted(2)),
    (Kind.ONE, Kind.TWO),
    (net(), net(weight=0.6)),
    (net(), net(act=nn.Tanh)),
    (net(), net(slope=0.2)),
    (Shifted(1, torch.zeros(1)), Shifted(2, torch.zeros(1))),
    (Shifted(1, torch.zeros(1)), Shifted(1, torch.ones(1))),
    (nn.Sequential(Shifted(1, torch.zeros(1))), nn.Sequential(Shifted(1, torch.ones(1)))),
    (Classifier(net()), Classifier(net(weight=0.6))),
    (Classifier(net()), Classifier(net(act=nn.Tanh))),
    (Classifier(net()), Classifier(net(), labels=["a", "b"])),
    (Classifier(net()), Classifier(net(), gives="loss")),
    (scaled(2), scaled(3)),
    (scaled(2), scaled(2, 3)),
    (functools.partial(scaled, 2), functools.partial(scaled, 3)),
    (functools.partial(scaled, scale=2), functools.partial(scaled, times=2)),
    (Path("a"), Path("b")),
    (torch.float32, torch.float64),
    (len, max),
    (Pixels(), Pixels(grey=0.4)),
    (Become(margin=0.1), Become(margin=0.2)),
    (Says("owl"), Says("dog")),
    (Mask(torch.ones(1, 4, 4)), Mask(torch.zeros(1, 4, 4))),
    (LinearWorld(seed=0), LinearWorld(seed=1)),
]


@pytest.mark.parametrize("make", SAME)
def test_what_is_made_the_same_is_the_same(make):
    assert likeness(make()) == likeness(make())


def test_all_that_is_made_otherwise_is_another():
    digests = [likeness(make()) for make in SAME]
    assert len(set(digests)) == len(digests) - 1  # one set is written down in two orders


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_a_difference_of_any_kind_shows(one, other):
    assert likeness(one) != likeness(other)


def test_what_is_remembered_makes_no_other_object():
    for thing in (Noted(), Lazy(), LinearWorld()):
        before = likeness(thing)
        _ = thing.codec if isinstance(thing, LinearWorld) else thing.drawn
        assert likeness(thing) == before
    network = nn.Sequential(Shifted(1, torch.zeros(2)), net())
    asked = Classifier(network)
    before = likeness(network), likeness(asked)
    asked.outputs(torch.rand(3, 2))
    network.eval()
    assert network[0].seen is not None
    assert (likeness(network), likeness(asked)) == before


@pytest.mark.parametrize("make", [catalog.pgd, catalog.deepfool, catalog.map_elites, catalog.says])
def test_a_search_leaves_the_probe_as_it_was(make):
    row = make()
    before = likeness(row.probe), likeness(row.asked), wording(row.probe)
    row.probe.run(row.asked, row.task)
    assert (likeness(row.probe), likeness(row.asked), wording(row.probe)) == before


def test_addresses_in_memory_are_no_settings():
    one, other = (replace(probe(), space=Decoder()) for _ in range(2))
    assert repr(one) != repr(other)
    assert wording(one) == wording(other)
    assert "Decoder object>" in wording(one)


def test_an_experiment_is_its_fingerprints_in_any_order():
    assert experiment({"a": "1", "b": "2"}) == experiment({"b": "2", "a": "1"})
    assert experiment({"a": "1", "b": "2"}) != experiment({"a": "2", "b": "1"})


def test_the_same_is_not_refused():
    refuse_other({"model": "m", "data": "d"}, {"data": "d", "model": "m"}, "runs/x")


@pytest.mark.parametrize(
    ("there", "here", "seen"),
    [
        ({"model": "a" * 64}, {"model": "b" * 64}, f"model: {'a' * 12} before, {'b' * 12} now"),
        (
            {"probe": "Probe(steps=4, eps=0.1)"},
            {"probe": "Probe(steps=5, eps=0.1)"},
            "Probe(steps=4 before, Probe(steps=5 now",
        ),
        ({"probe": "p, frames=0"}, {"probe": "p"}, "frames=0 before, nothing now"),
        ({}, {"votes": "4"}, "votes: nothing before, 4 now"),
        ({"a": "1", "b": "1"}, {"a": "2", "b": "2"}, "a: 1 before, 2 now; b: 1 before, 2 now"),
    ],
)
def test_what_changed_is_refused_with_the_difference(there, here, seen, refuses):
    with refuses(DataError, "run-other") as caught:
        refuse_other(there, here, "runs/x")
    assert seen in caught.value.seen
    assert "'runs/x'" in caught.value.what
