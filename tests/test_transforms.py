"""The camera: identity changes nothing, quarter turns are exact, poses follow the projective formula, keys decide."""

import io
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from amiss import transforms
from amiss.errors import UsageError
from amiss.objectives import EOT, Become
from amiss.testing import LinearWorld
from amiss.transforms import JPEG, PRINTED, Blur, Light, Noise, Print, Scene, View, bounds, homography, project, warp

KEYS = torch.arange(4)
MASK = torch.zeros(12, 12, dtype=torch.bool)
MASK[3:9, 2:9] = True
ALL = [
    View((0.5, 1.4), (-30, 30), (-45, 45), (-20, 20), (-0.1, 0.1), (0.1, 0.9)),
    View((0.4, 0.6), over=3),
    Scene(View((0.7, 1.3), (-30, 30)), MASK, torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))),
    Blur((0.3, 1.5)),
    Light(),
    Noise(0.1),
    JPEG((30, 90)),
    Print(),
]
STILL = [View(), Blur((0, 0)), Light((1, 1), (0, 0)), Noise(0), Print((0, 0), (1, 1), (0, 0))]


def through(chain, x, key):
    for transform in chain:
        x = transform(x, key)
    return x


@pytest.mark.parametrize("transform", STILL, ids=repr)
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 28, 28), (3, 9, 13)])
def test_what_does_nothing_changes_nothing(transform, shape, images):
    x = images(4, shape)
    y = transform(x, KEYS)
    assert (y - x).abs().max() <= (0 if shape == (3, 16, 16) else 1e-5)  # sides of a power of two have exact centers


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_rot90(turns, images):
    x = images(4, (3, 12, 12), torch.float64)
    y = View(rotation=(90 * turns, 90 * turns))(x, KEYS)
    assert torch.allclose(y, torch.rot90(x, turns, (2, 3)), atol=1e-12)


def test_scale_is_about_the_middle():
    """A square of half the side becomes one of a quarter, or fills the frame."""
    x = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    x[..., 8:24, 8:24] = 1
    half, double = (View((s, s), wall=(0, 0), over=2)(x, KEYS[:1]) for s in (0.5, 2.0))
    expected = torch.zeros_like(x)
    expected[..., 12:20, 12:20] = 1
    assert torch.allclose(half, expected, atol=1e-12)
    assert (double[..., 2:-2, 2:-2] == 1).all()


def oracle(x, scale, rotation, tilt, nod, distance, wall):
    """Pixel by pixel: the ray from the camera meets the rotated plane, and the four pixels around share the value."""
    a, b, c = np.radians([rotation, tilt, nod])
    about_z = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    turn = about_x @ about_y @ about_z
    side, out = len(x), np.full_like(x, wall)
    eye, normal = np.array([0, 0, -distance]), turn @ np.array([0, 0, 1])
    for i, j in product(range(side), repeat=2):
        u, v = (2 * j + 1) / side - 1, (2 * i + 1) / side - 1
        ray = np.array([u / scale, v / scale, distance])  # at depth `distance` lies the picture's middle
        meets = -(eye @ normal) / (ray @ normal)
        place = turn.T @ (eye + meets * ray)
        column, row = ((place[:2] + 1) * side - 1) / 2
        left, top = int(np.floor(column)), int(np.floor(row))
        value = there = 0.0
        for r, q in product((top, top + 1), (left, left + 1)):
            weight = (1 - abs(row - r)) * (1 - abs(column - q))
            if 0 <= r < side and 0 <= q < side:
                value, there = value + weight * x[r, q], there + weight
        out[i, j] = value + (1 - there) * wall
    return out


@pytest.mark.parametrize(
    "pose", [(0.6, 0, 0, 0), (1.3, 20, 0, 0), (1, 0, 40, 0), (1, 0, -40, 0), (0.9, 0, 0, 35), (0.8, -30, 45, -25)]
)
def test_poses_follow_the_projective_formula(pose, images):
    x = images(1, (1, 11, 11), torch.float64)
    scale, rotation, tilt, nod = pose
    view = View((scale,) * 2, (rotation,) * 2, (tilt,) * 2, (nod,) * 2, wall=(0.3, 0.3), distance=3.0)
    expected = oracle(x[0, 0].numpy(), *pose, 3.0, 0.3)
    assert np.allclose(view(x, KEYS[:1])[0, 0].numpy(), expected, atol=1e-12)


def test_poses_compose_in_their_order():
    """Rotated in its plane first, then turned away, then scaled, then shifted, each known by itself."""
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    shift = torch.tensor([[0.1, -0.2]], dtype=torch.float64)
    whole = homography(0.7 * one, 25 * one, 40 * one, -15 * one, shift, 3.0)
    steps = [
        homography(one, 25 * one, zero, distance=3.0),
        homography(one, zero, 40 * one, distance=3.0),
        homography(0.7 * one, zero, zero, distance=3.0),
        homography(one, zero, zero, None, shift, 3.0),
    ]
    tilted = steps[1] @ steps[0]  # nothing is deep before the tilt, so planes suffice for these two
    assert torch.allclose(homography(one, 25 * one, 40 * one, distance=3.0), tilted, atol=1e-12)
    without = homography(one, 25 * one, 40 * one, -15 * one, distance=3.0)
    assert torch.allclose(whole, steps[3] @ steps[2] @ without, atol=1e-12)


def test_what_turns_away_is_smaller_there():
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    turned = project(corners, homography(torch.ones(1), torch.zeros(1), torch.full((1,), 40.0)))[0]
    assert turned[1, 1] - turned[2, 1] > turned[0, 1] - turned[3, 1]  # the right edge is shorter: both are below 0
    assert torch.equal(bounds(corners[None]), torch.tensor([[-1.0, -1.0, 1.0, 1.0]]))


def test_points_go_where_pixels_go():
    """A bright pixel is found where `project` says."""
    view = View((0.6, 1.2), (-30, 30), (-45, 45), (-20, 20), (-0.1, 0.1), (0, 0))
    keys = torch.arange(20)
    x = torch.zeros(20, 1, 65, 65, dtype=torch.float64)
    x[:, :, 40, 26] = 1
    axis = (2 * torch.arange(65, dtype=torch.float64) + 1) / 65 - 1
    seen = view(x, keys)[:, 0]
    found = (
        torch.stack([(seen * axis).sum((1, 2)), (seen * axis[:, None]).sum((1, 2))], 1) / seen.sum((1, 2))[:, None]
    )
    place = torch.tensor([[axis[26], axis[40]]])
    told = project(place, view.homography(keys, torch.float64))[:, 0]
    assert (found - told).abs().max() < 1.5 / 65  # half a pixel, as small ones have a place of their own


def test_rays_that_pass_the_plane_see_the_wall(images):
    steep = View(tilt=(80, 80), scale=(3, 3), distance=1.5, wall=(0.25, 0.25))
    y = steep(images(1, (1, 16, 16)), KEYS[:1])
    assert y.isfinite().all()
    assert (y[..., -1] == 0.25).all()  # what moves away never reaches the right edge


@pytest.mark.parametrize("transform", [*ALL, PRINTED], ids=repr)
def test_keys_alone_decide(transform, images):
    chain = transform if isinstance(transform, tuple) else (transform,)
    x = images(4, (3, 12, 12))
    y = through(chain, x, KEYS)
    assert torch.equal(y, through(chain, x, KEYS))
    some = torch.tensor([2, 0])
    assert torch.allclose(through(chain, x[some], KEYS[some]), y[some], atol=1e-6)
    same = through(chain, x[:1].expand(2, -1, -1, -1), torch.tensor([7, 8]))
    assert not torch.equal(same[0], same[1])
    assert y.shape == x.shape


@pytest.mark.parametrize("transform", [t for t in ALL if not isinstance(t, JPEG)], ids=repr)
def test_gradients_are_those_of_finite_differences(transform, images):
    x = images(2, (3, 12, 12), torch.float64).requires_grad_()
    weight = torch.randn(2, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (grad,) = torch.autograd.grad((transform(x, KEYS[:2]) * weight).sum(), x)
    way = torch.randn_like(weight)
    with torch.no_grad():
        up, down = ((transform(x + h * way, KEYS[:2]) * weight).sum() for h in (1e-5, -1e-5))
    assert torch.allclose((grad * way).sum(), (up - down) / 2e-5, rtol=1e-6, atol=1e-8)
    assert grad.abs().max() > 0


def test_blur_keeps_what_is_even_and_spreads_a_point():
    blur = Blur((1.5, 1.5))
    even = torch.full((1, 1, 21, 21), 0.4, dtype=torch.float64)
    assert torch.allclose(blur(even, KEYS[:1]), even)
    point = torch.zeros_like(even)
    point[..., 10, 10] = 1
    spread, axis = blur(point, KEYS[:1])[0, 0], torch.arange(-10.0, 11.0, dtype=torch.float64)
    assert abs(float((spread.sum(0) * axis.square()).sum()) - 1.5**2) < 0.1
    assert torch.allclose(spread, spread.T) and torch.allclose(spread, spread.flip(0))


# JPEG


def photograph(side=40):
    """Smooth shapes and an edge, as bytes [3, side, side]."""
    axis = np.linspace(-1, 1, side)
    waves = [127 + 90 * np.sin(3 * axis[:, None] + 5 * axis * (c + 1)) for c in range(3)]
    picture = np.stack(waves)
    picture[:, 10:20, 12:30] = [[[230]], [[40]], [[60]]]
    return torch.from_numpy(picture.round().astype(np.uint8))


@pytest.mark.parametrize("quality", [20, 50, 80])
@pytest.mark.parametrize("side", [40, 37])
def test_jpeg_is_what_a_file_holds(quality, side):
    bytes_ = photograph(side)
    held = io.BytesIO()
    Image.fromarray(bytes_.permute(1, 2, 0).numpy()).save(held, "JPEG", quality=quality, subsampling=0)
    read = torch.from_numpy(np.asarray(Image.open(held)).astype(np.float64)).permute(2, 0, 1)
    x = bytes_[None].double() / 255
    ours = JPEG((quality, quality))(x, KEYS[:1])[0] * 255
    # Files round colors to bytes before the cosines, which tips a coefficient here and there by one step.
    assert (ours - read).abs().median() < 1
    assert torch.corrcoef(torch.stack([(picture - bytes_).flatten() for picture in (ours, read)]))[0, 1] > 0.8


def test_jpeg_passes_the_gradient_through_its_rounding(images):
    x = images(1, (3, 16, 16), torch.float64).requires_grad_()
    y = JPEG((90, 90))(x, KEYS[:1])
    weight = torch.randn(1, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    (grad,) = torch.autograd.grad((y * weight).sum(), x)
    inside = (y > 0) & (y < 1)
    assert inside.all()
    assert torch.allclose(grad, weight, atol=1e-6)  # without the rounding it is there and back again


def test_jpeg_of_gray_has_no_color(images):
    gray = images(2, (1, 16, 16))
    worse, better = (JPEG((q, q))(gray, KEYS[:2]) for q in (10, 95))
    assert (worse - gray).abs().mean() > 3 * (better - gray).abs().mean() > 0


# A thing in a scene


def test_a_scene_changes_the_thing_and_leaves_the_background(images):
    x, behind = images(4, (3, 12, 12)), torch.full((1, 3, 12, 12), 0.25)
    scene = Scene(View(), MASK, behind)
    y = scene(x, KEYS)
    assert torch.allclose(y[..., MASK], x[..., MASK], atol=1e-6)
    assert torch.equal(y[..., ~MASK], behind.expand(4, -1, -1, -1)[..., ~MASK])
    x.requires_grad_()
    (grad,) = torch.autograd.grad(Scene(View((0.8, 0.8)), MASK, behind)(x, KEYS).sum(), x)
    assert (grad[..., ~MASK] == 0).all() and grad[..., MASK].abs().max() > 0


def test_each_row_draws_its_background(images):
    behind = torch.arange(200, dtype=torch.uint8).reshape(200, 1, 1, 1).expand(200, 3, 12, 12)
    drawn = Scene(View(), MASK, behind).behind(torch.arange(300), images(1, (3, 12, 12)))[:, 0, 0, 0]
    assert len(drawn.unique()) > 100 and drawn.max() <= 199 / 255


# With an expectation


@pytest.mark.parametrize("chain", [PRINTED, (View((0.8, 1.2), (-20, 20), (-30, 30)),)], ids=["printed", "view"])
def test_an_expectation_takes_them(chain):
    world = LinearWorld(n=4, classes=3)
    classifier, objective = world.classifier(), EOT(Become(margin=0.1), chain, n=3)
    task = objective.prepare(classifier, world.task)
    x = task.image.clone().requires_grad_()
    runs = [objective.score(objective.read(classifier, x, task, draw), task) for draw in (None, 0, 1)]
    assert torch.equal(runs[1][1], runs[2][1]) and torch.equal(runs[0][1], runs[1][1])  # judged by one fixed draw
    assert not torch.equal(runs[1][0], runs[2][0])
    (grad,) = torch.autograd.grad(runs[1][0].sum(), x)
    assert grad.isfinite().all()


# Refusals


@pytest.mark.parametrize(
    "make",
    [
        lambda: View(scale=(0.0, 1.0)),
        lambda: View(tilt=(-90, 90)),
        lambda: View(rotation=(30, -30)),
        lambda: View(distance=0.5),
        lambda: View(over=0),
        lambda: View(wall=(0, 255)),
        lambda: Blur((-1, 1)),
        lambda: Noise(-0.1),
        lambda: Light(contrast=(float("nan"), 1)),
        lambda: JPEG((0, 90)),
        lambda: Print(black=(0, 0.5), white=(0.2, 1)),
    ],
)
def test_ranges_that_mean_nothing_are_refused(make, refuses):
    with refuses(UsageError, "transform-range"):
        make()


def test_other_refusals(refuses):
    with refuses(UsageError, "transform-scene"):
        Scene(View(), torch.zeros(12, 12, dtype=torch.bool), torch.rand(2, 3, 12, 12))
    with refuses(UsageError, "transform-scene"):
        Scene(View(), MASK, torch.rand(2, 3, 8, 8))
    with refuses(UsageError, "transform-singular"):
        warp(torch.rand(1, 1, 4, 4), torch.zeros(1, 3, 3))


def test_what_they_are_can_be_read():
    for transform in (t for t in ALL if not isinstance(t, Scene)):
        assert eval(repr(transform), vars(transforms)) == transform
    assert repr(ALL[2]) == repr(Scene(ALL[2].view, MASK, ALL[2].backgrounds))
