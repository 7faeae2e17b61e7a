"""The bench of the solver in its quick form, and its reference against what can be said without it."""

import pytest
import torch

from amiss.bench.bench import Run
from amiss.bench.features_solver import peer, solver
from amiss.constraints import Linf
from amiss.demo import demo_classifier, demo_faces
from amiss.optimizers.reference import scipy_lbfgsb
from amiss.repro import normal


def test_the_quick_form_measures_every_layer(tmp_path):
    threads = torch.get_num_threads()
    figures, told = solver(Run(10, True, tmp_path))
    assert {f"speedup_{name}" for name in ("early", "middle", "pool")} < set(figures)
    assert figures["bound_violation"] == 0
    for name in ("early", "middle", "pool"):
        row = told[name]
        held = row["loss"] <= row["scipy_loss"]
        assert figures[f"speedup_{name}"] == (row["ratio_of_seconds"] if held else 0)
        assert row["scipy_passes"] <= told["scipy_iterations"] + 1
        assert 0 < row["loss"] < 1 and 0 < row["scipy_loss"] < 1
    assert torch.get_num_threads() == threads


def test_no_hook_stays_on_the_network(tmp_path):
    classifier, faces = demo_classifier(), demo_faces(12).images()
    x = peer(classifier.network, "fc1", faces[:4], faces[4:8], 0.05, 30)
    assert not any(module._forward_hooks for module in classifier.network.modules())
    assert x.shape == faces[:4].shape
    assert bool(((x - faces[:4]).abs() <= Linf(0.05).eps + 1e-7).all())
    assert not torch.equal(x, faces[:4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_reference_finds_the_nearest_point_of_a_box(dtype):
    # The least distance to a point is its clipping.
    point = 0.5 + 0.6 * normal(torch.arange(1), (3, 4), dtype)[0]
    low, high = torch.zeros(3, 4, dtype=dtype), torch.ones(3, 4, dtype=dtype)
    seen = []

    def look(x):
        seen.append(x)
        return (x - point).square().sum(), 2 * (x - point)

    found, looks = scipy_lbfgsb(look, torch.full((3, 4), 0.5, dtype=dtype), low, high)
    assert looks == len(seen) < 20 and found.dtype == dtype
    assert {x.shape for x in seen} == {(3, 4)} and {x.dtype for x in seen} == {dtype}
    assert torch.allclose(found, point.clamp(0, 1), atol=1e-5)
    assert bool(((found >= low) & (found <= high)).all())


def test_the_reference_stops_after_its_steps():
    def look(x):  # a valley that takes more than five steps
        u = 4 * x - 2
        value = (1 - u[0]) ** 2 + 100 * (u[1] - u[0] ** 2) ** 2
        slope = torch.stack([-2 * (1 - u[0]) - 400 * u[0] * (u[1] - u[0] ** 2), 200 * (u[1] - u[0] ** 2)])
        return value, 4 * slope

    start = torch.tensor([0.2, 0.7], dtype=torch.float64)
    low, high = torch.zeros_like(start), torch.ones_like(start)
    short, looks = scipy_lbfgsb(look, start, low, high, steps=5)
    whole, _ = scipy_lbfgsb(look, start, low, high)
    assert looks <= 7 and look(short)[0] > 1e-3
    assert torch.allclose(whole, torch.full_like(whole, 0.75), atol=1e-4)
