"""The worst case beside AutoAttack: its quick form with a stand-in for the peer, and what its figures are made of."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch

from amiss.bench import attacks_worst
from amiss.bench.attacks import BENCH
from amiss.bench.bench import Run, Skip
from amiss.recipes import worst

torch.set_num_threads(1)


class Idle:
    """A peer that attacks nothing."""

    def __init__(self, model, **options):
        self.model, self.options = model, options

    def run_standard_evaluation(self, x, y, batch_size):
        assert self.options["norm"] == "Linf" and batch_size == len(x) == len(y)
        assert self.model(x).shape == (len(x), 10)
        return x, y


@pytest.fixture
def peer(monkeypatch):
    module = ModuleType("pyautoattack")
    module.__spec__, module.AutoAttack = ModuleSpec("pyautoattack", None), Idle
    monkeypatch.setitem(sys.modules, "pyautoattack", module)
    for name, fewer in (("_STEPS", 10), ("_CLASSES", 2), ("_QUERIES", 10)):
        monkeypatch.setattr(worst, name, fewer)
    return module


def test_what_stays_right_is_counted_over_three_networks(peer, tmp_path):
    run = Run(10, True, tmp_path)
    figures, told = attacks_worst.worst(run)
    names = ("plain", "hardened", "masked")
    gap = sum(told[name]["ours"]["robust"] - told[name]["autoattack"]["robust"] for name in names)
    assert figures["worst_case_gap"] == pytest.approx(gap / told["images"]) and gap < 0
    cost = [sum(told[name][who]["cpu"] for name in names) for who in ("ours", "autoattack")]
    assert figures["worst_case_cost"] == pytest.approx(cost[0] / cost[1])
    assert figures["worst_case_over"] <= 1e-6
    for name in names:
        assert told[name]["ours"]["farthest"] > 0 == told[name]["autoattack"]["farthest"]
        assert told[name]["autoattack_alone"] == 0
    assert {name for name in BENCH.bars if name.startswith("worst")} == set(figures)


def test_without_the_peer_it_is_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr(attacks_worst, "find_spec", lambda name: None)
    with pytest.raises(Skip, match="pyautoattack"):
        attacks_worst.worst(Run(10, True, tmp_path))
