"""The figure of memory: what is measured is what theory says, and what is drawn is what was measured."""

import math
from dataclasses import replace

import pytest
import torch

from amiss.errors import UsageError
from amiss.figures.memory import draw_memory, memory_numbers
from amiss.models import Recurrent
from amiss.training.measures.forgetting import growth, linear_network, weight_gradient

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def numbers():
    return memory_numbers({"mine": Recurrent(5, 4, "gru")}, lag=30)


def test_linear_networks_forget_as_their_radius_says(numbers):
    assert list(numbers.linear) == [0.5, 0.9, 1.0, 1.1]
    for radius, norms in numbers.linear.items():
        assert growth(norms) == pytest.approx(math.log(radius), abs=2e-3)


def test_clipping_bounds_a_gradient_and_leaves_a_small_one(numbers):
    assert len(numbers.clipping) == 17
    for _, raw, clipped in numbers.clipping:
        assert clipped == pytest.approx(min(raw, 1), rel=1e-5)
    raw = [row[1] for row in numbers.clipping]
    assert raw == sorted(raw) and raw[0] < 1 < 100 < raw[-1]


def test_gates_that_are_to_remember_keep_what_a_vanilla_network_loses(numbers):
    vanilla, usual, kept = (float(norms[30]) for norms in numbers.fresh.values())
    assert vanilla < 1e-6 < usual < kept
    assert list(numbers.learned) == ["mine"]
    assert len(numbers.learned["mine"]) == 37  # all frames of the task
    assert memory_numbers(lag=30).fresh["vanilla"].equal(numbers.fresh["vanilla"])


def test_a_gradient_of_weights_is_that_of_differences_and_is_not_kept():
    net, x = linear_network(3, 0.9, seed=1), torch.randn(2, 5, 1, dtype=torch.float64)
    total, step = 0.0, 1e-6
    with torch.no_grad():
        for p in net.parameters():
            for i in range(p.numel()):
                ends = []
                for by in (step, -2 * step):
                    p.view(-1)[i] += by
                    ends.append(float(net(x)[0][:, -1].mean()))
                p.view(-1)[i] += step
                total += ((ends[0] - ends[1]) / (2 * step)) ** 2
    assert weight_gradient(net, x) == pytest.approx(math.sqrt(total), rel=1e-5)
    assert all(p.grad is None for p in net.parameters())


def test_the_figure_is_the_same_twice_and_holds_the_names(numbers):
    png, svg = draw_memory(numbers)
    assert png[:4] == b"\x89PNG" and svg == draw_memory(numbers)[1]
    for word in (b"radius 0.9", b"mine", b"clipped at 1", b"memory=30"):
        assert word in svg
    assert b"Networks that have learned" in svg
    assert b"Networks that have learned" not in draw_memory(memory_numbers(lag=3))[1]


def test_many_networks_and_norms_that_have_left_the_range_of_numbers_are_drawn(numbers):
    t = torch.arange(1201, dtype=torch.float64)
    vanished = {0.5: 0.5**t, 0.25: torch.zeros(1201, dtype=torch.float64)}  # powers of both underflow on the way
    many = {f"network {i}": numbers.learned["mine"] for i in range(12)}
    assert b"network 11" in draw_memory(replace(numbers, linear=vanished, learned=many))[1]


def test_memory_of_nothing_is_refused():
    with pytest.raises(UsageError, match="figures-memory"):
        memory_numbers(lag=1)
