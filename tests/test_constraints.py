"""Projections against references written another way, on arrays with denormals; penalties, boxes, refusals."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from amiss.constraints import L1, L2, Box, LatentNorm, Linf, Mask, Quantized, Unconstrained
from amiss.domain import Domain, refuse_mismatch
from amiss.errors import ContractError, UsageError
from amiss.repro import normal
from amiss.spaces import Latent, Pixels
from amiss.task import Task
from amiss.testing import LinearWorld

SHAPE = (2, 1, 2, 3)
PIXEL = st.floats(0, 1, width=32)
CHANGE = st.one_of(st.floats(-2, 2, width=32), st.sampled_from([0.0, 1e-45, -1e-45, 1e-38, -1e-30, 1.0]))
RADIUS = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 1e-45, 1e-30, 8 / 255, 0.5, 1.0]))
BALLS = pytest.mark.parametrize("ball", [Linf, L2, L1])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def twelve(values):
    return st.lists(values, min_size=12, max_size=12)


def grid(values, dtype):
    return torch.tensor(values, dtype=dtype).view(SHAPE)


def only(image):
    return Task(torch.arange(len(image)), image)


def slack(dtype):
    """Rounding of twelve sums of numbers up to 3."""
    return 40 * torch.finfo(dtype).eps


@BALLS
@DTYPES
@given(image=twelve(PIXEL), change=twelve(CHANGE), eps=RADIUS)
def test_projected_is_within_and_projecting_again_changes_nothing(ball, dtype, image, change, eps):
    task, constraint = only(grid(image, dtype)), ball(eps)
    v = task.image + grid(change, dtype)
    p = constraint.project(v, task)
    assert (constraint.size(p, task) <= eps + slack(dtype)).all()
    assert torch.allclose(constraint.project(p, task), p, rtol=0, atol=slack(dtype))
    inside = constraint.size(v, task) <= eps - slack(dtype)
    assert torch.allclose(p[inside], v[inside], rtol=0, atol=slack(dtype))
    assert torch.equal(constraint.project(task.image, task), task.image)


DUAL = {Linf: 1, L2: 2, L1: torch.inf}


@BALLS
@given(image=twelve(PIXEL), change=twelve(CHANGE), eps=RADIUS)
def test_projected_is_the_nearest_point(ball, image, change, eps):
    # p is nearest to v where and only where (v - p) . (u - p) <= 0 for every u of the ball around x: where
    # (v - p) . (p - x) is the most that (v - p) . (u - x) can be, eps times the dual norm of v - p.
    task, constraint = only(grid(image, torch.float64)), ball(eps)
    v = task.image + grid(change, torch.float64)
    p = constraint.project(v, task)
    left = (v - p).flatten(1)
    reached = (left * (p - task.image).flatten(1)).sum(1)
    assert torch.allclose(reached, eps * left.norm(p=DUAL[ball], dim=1), rtol=0, atol=1e-12)


@given(image=twelve(PIXEL), change=twelve(CHANGE), eps=st.floats(2**-10, 1))
def test_l1_against_a_threshold_found_by_root_search(image, change, eps):
    task = only(grid(image, torch.float64))
    change = grid(change, torch.float64)
    found = L1(eps).project(task.image + change, task) - task.image
    for row, projected in zip(change.flatten(1), found.flatten(1), strict=True):
        sizes = row.abs().numpy()
        level = 0.0
        if sizes.sum() > eps:

            def excess(t, sizes=sizes):
                return (sizes - t).clip(0).sum() - eps

            level = brentq(excess, 0, sizes.max(), xtol=1e-14)
        expected = row.sign() * (row.abs() - level).clamp_min(0)
        assert torch.allclose(projected, expected, rtol=0, atol=1e-12)


@BALLS
def test_sizes_are_the_norms(ball):
    task = only(torch.full((1, 1, 1, 3), 0.5, dtype=torch.float64))
    v = task.image + torch.tensor([[[[0.3, -0.4, 0.0]]]], dtype=torch.float64)
    expected = {Linf: 0.4, L2: 0.5, L1: 0.7}[ball]
    assert ball().size(v, task).item() == pytest.approx(expected, abs=1e-15)
    assert ball().project(v, task) is v  # without a radius it measures and binds nothing
    assert ball().penalty(v, task).tolist() == [0.0]


def test_a_squared_length_may_be_a_penalty():
    task = only(torch.full((1, 1, 1, 3), 0.5, dtype=torch.float64))
    v = task.image + torch.tensor([[[[0.3, -0.4, 0.0]]]], dtype=torch.float64)
    for eps in (None, 0.2):  # a penalty on what is bound too
        dear = L2(eps, weight=3.0)
        assert dear.soft
        assert dear.penalty(v, task).item() == pytest.approx(3.0 * 0.25)
        assert dear.size(v, task).item() == pytest.approx(0.5)
    assert not L2(0.2).soft
    assert repr(L2(0.2)) == "L2(eps=0.2)"


HALF = torch.tensor([True, False, True])  # broadcast along the width


@pytest.mark.parametrize("flip", [False, True], ids=["as said", "the other way round"])
@pytest.mark.parametrize(
    "parts",
    [(Linf(0.1), L2(0.15)), (Linf(0.1), L1(0.25)), (L2(0.2), Mask(HALF)), (Linf(0.2), Mask(HALF), L1(0.3))],
    ids=repr,
)
@given(image=twelve(PIXEL), change=twelve(CHANGE))
def test_and_keeps_all_inside_the_pixels_range(parts, flip, image, change):
    parts = parts[::-1] if flip else parts
    both = parts[0]
    for part in parts[1:]:
        both = both & part
    assert both.parts == parts
    task = only(grid(image, torch.float64))
    domain = Domain(Pixels(), both, task, steps=1)
    p = domain.project(task.image + grid(change, torch.float64), domain.everyone)
    assert 0 <= p.min() <= p.max() <= 1
    for part in parts:
        if part.measures:
            assert (part.size(p, task) <= part.eps + slack(torch.float64)).all()
        else:
            assert torch.equal(p[..., 1], task.image[..., 1])
    measured = next(part for part in parts if part.measures)
    assert torch.equal(domain.size(p, p, domain.everyone), measured.size(p, task))
    low, high = domain.bounds(domain.everyone)
    assert ((low - 1e-15 <= p) & (p <= high + 1e-15)).all()
    if any(isinstance(part, Mask) for part in parts):
        assert torch.equal(low[..., 1], task.image[..., 1]) and torch.equal(high[..., 1], task.image[..., 1])


@given(levels=st.sampled_from([2, 3, 16, 256]), values=twelve(PIXEL))
def test_quantized_shows_the_nearest_point_of_the_lattice(levels, values):
    v = grid(values, torch.float32)
    constraint = Quantized(levels)
    task = only(v)
    shown = constraint.shown(v, task)
    lattice = torch.arange(levels) / (levels - 1)
    nearest = (v.flatten()[:, None] - lattice).abs().amin(1)
    assert torch.isin(shown.flatten(), lattice).all()
    assert torch.allclose((v - shown).flatten().abs(), nearest, rtol=0, atol=1e-6)
    assert torch.equal(constraint.shown(shown, task), shown)
    assert torch.equal(constraint.shown(v.clone().requires_grad_(), task), shown)
    assert constraint.project(v, only(v)) is v  # the search itself goes on between the levels


def test_quantized_within_a_radius_of_whole_levels_keeps_the_radius():
    image = torch.arange(256).view(1, 1, 16, 16) / 255
    domain = Domain(Pixels(), Linf(8 / 255) & Quantized(), only(image), 1)
    p = domain.project(image + 0.1 * normal(torch.tensor([1]), image.shape[1:]), domain.everyone)
    x = domain.decode(p, domain.everyone)
    assert (((x - image) * 255).round().abs() <= 8).all()
    assert torch.equal((x * 255).round() / 255, x)
    assert not torch.equal(x, p)


def test_rounding_within_a_radius_keeps_it_for_images_of_no_file_too():
    image = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    far = image + 0.3 * normal(torch.arange(20), image.shape[1:])
    for levels in (1, 1.5, 10):
        domain = Domain(Pixels(), Linf(levels / 255) & Quantized(within=levels / 255), only(image), 1)
        x = domain.decode(domain.project(far, domain.everyone), domain.everyone)
        assert torch.equal((x * 255).round() / 255, x)
        moved = (x - image).abs() * 255
        assert (moved <= levels + 1e-3).all()
        assert (moved > levels - 1).float().mean() > 0.5  # and goes as far as a level of the file allows


@pytest.mark.parametrize("ball", [Linf(0.1), L2(0.5), L1(3.0)], ids=repr)
def test_rounding_inward_never_leaves_the_ball(ball):
    image = torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(1)) / 255
    domain = Domain(Pixels(), ball & Quantized(inward=True), only(image), 1)
    far = image + 0.3 * normal(torch.arange(20), image.shape[1:])
    x = domain.decode(domain.project(far, domain.everyone), domain.everyone)
    assert (ball.size(x, only(image)) <= ball.eps + 1e-5).all()
    assert torch.equal((x * 255).round() / 255, x)
    if isinstance(ball, Linf):  # and goes as far as whole levels go: 25 of 25.5
        assert ((x - image).abs().amax((1, 2, 3)) * 255).round().eq(25).all()


def test_gradients_pass_straight_through_the_lattice_and_not_past_a_mask():
    v = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    task = only(torch.zeros(SHAPE))
    (grad,) = torch.autograd.grad(Quantized(4).shown(v, task).sum(), v)
    assert torch.equal(grad, torch.ones(SHAPE))
    (grad,) = torch.autograd.grad(Mask(HALF).project(v, task).sum(), v)
    assert torch.equal(grad, HALF.expand(SHAPE).float())


@given(code=st.lists(CHANGE, min_size=6, max_size=6), radius=st.one_of(RADIUS, st.none()))
def test_latent_norm(code, radius):
    v, task = torch.tensor(code, dtype=torch.float64).view(2, 3), Task(torch.arange(2))
    constraint = LatentNorm(0.03, radius)
    p = constraint.project(v, task)
    if radius is None:
        assert torch.equal(p, v)
    else:
        assert (constraint.size(p, task) <= radius + 1e-12).all()
        assert torch.allclose(constraint.project(p, task), p, rtol=0, atol=1e-12)
    assert torch.equal(constraint.size(v, task), v.norm(dim=1))
    assert torch.allclose(constraint.penalty(v, task), 0.03 * v.norm(dim=1) ** 2, atol=1e-15)
    assert constraint.soft
    assert not LatentNorm(0).soft


@pytest.mark.parametrize("radius", [None, 0.0, 0.7])
def test_a_scaled_latent_norm_is_mahalanobis_length(radius):
    root = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [-1.0, 0.3, 0.1]], dtype=torch.float64)
    scale, task = root @ root.mT, Task(torch.arange(4))
    v = normal(torch.arange(4), (3,), torch.float64)
    length = torch.stack([row @ torch.linalg.inv(scale) @ row for row in v]).sqrt()
    constraint = LatentNorm(0.1, radius, scale)
    assert torch.allclose(constraint.size(v, task), length, rtol=1e-9)
    assert torch.allclose(constraint.penalty(v, task), 0.1 * length**2, rtol=1e-9)
    p = constraint.project(v, task)
    assert (constraint.size(p, task) <= (length if radius is None else radius) + 1e-9).all()
    across = p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]  # shrunk toward no change, and not turned
    assert torch.allclose(across, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    assert constraint.size(v.float(), task).dtype == torch.float32
    unit = LatentNorm(0.1, radius, torch.eye(3))
    assert torch.allclose(unit.size(v, task), LatentNorm().size(v, task))


def test_box_needs_no_image():
    domain = Domain(Pixels(shape=(1, 2, 2)), Box(0.2, 0.7), Task(torch.arange(3)), 1)
    p = domain.project(torch.linspace(-1, 2, 12).view(3, 1, 2, 2), domain.everyone)
    assert (float(p.min()), float(p.max())) == pytest.approx((0.2, 0.7))
    low, high = domain.bounds(domain.everyone)
    assert (low == 0.2).all() and low.shape == (3, 1, 2, 2)
    assert (high == 0.7).all()


def test_the_domain_asks_each_part_about_what_it_binds():
    world = LinearWorld(n=3)
    space = Latent(world.codec)
    task = space.prepare(world.task)
    domain = Domain(space, LatentNorm(0.5, radius=0.1) & Linf(0.01), task, 1)
    p = domain.project(torch.ones(3, world.latent, dtype=torch.float64), domain.everyone)
    x = domain.decode(p, domain.everyone)
    assert torch.allclose(p.norm(dim=1), torch.tensor(0.1).double())
    assert (Linf().size(x, task) <= 0.01 + 1e-15).all()
    assert torch.allclose(domain.size(p, x, domain.everyone), p.norm(dim=1))
    assert torch.allclose(domain.penalty(p, x, domain.everyone), 0.5 * p.norm(dim=1) ** 2)
    assert torch.equal(domain.weight(domain.everyone), torch.ones(3))
    assert domain.bounds(domain.everyone) is None
    assert Domain(space, Linf(0.01), task, 1).weight(domain.everyone) is None


def test_unconstrained_binds_and_measures_nothing():
    v, task = torch.full(SHAPE, 3.0), Task(torch.arange(2))
    assert Unconstrained().project(v, task) is v
    assert Unconstrained().size(v, task).tolist() == [0.0, 0.0]


@BALLS
def test_a_ball_without_a_radius_measures_and_does_not_bind(ball):
    v, task = torch.rand(2, 1, 2, 2), Task(torch.arange(2), torch.rand(2, 1, 2, 2))
    assert ball().project(v, task) is v
    assert ball().bounds(task) is None
    assert (ball().size(v, task) > 0).all()


def test_refusals(refuses):
    for make in (lambda: Linf(-0.1), lambda: L2(float("nan")), lambda: L1(-1e-9)):
        with refuses(UsageError, "eps-negative"):
            make()
    with refuses(UsageError, "eps-units") as caught:
        Linf(8)
    assert caught.value.hint == "Linf(8 / 255)"
    with refuses(UsageError, "weight-negative"):
        L2(weight=-1.0)
    for make in (lambda: LatentNorm(-0.1), lambda: LatentNorm(radius=-1.0)):
        with refuses(UsageError, "latent-norm-negative"):
            make()
    flat, skew = torch.diag(torch.tensor([1.0, 0.0])), torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    for scale in (flat, skew, -torch.eye(2), torch.ones(3), torch.ones(2, 3), torch.full((2, 2), torch.nan)):
        with refuses(UsageError, "latent-norm-scale"):
            LatentNorm(scale=scale)
    with refuses(UsageError, "box-empty"):
        Box(0.5, 0.2)
    with refuses(UsageError, "levels-few"):
        Quantized(1)
    with refuses(ContractError, "contract-binds", seen=False):
        refuse_mismatch(Pixels(), Linf(0.1) & LatentNorm())
    with refuses(ContractError, "contract-no-image"):
        Linf(0.1).project(torch.zeros(SHAPE), Task(torch.arange(2)))


@pytest.mark.parametrize(
    "constraint",
    [
        Linf(8 / 255),
        L2(),
        L2(0.5, weight=2.0),
        L1(3.0),
        LatentNorm(0.03, 2.0),
        Box(),
        Quantized(16),
        Linf(0.1) & Quantized(),
    ],
    ids=repr,
)
def test_words_construct_it_again(constraint):
    again = eval(repr(constraint))
    assert repr(again) == repr(constraint)
    assert [vars(part) for part in again.parts] == [vars(part) for part in constraint.parts]
