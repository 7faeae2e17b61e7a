"""Gradients through time: a linear network whose truth is known, and cells that keep or lose them."""

import math

import pytest
import torch

from amiss.errors import UsageError
from amiss.models import Recurrent
from amiss.training.measures.forgetting import gradients_back, growth, spectral_matrix


@pytest.mark.parametrize("radius", [0.5, 0.9, 1.0, 1.1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_of_a_linear_network_grow_as_its_spectral_radius(radius, seed):
    """A tanh network at rest, all states 0, is linear: its slope is the logarithm of the radius."""
    torch.manual_seed(seed)
    net = Recurrent(1, 16, "rnn").double()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.weights(0).back.copy_(spectral_matrix(16, radius, torch.Generator().manual_seed(seed)))
    norms = gradients_back(net, torch.zeros(1, 60, 1, dtype=torch.float64), seed)
    assert growth(norms) == pytest.approx(math.log(radius), rel=0.01, abs=1e-4)


def test_a_matrix_has_the_radius_and_the_eigenvectors_that_it_was_made_of():
    w = spectral_matrix(8, 0.7)
    values, vectors = torch.linalg.eigh(w)
    assert values.abs().max().item() == pytest.approx(0.7)
    assert torch.equal(w, w.T) or torch.allclose(w, w.T, atol=1e-15)
    power = torch.linalg.matrix_power(w, 5)
    assert torch.allclose(power @ vectors, vectors * values**5, atol=1e-12)


def test_gradients_by_steps_are_those_of_the_whole_sequence():
    torch.manual_seed(0)
    net, x = Recurrent(2, 3, "gru").double(), torch.randn(1, 4, 2, dtype=torch.float64)
    norms = gradients_back(net, x)
    assert norms[0] == pytest.approx(1)  # of a state with respect to itself, along unit directions
    states = net.start(1)
    for frame in x[:, :2].unbind(1):
        _, states = net.step(frame, states)
    jacobian = torch.autograd.functional.jacobian(
        lambda h: net.step(x[:, 3], net.step(x[:, 2], [(h,)])[1])[0], states[0][0]
    ).reshape(3, 3)
    most, least = torch.linalg.svdvals(jacobian)[[0, -1]]
    assert least <= norms[2] <= most


def test_a_gate_that_stays_open_keeps_what_tanh_loses():
    torch.manual_seed(0)
    x = torch.randn(2, 40, 3, dtype=torch.float64)
    plain, gated = Recurrent(3, 16, "rnn").double(), Recurrent(3, 16, "lstm", memory=200).double()
    assert gradients_back(gated, x)[39] > 1e3 * gradients_back(plain, x)[39]


@pytest.mark.parametrize("norms", [torch.ones(3), torch.tensor([1.0, 1, 0, 1])])
def test_growth_of_nothing_is_refused(norms):
    with pytest.raises(UsageError, match="growth-norms"):
        growth(norms)
    with pytest.raises(UsageError, match="spectral-matrix"):
        spectral_matrix(0, 1.0)
