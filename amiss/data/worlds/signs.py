"""A world of drawn traffic signs: what each is, where it hangs, and its box are known at every pose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from amiss.data.images import Images, Index
from amiss.data.worlds.signboards import KINDS, outline, paint_signs
from amiss.errors import UsageError
from amiss.repro import fold, uniform

__all__ = ["KINDS", "Signs", "draw_streets", "sample_signs", "sign_boxes", "sign_mask"]

_KIND, _LOOK = 1, 2  # streams of a sign's key
_SIZES = (32, 256)


@dataclass(frozen=True, eq=False)
class Signs:
    """n signs before they are drawn.

    Attributes:
        kinds: What each is [n], int64: its number in `KINDS`.
        looks: Nuisance keys [n], int64: street, paint, light and noise follow from them alone.
        poses: Homographies [n, 3, 3], float32, from places in half sides of the picture, x right and y down, to
            such of the frame: the identity shows a sign in the middle, from the front.
        size: Side of the pictures, 32 to 256.
    """

    kinds: Tensor
    looks: Tensor
    poses: Tensor
    size: int = 64

    def __len__(self) -> int:
        return len(self.kinds)

    def pick(self, index: Index) -> "Signs":
        """The signs at `index`: positions, a mask, or a slice."""
        rows = index if isinstance(index, slice) else torch.as_tensor(index)
        return replace(self, kinds=self.kinds[rows], looks=self.looks[rows], poses=self.poses[rows])

    def at(self, poses: Tensor) -> "Signs":
        """The same signs in the same streets at other poses [n, 3, 3]."""
        return replace(self, poses=poses)

    def draw(self) -> Tensor:
        """The pixels [n, 3, size, size], uint8: a pure function of kind, look and pose, sign by sign."""
        return paint_signs(self.kinds.tolist(), self.looks, self.poses, self.size)

    def boxes(self) -> Tensor:
        """Left, top, right and bottom of each sign [n, 4], in pixels, cut off where the picture ends."""
        return sign_boxes(self.kinds, self.poses, self.size)

    def images(self, prefix: str = "sign") -> Images:
        """The signs drawn, with their kinds as labels and their boxes as the table."""
        columns = dict(zip(("left", "top", "right", "bottom"), self.boxes().unbind(1), strict=True))
        names = [f"{prefix}/{i:05d}" for i in range(len(self))]
        return Images.of(self.draw(), self.kinds, KINDS, names=names, table=columns)


def sample_signs(
    n: int, seed: int, poses: Tensor | None = None, size: int = 64, kinds: Sequence[int] | None = None
) -> Signs:
    """Draw lots for n signs; nothing is painted yet.

    Args:
        n: Number of signs.
        seed: Signs of one seed are the same at every pose.
        poses: Homographies [n, 3, 3]; by default each hangs in the middle, seen from the front.
        size: Side of the pictures, 32 to 256.
        kinds: What they are [n], numbers in `KINDS`; by default each draws a kind.

    Raises:
        UsageError: An argument is out of range, or not one a sign.
    """
    key = fold(fold(torch.arange(max(n, 0)), seed), _KIND)
    drawn = (uniform(key, (1,), torch.float64)[:, 0] * len(KINDS)).long()
    chosen = drawn if kinds is None else torch.as_tensor(kinds, dtype=torch.int64)
    given = torch.eye(3).expand(max(n, 0), 3, 3) if poses is None else poses
    rules = {
        "n": (n, n >= 1, "at least 1"),
        "size": (size, _SIZES[0] <= size <= _SIZES[1], f"{_SIZES[0]} to {_SIZES[1]}"),
        "kinds": (
            chosen.tolist()[:8],
            chosen.shape == (n,) and bool(((chosen >= 0) & (chosen < len(KINDS))).all()),
            f"{n} numbers from 0 to {len(KINDS) - 1}",
        ),
        "poses": (tuple(given.shape), given.shape == (n, 3, 3), f"({n}, 3, 3)"),
    }
    for name, (value, holds, needed) in rules.items():
        if not holds:
            raise UsageError(
                f"No signs can be drawn with these {name}.",
                slug="signs-argument",
                seen=f"{name}={value}",
                needed=needed,
                hint=f"change {name}",
            )
    return Signs(chosen, fold(key, _LOOK), given.float(), size)


def draw_streets(n: int, seed: int, size: int = 64) -> Tensor:
    """Streets without signs [n, 3, size, size], uint8: what signs may be put before."""
    signs = sample_signs(n, seed, size=size)
    return paint_signs([-1] * n, signs.looks, signs.poses, size)


def sign_mask(kind: int, size: int = 64) -> Tensor:
    """Which pixels lie within a sign that hangs in the middle, seen from the front [size, size], bool."""
    corners = torch.tensor(outline(kind), dtype=torch.float64)
    axis = (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1
    places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[:, :, None]
    start, end = corners, corners.roll(-1, 0)
    side, way = end - start, places - start
    turns = side[:, 0] * way[..., 1] - side[:, 1] * way[..., 0]  # every outline is convex, and runs one way around
    return (turns >= 0).all(-1) | (turns <= 0).all(-1)


def sign_boxes(kinds: Tensor, poses: Tensor, size: int = 64) -> Tensor:
    """Left, top, right and bottom [n, 4] of signs at poses [n, 3, 3], in pixels, cut off where the picture ends."""
    boxes = []
    for kind, pose in zip(kinds.tolist(), poses.double(), strict=True):
        corners = torch.tensor([(x, y, 1.0) for x, y in outline(kind)], dtype=torch.float64) @ pose.mT
        places = (corners[:, :2] / corners[:, 2:] + 1) * (size / 2)
        boxes.append(torch.cat([places.amin(0), places.amax(0)]))
    return torch.stack(boxes).clamp(0, size).float()
