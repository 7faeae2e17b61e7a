"""What counting alone knows of a text: models of the last few characters, and a compressor, for comparison."""

import bz2

import torch
from torch import Tensor

from amiss.models import Vocabulary

__all__ = ["compressed", "counted"]


def counted(learned: str, asked: str, order: int) -> float:
    """Bits a character of a text, predicted from counts of up to `order` characters in another.

    A character's probability is its share among what followed the order - 1 characters before it, mixed with the
    same of one character fewer, and so on down to equal chances: p_k = (n(h c) + u(h) p_(k-1)) / (n(h) + u(h)), where
    n counts and u is how many different characters followed h.

    Args:
        learned: The text that is counted; it has every character of the other.
        asked: The text that is predicted. What stands before it is the end of the first.
        order: Characters of a count, 1 to 9: 1 knows shares alone, 2 the character before.

    References:
        Witten and Bell 1991, the zero-frequency problem, method C.
    """
    vocabulary = Vocabulary.of([learned])
    seen, x = vocabulary.encode(learned), vocabulary.encode(asked)
    x, size = torch.cat([seen[1 - order :], x]) if order > 1 else x, len(vocabulary.symbols)
    chance = torch.full((len(asked),), 1 / size, dtype=torch.float64)
    for k in range(1, order + 1):
        grams, times = _grams(seen, k, size).unique(return_counts=True)
        kinds, inverse = (grams // size).unique(return_inverse=True)
        after = torch.zeros(len(kinds), dtype=torch.int64).index_add_(0, inverse, times)
        kinds_after = torch.bincount(inverse, minlength=len(kinds))
        here = _grams(x[order - k :], k, size)
        n, total = _found(grams, times, here), _found(kinds, after, here // size)
        new = _found(kinds, kinds_after, here // size)
        chance = torch.where(total > 0, (n + new * chance) / (total + new).clamp_min(1), chance)
    return float(-chance.log2().mean())


def compressed(learned: str, asked: str) -> float:
    """Bits a character that a text adds to another, where bzip2 packs both."""
    more = len(bz2.compress((learned + asked).encode())) - len(bz2.compress(learned.encode()))
    return 8 * more / len(asked)


def _grams(tokens: Tensor, k: int, size: int) -> Tensor:
    """Each run of `k` tokens as one number, of which the last token is the lowest digit."""
    weights = torch.tensor([size**i for i in reversed(range(k))])
    return (tokens.unfold(0, k, 1) * weights).sum(1)


def _found(keys: Tensor, values: Tensor, asked: Tensor) -> Tensor:
    """The value of each key asked for, 0 for others; keys are sorted."""
    at = torch.searchsorted(keys, asked).clamp_max(len(keys) - 1)
    return torch.where(keys[at] == asked, values[at], 0).double()
