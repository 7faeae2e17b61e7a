"""A flat picture before a pinhole camera: distance, rotation and viewing angle as one homography a row.

Places are counted in half sides from the middle of the picture, x to the right and y down: the picture is the square
[-1, 1] x [-1, 1], and so is what the camera takes of it.
"""

from dataclasses import dataclass
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.errors import UsageError
from amiss.repro import uniform
from amiss.transforms.ranges import Range, check_range, within

__all__ = ["View", "bounds", "homography", "project", "warp"]

_NEAREST = 1.5  # half sides from the camera to the picture: its corners, sqrt(2) away, stay before the camera
_BEHIND = (
    1e-3  # of the depth at the middle: rays that meet the plane further back, or behind the camera, see no plane
)
_FAR = 100.0  # half sides: a place that lies in no picture


@dataclass(frozen=True)
class View:
    """The picture as a print on a wall, photographed from somewhere.

    Each is drawn uniformly from its range, anew for each row. All of it is one homography and one interpolation.

    Attributes:
        scale: Apparent size, 1 over the distance: at 0.5 the picture fills half of the frame's side.
        rotation: Degrees in the plane, counterclockwise.
        tilt: Degrees about the vertical axis: the picture is seen from the side.
        nod: Degrees about the horizontal axis: it is seen from above or below.
        shift: How far its middle lies from that of the frame, each way, as a part of the side.
        wall: Gray value of what lies beyond the picture, in [0, 1].
        distance: From the camera to the picture at scale 1, in half sides: the nearer, the stronger the perspective.
        over: Rays a pixel's side, averaged: 2 or more where pictures shrink, or fine patterns alias.

    Raises:
        UsageError: A range that cannot mean anything.

    References:
        Hartley and Zisserman (2004), multiple view geometry, section 8.1.1 (a plane under a pinhole camera).
    """

    scale: Range = (1.0, 1.0)
    rotation: Range = (0.0, 0.0)
    tilt: Range = (0.0, 0.0)
    nod: Range = (0.0, 0.0)
    shift: Range = (0.0, 0.0)
    wall: Range = (0.5, 0.5)
    distance: float = 4.0
    over: int = 1

    def __post_init__(self) -> None:
        check_range(self, "scale", 1e-2, 1e2)
        check_range(self, "rotation", -360, 360)
        for name in ("tilt", "nod"):
            check_range(self, name, -80, 80)
        check_range(self, "shift", -1, 1)
        check_range(self, "wall", 0, 1)
        check_range(self, "distance", _NEAREST, 1e6)
        check_range(self, "over", 1, 16)

    def __call__(self, x: Tensor, key: Tensor) -> Tensor:
        """What the camera takes of images [R, C, H, W]: as many, of the same size."""
        there = torch.ones_like(x[:, :1])
        taken = warp(torch.cat([x, there], 1), self.homography(key, x.dtype), self.over)
        wall = within(self.wall, self._shares(key, x.dtype)[:, 6]).reshape(-1, 1, 1, 1)
        return taken[:, :-1] + (1 - taken[:, -1:]) * wall

    def homography(self, key: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Where each row's view puts the places of the picture [R, 3, 3] (see `homography`)."""
        shares = self._shares(key, dtype).unbind(1)
        ranges = (self.scale, self.rotation, self.tilt, self.nod, self.shift, self.shift)
        scale, rotation, tilt, nod, right, down = (within(r, s) for r, s in zip(ranges, shares, strict=False))
        return homography(scale, rotation, tilt, nod, torch.stack([right, down], 1), self.distance)

    def _shares(self, key: Tensor, dtype: torch.dtype) -> Tensor:
        """The seven numbers of each row, in (0, 1)."""
        return uniform(key, (7,), dtype)


def homography(
    scale: Tensor,
    rotation: Tensor,
    tilt: Tensor,
    nod: Tensor | None = None,
    shift: Tensor | None = None,
    distance: float = 4.0,
) -> Tensor:
    """Where a pinhole camera sees the places of a picture: rotated in its plane, turned away, scaled, and shifted.

    Args:
        scale: Apparent size of the picture's middle [R].
        rotation: Degrees in the plane, counterclockwise [R].
        tilt: Degrees about the vertical axis [R]; above 0 the right side moves away.
        nod: Degrees about the horizontal axis [R]; above 0 the lower side moves away.
        shift: To the right and down [R, 2], as a part of the frame's side.
        distance: From the camera to the picture at scale 1, in half sides.

    Returns:
        Matrices [R, 3, 3] that take homogeneous places (x, y, 1) in the picture to places in the frame.
    """
    zero = torch.zeros_like(scale)
    (a, b, c) = (torch.as_tensor(angle) * (pi / 180) for angle in (rotation, tilt, zero if nod is None else nod))
    move = torch.zeros(len(scale), 2, dtype=scale.dtype, device=scale.device) if shift is None else 2 * shift
    # Columns of the rotations about z, then y, then x, as the picture's axes x and y come out of them; z is depth.
    x_axis = torch.stack([b.cos() * a.cos(), -a.sin(), b.sin() * a.cos()], 1)
    y_axis = torch.stack([b.cos() * a.sin(), a.cos(), b.sin() * a.sin()], 1)
    axes = torch.stack([x_axis, y_axis], 2)
    across, down, depth = axes.unbind(1)
    down, depth = (
        c.cos()[:, None] * down - c.sin()[:, None] * depth,
        c.sin()[:, None] * down + c.cos()[:, None] * depth,
    )
    # A place comes to rest at depth 1 + z / distance, counted in distances.
    depth = torch.cat([depth / distance, torch.ones_like(scale)[:, None]], 1)
    middle = torch.zeros_like(scale)[:, None]
    rows = [
        torch.cat([scale[:, None] * side, middle], 1) + move[:, i, None] * depth
        for i, side in enumerate((across, down))
    ]
    return torch.stack([*rows, depth], 1)


def project(points: Tensor, matrix: Tensor) -> Tensor:
    """Places [R, k, 2] of the picture (or [k, 2], the same for all) as places in the frame [R, k, 2]."""
    if points.ndim == 2:
        points = points.expand(len(matrix), *points.shape)
    wide = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ matrix.mT
    return wide[..., :2] / wide[..., 2:]


def bounds(points: Tensor) -> Tensor:
    """The smallest upright boxes around points [R, k, 2]: left, top, right, bottom [R, 4]."""
    return torch.cat([points.amin(1), points.amax(1)], 1)


def warp(x: Tensor, matrix: Tensor, over: int = 1) -> Tensor:
    """Images as they are seen through homographies: bilinear, 0 beyond the picture.

    Args:
        x: Images [R, C, H, W].
        matrix: Homographies [R, 3, 3], from the picture to the frame.
        over: Rays a pixel's side, averaged.

    Returns:
        Images [R, C, H, W], with a gradient to `x`.

    Raises:
        UsageError: A homography has no inverse.
    """
    rows, _, height, width = x.shape
    back, failed = torch.linalg.inv_ex(matrix)
    if bool(failed.any()) or not bool(back.isfinite().all()):
        raise UsageError(
            "A homography has no inverse, so nothing can be seen through it.",
            slug="transform-singular",
            seen=f"{int((failed != 0).sum())} of {rows} matrices without one",
            needed="matrices [R, 3, 3] of rank 3",
            hint="Make it by amiss.transforms.homography, with a scale above 0 and tilts below 90 degrees.",
        )
    across, down = (_centers(n * over, x) for n in (width, height))
    frame = torch.stack([across.expand(len(down), -1), down[:, None].expand(-1, len(across))], -1)
    wide = torch.cat([frame, torch.ones_like(frame[..., :1])], -1).reshape(1, -1, 3) @ back.mT
    depth = wide[..., 2:]
    before = depth > _BEHIND * depth.abs().amax(1, keepdim=True)
    places = torch.where(before, wide[..., :2] / torch.where(before, depth, 1.0), _FAR)
    grid = places.reshape(rows, height * over, width * over, 2)
    taken = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(taken, over) if over > 1 else taken


def _centers(n: int, like: Tensor) -> Tensor:
    """Middles of n pixels in [-1, 1]."""
    return (2 * torch.arange(n, dtype=like.dtype, device=like.device) + 1) / n - 1
