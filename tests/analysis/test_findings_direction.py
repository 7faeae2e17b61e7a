"""The direction to test, in a world of Gaussian codes where truth, model and plant are known."""

import math

import pytest
import torch

from amiss.analysis.findings import Whitening
from amiss.analysis.findings.direction import evidence, without
from amiss.analysis.findings.naming import orthonormal

N, D = 6000, 8
CUE, PLANT = 0, 1
NONE = torch.zeros(0, D, dtype=torch.float64)


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Gaussian:
    """Codes A s with s standard normal; truth by log-odds 2 s_0, the model's logit 2 s_0 + plant s_1."""

    def __init__(self, plant, seed=0, turned=False):
        s = drawn(N, D, seed=seed)
        self.turn = drawn(D, D, seed=seed + 50) if turned else torch.eye(D, dtype=torch.float64)
        self.codes = s @ self.turn.T
        self.gap = 2 * s[:, CUE] + plant * s[:, PLANT]
        chance = torch.rand(N, generator=torch.Generator().manual_seed(seed + 99), dtype=torch.float64)
        self.truth = chance < torch.sigmoid(2 * s[:, CUE])
        # The smallest change of a code that mends a linear model is along its slope there, A^-T w.
        w = torch.zeros(D, dtype=torch.float64)
        w[CUE], w[PLANT] = 2, plant
        slope = torch.linalg.solve(self.turn.T, w)
        wrong = self.truth & (self.gap < 0)
        self.changes = (0.5 - self.gap[wrong])[:, None] * slope / slope.square().sum()
        self.whitening = Whitening.of(self.codes)

    def evidence(self):
        return evidence(self.codes, self.gap, self.truth, self.changes, self.whitening)

    def axis(self, i):
        """The whitened direction of the i-th coordinate of s."""
        return torch.nn.functional.normalize(self.whitening.inverse @ self.turn[:, i], dim=0)


@pytest.mark.parametrize("turned", [False, True])
def test_repairs_and_residual_agree_on_a_misused_cue_and_not_on_an_underused_one(turned):
    for seed in range(3):
        world = Gaussian(2.0, seed, turned)
        parts = world.evidence()
        misused, underused = world.axis(PLANT), world.axis(CUE)
        assert float(parts.repairs @ misused) * float(parts.residual @ misused) > 0.3
        assert float(parts.repairs @ underused) * float(parts.residual @ underused) < -0.3


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_bisector_is_the_planted_direction(sign, turned):
    for seed in range(3):
        world = Gaussian(2.0 * sign, seed, turned)
        direction, check = world.evidence().bisector(NONE)
        plant = sign * world.turn[:, PLANT]
        assert world.whitening.cosine(direction, plant) > 0.95
        assert world.whitening.cosine(check, plant) > 0.95, "the linear fit gives the same"
        assert float((world.whitening.inverse @ direction).norm()) == pytest.approx(1)


@pytest.mark.parametrize("plant", [0.7, 4.0])
def test_the_bisector_lies_midway_between_repairs_and_what_the_scaled_logit_misses(plant):
    """Scaling leaves a residual that is uncorrelated with the logit, so both parts are at right angles.

    With truth (a, 0) and model (a, h) repairs are (a, h) and the residual is (-h, a), each over sqrt(a^2 + h^2):
    the cosine of their bisector with the plant is (a + h) / sqrt(2 (a^2 + h^2)).
    """
    world = Gaussian(plant)
    parts = world.evidence()
    assert float(parts.repairs @ parts.residual) == pytest.approx(0, abs=0.05)
    expected = (2 + plant) / math.sqrt(2 * (4 + plant**2))
    direction, _ = parts.bisector(NONE)
    assert world.whitening.cosine(direction, world.turn[:, PLANT]) == pytest.approx(expected, abs=0.06)


def test_lengths_of_repairs_do_not_count():
    """Ten times as long a repair says no more: repairs along two axes have their mean midway."""
    world = Gaussian(2.0)
    eye = torch.eye(D, dtype=torch.float64)
    world.changes = torch.stack([eye[2], 10 * eye[3]])
    expected = torch.nn.functional.normalize(world.whitening.root @ (eye[2] + eye[3]), dim=0)
    torch.testing.assert_close(world.evidence().repairs, expected)


def test_repairs_of_no_length_are_no_evidence():
    world = Gaussian(2.0)
    world.changes = torch.zeros(3, D, dtype=torch.float64)
    parts = world.evidence()
    assert parts.repairs.tolist() == [0] * D
    assert bool(parts.bisector(NONE)[0].isfinite().all())


@pytest.mark.parametrize("k", [1, 3])
def test_nothing_is_found_again_along_what_is_known(k):
    world = Gaussian(2.0, turned=True)
    basis = orthonormal([world.axis(PLANT), *(drawn(D, seed=9 + i) for i in range(k - 1))], D)
    torch.testing.assert_close(basis @ basis.T, torch.eye(k, dtype=torch.float64))
    for direction in world.evidence().bisector(basis):
        assert (basis @ (world.whitening.inverse @ direction)).abs().max() < 1e-8
        assert float((world.whitening.inverse @ direction).norm()) == pytest.approx(1)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_what_was_found_is_taken_out_of_other_directions_and_nothing_else_is(k):
    world = Gaussian(1.0, turned=True)
    whitening = Whitening.of(world.codes)
    known = orthonormal([drawn(D, seed=i) for i in range(k)], D)
    given = drawn(5, D, seed=9)
    left = without(given, known, whitening)
    white, before = left @ whitening.inverse, given @ whitening.inverse
    assert torch.allclose(white @ known.T, torch.zeros(5, k, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(before - white, before @ known.T @ known, atol=1e-9), "only along what is known"
    assert torch.allclose(without(left, known, whitening), left, atol=1e-9)
