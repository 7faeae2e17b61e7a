"""Walks through the codes of any latent variable model: grids, paths between images, and steps along an attribute."""

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models.density import LatentVariable

__all__ = ["direction", "encode_all", "interpolate", "manifold"]

_MOST = 256  # codes along a side of a grid, or along a path
_EDGE = 0.05  # of the probability of a normal number that a grid leaves out at each end


@torch.no_grad()
def encode_all(model: LatentVariable, x: Tensor, batch: int = 500) -> Tensor:
    """Codes [n, latent] of images [n, C, H, W] in [0, 1], so many at a time."""
    return torch.cat([model.encode(part) for part in torch.split(x, batch)])


def manifold(
    model: LatentVariable,
    side: int = 20,
    *,
    axes: tuple[int, int] = (0, 1),
    center: Tensor | None = None,
) -> Tensor:
    """Codes on a grid of equal probability under the normal prior, row by row: decoded, they are a picture.

    The first axis grows downwards and the second to the right, each through the quantiles of a standard normal
    number from 0.05 to 0.95, so that equally many codes of the prior lie between neighbors.

    Args:
        model: Whose codes they are; two dimensions or more.
        side: Codes along each side, 2 to 256.
        axes: Which two dimensions vary.
        center: The other dimensions [latent]; by default 0, the mean of the prior.

    Returns:
        Codes [side * side, latent].

    Raises:
        UsageError: The side is out of range, or the axes are not two dimensions of the code.

    References:
        Kingma and Welling 2014, figure 4.
    """
    down, right = axes
    if not 2 <= side <= _MOST or down == right or not all(0 <= axis < model.latent for axis in axes):
        raise UsageError(
            "There is no such grid of codes.",
            slug="walk-grid",
            seen=f"side={side}, axes={tuple(axes)}, a code of {model.latent} dimensions",
            needed=f"a side from 2 to {_MOST}, and two different dimensions of the code",
            hint="Pass, for instance, manifold(model, side=20, axes=(0, 1)).",
        )
    ticks = torch.special.ndtri(torch.linspace(_EDGE, 1 - _EDGE, side, dtype=torch.float64)).float()
    codes = torch.zeros(model.latent) if center is None else center
    codes = codes.repeat(side * side, 1)
    codes[:, down] = ticks.repeat_interleave(side)
    codes[:, right] = ticks.repeat(side)
    return codes


def interpolate(model: LatentVariable, a: Tensor, b: Tensor, steps: int = 8, *, spherical: bool = False) -> Tensor:
    """Codes on the way from the code of each image of `a` to that of its partner in `b`, both ends included.

    Args:
        model: Encodes the images.
        a: Images [N, C, H, W] in [0, 1].
        b: As many images.
        steps: Codes on each path, 2 to 256.
        spherical: Along a great circle, so that lengths between the ends go from one to the other: in many
            dimensions the middle of a straight line is far shorter than what the prior draws.

    Returns:
        Codes [N, steps, latent].

    Raises:
        UsageError: The steps are out of range, or there are not as many images in `b`.

    References:
        White 2016, section 2.1 (spherical interpolation).
    """
    if not 2 <= steps <= _MOST or a.shape != b.shape:
        raise UsageError(
            "There is no such path.",
            slug="walk-path",
            seen=f"steps={steps}, images of shapes {tuple(a.shape)} and {tuple(b.shape)}",
            needed=f"2 to {_MOST} steps, and as many images at either end",
            hint="Pass two images, x[:1] and x[1:2], or two equally long sets of them.",
        )
    start, end = encode_all(model, a)[:, None], encode_all(model, b)[:, None]
    share = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    if not spherical:
        return start + share * (end - start)
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1)[..., None]
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()  # nearly parallel codes are nearly on a line as well
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / angle.sin()


def direction(codes: Tensor, attribute: Tensor) -> Tensor:
    """The step [latent] that adds an attribute: the mean code with it minus the mean code without.

    Args:
        codes: Codes [N, latent].
        attribute: Whether each row has it [N]: booleans, or numbers that are above 0.5 where it is there.

    Raises:
        UsageError: There is no row with it, or none without, or not one value a row.

    References:
        Larsen et al. 2016, section 4.2 (visual attribute vectors).
    """
    there = attribute > 0.5
    if there.shape != codes.shape[:1] or bool(there.all()) or not bool(there.any()):
        raise UsageError(
            "An attribute needs codes with it and codes without it.",
            slug="walk-attribute",
            seen=f"{int(there.sum())} with it of {len(codes)} codes, values of shape {tuple(attribute.shape)}",
            needed="one value a code, some of them above 0.5 and some not",
            hint="Pass codes of images of both kinds, and one number for each.",
        )
    return codes[there].mean(0) - codes[~there].mean(0)
