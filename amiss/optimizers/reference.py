"""Scipy's L-BFGS-B, one sample at a time: what the batched searches in a box are compared with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["scipy_lbfgsb"]


def scipy_lbfgsb(
    look: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    low: Tensor,
    high: Tensor,
    *,
    steps: int = 100,
    memory: int = 10,
    tolerance: float = 1e-12,
) -> tuple[Tensor, int]:
    """The minimum of one function in a box by scipy's L-BFGS-B, in float64 outside of the function.

    This is no `Optimizer`: scipy calls the function by itself, so it can be neither stopped and saved nor batched.

    Args:
        look: Value (one number) and gradient [...] at a point [...] of the start's type.
        start: Where it begins [...].
        low: Lowest values [...].
        high: Highest values [...].
        steps: Iterations at the most; so many readings and one, too.
        memory: Pairs that the curvature is told by.
        tolerance: Relative fall of the value, and projected gradient, at which it stops.

    Returns:
        The last point, in the box and of the start's type, and how many times `look` was called.

    References:
        Byrd, Lu, Nocedal and Zhu (1995), a limited memory algorithm for bound constrained optimization.
    """
    import numpy as np
    from scipy.optimize import minimize

    looks = 0

    def fun(x: Any) -> tuple[float, Any]:
        nonlocal looks
        looks += 1
        value, slope = look(torch.from_numpy(x).to(start).view_as(start))
        return float(value.detach()), slope.detach().flatten().double().cpu().numpy()

    sides = [side.flatten().double().cpu().numpy() for side in (low, high)]
    options = {"maxiter": steps, "maxfun": steps + 1, "maxcor": memory, "ftol": tolerance, "gtol": tolerance}
    first = start.detach().flatten().double().cpu().numpy()
    found = minimize(fun, first, jac=True, method="L-BFGS-B", bounds=np.stack(sides, 1), options=options)
    end = torch.from_numpy(found.x).to(start).view_as(start)
    return torch.minimum(torch.maximum(end, low), high), looks  # rounding to the type may have left the box
