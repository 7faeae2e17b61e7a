"""The one order of attempts: met before not met, then the smaller, then the lower loss; ties keep the incumbent."""

import torch
from torch import Tensor

__all__ = ["better", "champions", "first_rows"]


def better(met: Tensor, size: Tensor, loss: Tensor, than: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Whether each attempt is strictly ahead of its rival; sizes count between successes only.

    Args:
        met: Success, any shape.
        size: Size of the change, the same shape.
        loss: Loss, the same shape; an attempt whose numbers are NaN is never ahead, whatever it says it met.
        than: The rivals' met, size and loss.
    """
    met0, size0, loss0 = than
    smaller = met & (size < size0)
    level = ~met | (size == size0)
    ahead = (met & ~met0) | ((met == met0) & (smaller | (level & (loss < loss0))))
    return ahead & _stands(met, size, loss)


def first_rows(owner: Tensor, n: int, met: Tensor, size: Tensor, loss: Tensor) -> Tensor:
    """For each of n samples the foremost of its rows [n], -1 where it has none.

    Args:
        owner: Whose row it is [R], -1 for idle rows.
        n: Number of samples.
        met: Success of the rows [R].
        size: Their sizes [R].
        loss: Their losses [R].
    """
    alive = (owner >= 0) & _stands(met, size, loss)
    seat = owner.clamp_min(0)

    def least(value: Tensor) -> None:
        nonlocal alive
        value = torch.where(alive, value, torch.inf)
        floor = value.new_full((n,), torch.inf).scatter_reduce(0, seat, value, "amin")
        alive = alive & (value == floor[seat])

    least((~met).to(loss.dtype))
    least(torch.where(met, size.to(loss.dtype), torch.zeros_like(loss)))
    least(loss)
    place = torch.arange(len(owner), device=owner.device)
    none = len(owner)
    row = place.new_full((n,), none).scatter_reduce(0, seat, torch.where(alive, place, none), "amin")
    return torch.where(row == none, -1, row)


def champions(met: Tensor, size: Tensor, loss: Tensor) -> Tensor:
    """For each of n samples the foremost of R rows that all compete for it [n].

    Where no row can stand, row 0 is named; it is not ahead of anything.

    Args:
        met: Success of every row in every sample [R, n].
        size: Sizes of the rows [R].
        loss: Losses [R, n].
    """
    if bool((size == size[0]).all()):
        # Of a thousand samples each look at all rows counts. The lowest loss is foremost where it is met if any is.
        low, rows = loss.min(0)
        if not bool(low.isnan().any()) and torch.equal(met.gather(0, rows[None])[0], met.any(0)):
            return rows
    sizes = size[:, None]
    fit = _stands(met, sizes, loss)
    any_met = (fit & met).any(0)
    fit = fit & (met == any_met)
    for value in (torch.where(any_met, sizes, 0.0), loss):
        value = torch.where(fit, value, torch.inf)
        fit = fit & (value == value.amin(0))
    return fit.to(torch.uint8).argmax(0)


def _stands(met: Tensor, size: Tensor, loss: Tensor) -> Tensor:
    """Whether the numbers that an attempt is compared by are numbers."""
    return ~(loss.isnan() | (met & size.isnan()))
