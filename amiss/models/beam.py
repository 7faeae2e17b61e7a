"""Beam search: a likely row of tokens, where the likeliest token each time would lead astray."""

import torch
from torch import Tensor

from amiss.errors import UsageError
from amiss.models.token_density import TokenDensity

__all__ = ["beam"]


@torch.no_grad()
def beam(
    model: TokenDensity, n: int, c: Tensor | None = None, *, width: int = 5, length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Likely rows of tokens: of every row the `width` likeliest beginnings are carried on, side by side.

    A width of 1 takes the likeliest token each time. With as many beginnings as there are rows, the search is
    exhaustive; with fewer, the likeliest row may be among those that were given up.

    Args:
        model: In eval mode.
        n: Rows.
        c: What the rows depend on [n, ...], for a conditional model.
        width: Beginnings that are carried on, of each row.
        length: Tokens of a row; by default the model's own length.

    Returns:
        Tokens [n, length] and their log probability [n], nats.

    Raises:
        UsageError: A number that is not positive.

    References:
        Graves 2012, sequence transduction with recurrent neural networks, section 2.5; Sutskever, Vinyals and Le
        2014, sequence to sequence learning, section 3.2.
    """
    length = model.length if length is None else length
    if min(n, width, length) < 1:
        raise UsageError(
            "There is nothing to search.",
            slug="beam",
            seen=f"n={n}, width={width}, length={length}",
            needed="positive numbers",
            hint="Pass, for instance, beam(model, len(images), images, width=5).",
        )
    cache = model.init_cache(n, c)
    total = model.readout.weight.new_zeros(n, 1)  # of each beginning, log probability
    tokens = torch.zeros(n, 1, 0, dtype=torch.int64, device=total.device)
    for t in range(length):
        kept = total.shape[1]
        last = tokens[:, :, -1].flatten() if t else None
        steps = model.step(last, t, cache).log_softmax(1).unflatten(0, (n, kept))
        whole = (total[:, :, None] + steps).flatten(1)
        total, place = whole.topk(min(width, whole.shape[1]), 1)
        origin, token = place // model.symbols, place % model.symbols
        before = tokens.gather(1, origin[:, :, None].expand(-1, -1, t))
        tokens = torch.cat([before, token[:, :, None]], 2)
        rows = (torch.arange(n, device=origin.device)[:, None] * kept + origin).flatten()
        cache = cache.pick(rows)
    return tokens[:, 0], total[:, 0]
