"""Drawn signs: pure functions of kind, look and pose; boxes and masks are where the paint is."""

import pytest
import torch

from amiss.data.worlds.signboards import KINDS, outline, paint_signs
from amiss.data.worlds.signs import draw_streets, sample_signs, sign_boxes, sign_mask
from amiss.errors import UsageError
from amiss.transforms import Scene, View, bounds, project

VIEW = View((0.5, 1.3), (-30, 30), (-45, 45), (0, 0), (-0.1, 0.1), over=2)
POSES = VIEW.homography(torch.arange(16))
SIGNS = sample_signs(16, 1, POSES, kinds=[i % len(KINDS) for i in range(16)])
DRAWN = SIGNS.draw()


def test_a_sign_is_a_function_of_kind_look_and_pose():
    some = torch.tensor([5, 2, 9])
    assert torch.equal(SIGNS.pick(some).draw(), DRAWN[some])
    assert DRAWN.shape == (16, 3, 64, 64) and DRAWN.dtype == torch.uint8
    again = sample_signs(16, 1, POSES, kinds=[i % len(KINDS) for i in range(16)])
    assert torch.equal(again.draw(), DRAWN)
    assert not torch.equal(sample_signs(16, 2, POSES).looks, SIGNS.looks)


def test_kinds_are_drawn_alike_often():
    counts = torch.bincount(sample_signs(4000, 3).kinds, minlength=len(KINDS))
    assert len(counts) == len(KINDS) and (counts - 500).abs().max() < 100


def test_the_sign_alone_changes_the_street_and_only_in_its_box():
    changed = (streets_of(SIGNS) != DRAWN).any(1)
    for there, box in zip(changed, SIGNS.boxes(), strict=True):
        rows, columns = there.nonzero().unbind(1)
        found = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) - box
        # Paint is drawn in quarters of a pixel, and a thin corner may cover too little of a pixel to be seen.
        assert found[:2].min() > -1.25 and found[2:].max() < 1.25
        assert found.abs().max() < 2.5


def streets_of(signs):
    return paint_signs([-1] * len(signs), signs.looks, signs.poses, signs.size)


def test_boxes_are_the_bounds_of_the_projected_outline():
    for i, kind in enumerate(SIGNS.kinds.tolist()):
        corners = torch.tensor(outline(kind))
        expected = (bounds(project(corners, POSES[i : i + 1])) + 1) * 32
        assert torch.allclose(SIGNS.boxes()[i : i + 1], expected.clamp(0, 64), atol=1e-3)


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_a_mask_holds_what_the_sign_covers(kind):
    front = sample_signs(1, 4, kinds=[kind])
    covered = (front.draw() != streets_of(front)).any(1)[0]
    mask = sign_mask(kind)
    assert (covered & ~mask).sum() <= 0.16 * mask.sum()  # pixels of the edge are covered in part
    assert (covered & mask).sum() >= 0.97 * mask.sum()
    assert sign_mask(kind, 128).sum() / 4 == pytest.approx(float(mask.sum()), rel=0.07)
    rows, columns = mask.nonzero().unbind(1)
    left, top, right, bottom = sign_boxes(front.kinds, front.poses)[0].tolist()
    assert columns.min() >= left - 1 and columns.max() + 1 <= right + 1
    assert rows.min() >= top - 1 and rows.max() + 1 <= bottom + 1


def test_the_camera_sees_what_the_world_draws():
    """The picture of a sign from the front, seen by the camera, is near to the sign drawn at that pose."""
    keys = torch.arange(16)
    front = sample_signs(16, 1, kinds=SIGNS.kinds).draw().float() / 255
    nothing = torch.zeros(1, 3, 64, 64)
    for i, kind in enumerate(SIGNS.kinds.tolist()):
        scene = Scene(VIEW, sign_mask(kind), nothing)
        there = Scene(VIEW, sign_mask(kind), nothing)(torch.ones(1, 3, 64, 64), keys[i : i + 1])[0, 0] > 0.99
        seen = scene(front[i : i + 1], keys[i : i + 1])[0]
        apart = (seen - DRAWN[i].float() / 255)[:, there].abs()
        assert apart.mean() < 0.06 and apart.median() < 0.03


def test_images_have_kinds_and_boxes():
    images = SIGNS.images()
    assert images.classes == KINDS and torch.equal(images.truth, SIGNS.kinds)
    table = torch.stack([images.table[name] for name in ("left", "top", "right", "bottom")], 1)
    assert torch.equal(table, SIGNS.boxes())


def test_streets_differ_and_show_no_sign():
    streets = draw_streets(6, 1)
    assert streets.shape == (6, 3, 64, 64) and len({tuple(s.flatten().tolist()) for s in streets}) == 6


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"size": 8}, {"kinds": [99] * 3}, {"kinds": [0]}, {"poses": torch.eye(3)}], ids=repr
)
def test_refusals(wrong, refuses):
    with refuses(UsageError, "signs-argument"):
        sample_signs(**{"n": 3, "seed": 0, **wrong})
