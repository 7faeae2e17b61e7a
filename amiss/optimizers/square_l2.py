"""Square search in the Euclidean ball: the length that a change has is moved from one window to another."""

import torch
from torch import Tensor

from amiss.domain import Domain
from amiss.optimizers.queries import Square
from amiss.task import State

__all__ = ["SquareL2"]

_TILES = 5  # along the shorter side, of the first change


class SquareL2(Square):
    """Random search that keeps the change at the bound: a window is emptied, and its length goes to another.

    The first look is at the image itself, the second at a grid of tiles, each with a bump and a hollow side by side,
    of a sign of its own in each channel. From then on each look draws two windows: the change in the one becomes 0,
    and the one in the other grows by what was taken, and by what the walls of the box had cut off: in the direction
    that it had, and that of a new bump and hollow, half and half. It is kept where the loss falls. The windows shrink
    as the squares of `Square` do.

    Args:
        eps: Euclidean length of the change, in pixel values of [0, 1]: the radius of `L2`.
        share: Share of the image that the first windows cover, in (0, 1].

    Raises:
        UsageError: A share outside (0, 1].

    References:
        Andriushchenko, Croce, Flammarion and Hein (2020), square attack: a query-efficient black-box adversarial
        attack via random search, algorithms 1 and 3, eq. 2.
    """

    def init(self, domain: Domain, warm: State | None = None) -> State:
        """Begin at the image, also after another optimizer: on from where gradients led, less is found."""
        return super().init(domain)

    def _stripes(self, domain: Domain) -> Tensor:
        """The image with the tiles, at the bound."""
        start = _origin(domain)
        channels, height, width = start.shape[1:]
        side = max(1, min(height, width) // _TILES)
        down, across = height // side, width // side
        signs = domain.noise(domain.everyone, -2, (channels, down, across), start.dtype).sign()
        tiled = torch.einsum("ncij,ab->nciajb", signs, _bump(side).to(start)).flatten(4, 5).flatten(2, 3)
        change = torch.zeros_like(start)
        top, left = (height - down * side) // 2, (width - across * side) // 2
        change[:, :, top : top + down * side, left : left + across * side] = tiled
        return self._bounded(change, domain)

    def _squares(self, p: Tensor, domain: Domain, turn: int) -> Tensor:
        """The standing images, each with the length of one window moved to another."""
        start = _origin(domain)
        channels, height, width = p.shape[1:]
        side = max(3, self._side(turn / max(domain.steps, 1), height, width) // 2 * 2 + 1)
        side = min(side, height, width)
        luck = domain.noise(domain.everyone, turn, (5 + channels,), p.dtype)
        to, bump = _window(luck[:, :2], p, side, turned=luck[:, 4] < 0)
        off, _ = _window(luck[:, 2:4], p, side, turned=luck[:, 4] < 0)
        change = p - start
        here = to * change
        new = _unit(luck[:, 5:].sign()[:, :, None, None] * bump + _unit(here))
        unused = (self.eps**2 - change.square().sum((1, 2, 3), keepdim=True)).clamp_min(0) / channels
        taken = (torch.maximum(to, off) * change).square().sum((2, 3), keepdim=True)
        kept = (1 - torch.maximum(to, off)) * change
        return self._bounded(kept + (unused + taken).sqrt() * new, domain)

    def _bounded(self, change: Tensor, domain: Domain) -> Tensor:
        """Images with changes of the length eps, as far as the box lets them."""
        length = change.flatten(1).norm(dim=1).clamp_min(torch.finfo(change.dtype).tiny)
        trial = _origin(domain) + change * (self.eps / length)[:, None, None, None]
        moved: Tensor = domain.project(trial, domain.everyone)
        return moved


def _origin(domain: Domain) -> Tensor:
    start = domain.start()
    assert isinstance(start, Tensor)  # noqa: S101 - `init` has refused what is none
    return start


def _window(luck: Tensor, p: Tensor, side: int, turned: Tensor) -> tuple[Tensor, Tensor]:
    """A window of each image as a mask [n, 1, H, W], and a bump and a hollow in it, of length 1."""
    height, width = p.shape[2:]
    room = torch.tensor([height - side, width - side], device=p.device)
    corner = torch.minimum((torch.special.ndtr(luck) * (room + 1)).floor(), room).long()
    rows = torch.arange(height, device=p.device) - corner[:, :1]
    columns = torch.arange(width, device=p.device) - corner[:, 1:]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    bump = _bump(side).to(p)
    rows, columns = rows.clamp(0, side - 1)[:, :, None], columns.clamp(0, side - 1)[:, None, :]
    drawn = torch.where(turned[:, None, None], bump.mT[rows, columns], bump[rows, columns])
    mask = inside[:, None].to(p.dtype)
    return mask, mask * drawn[:, None]


def _bump(side: int) -> Tensor:
    """A bump above and a hollow below it [side, side], each highest in its middle, of length 1."""
    upper = side // 2
    drawn = torch.cat([_hill(upper, side), -_hill(side - upper, side)]) if upper else torch.ones(1, 1)
    return drawn / drawn.norm()


def _hill(height: int, width: int) -> Tensor:
    """The sum over k from 0 to M of 1 / (n + 1 - k)^2, n half the height, M how many steps it is from the rim."""
    n = height // 2
    down, across = ((torch.arange(size) - size // 2).abs() for size in (height, width))
    steps = n - torch.maximum(down[:, None], across[None, :])
    sums = torch.cat([torch.zeros(1), (1 / (n + 1 - torch.arange(n + 1)).double() ** 2).cumsum(0).float()])
    return sums[(steps + 1).clamp_min(0)]


def _unit(v: Tensor) -> Tensor:
    """Channels [n, C, H, W] of length 1 each; one of zeros stays."""
    return v / v.flatten(2).norm(dim=2).clamp_min(torch.finfo(v.dtype).tiny)[:, :, None, None]
