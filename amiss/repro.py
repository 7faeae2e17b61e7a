"""Randomness and identity without global state: seeds to numbers, content to names.

A random number here is a function of (seed, sample id, turn, position) and of nothing else. No generator is
advanced, so a row's numbers do not depend on its batch, on the device, or on whether the run was resumed.
"""

import hashlib
import math
import platform
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["digest", "fold", "generator", "normal", "sample_key", "uniform", "versions"]

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15, 2^64 over the golden ratio, as a signed word
_MIX_A = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_B = -7723592293110705685  # 0x94D049BB133111EB


def _wrapped(word: int) -> int:
    """A number of any size as a signed 64-bit word."""
    return (word + 2**63) % 2**64 - 2**63


def _shift(word: Tensor, bits: int) -> Tensor:
    """Logical right shift of signed 64-bit words."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def _mix(word: Tensor) -> Tensor:
    """Scramble 64-bit words (the finalizer of SplitMix64: Steele, Lea and Flood 2014), which are the caller's own."""
    if word.device.type == "cpu":  # a word or a million, NumPy takes a third of the time, in place
        words = word.numpy().view(np.uint64)
        spare = np.empty_like(words)
        for bits, factor in ((30, _MIX_A), (27, _MIX_B)):
            words ^= np.right_shift(words, bits, out=spare)
            words *= np.uint64(factor % 2**64)
        words ^= np.right_shift(words, 31, out=spare)
        return word
    return _mix_anywhere(word)


def _mix_anywhere(word: Tensor) -> Tensor:
    """The same on any device."""
    word = (word ^ _shift(word, 30)) * _MIX_A
    word = (word ^ _shift(word, 27)) * _MIX_B
    return word ^ _shift(word, 31)


def fold(key: Tensor, word: int | Tensor) -> Tensor:
    """Fold a number into keys: other words give unrelated keys.

    Args:
        key: Keys, int64, any shape.
        word: A seed, a turn or a stream number, int or int64 broadcastable to `key`.
    """
    step = word.to(key.device, torch.int64) * _GOLDEN if isinstance(word, Tensor) else _wrapped(word * _GOLDEN)
    return _mix(_mix(key + _GOLDEN) + step)


def uniform(key: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform numbers in (0, 1), one block of `shape` for each key.

    Args:
        key: Keys [R], int64.
        shape: Shape of one row's block.
        dtype: Floating type of the result.

    Returns:
        Numbers [R, *shape], the same for a key in every batch and on every device.
    """
    count = math.prod(shape)
    place = torch.arange(1, count + 1, device=key.device, dtype=torch.int64)
    words = _mix(key[:, None] + place * _GOLDEN)
    # 23 bits and a half step: exact in float32, never 0 or 1.
    numbers = _shift(words, 41).to(dtype).add_(0.5).div_(1 << 23)
    return numbers.reshape(key.shape[0], *shape)


def normal(key: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, one block of `shape` for each key (Box and Muller 1958).

    Args:
        key: Keys [R], int64.
        shape: Shape of one row's block.
        dtype: Floating type of the result.
    """
    radius, angle = uniform(key, (2, *shape), dtype).unbind(1)
    return (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()


def generator(seed: int, *words: int) -> torch.Generator:
    """A torch generator for (seed, words), for code that wants one: shuffles, initial weights."""
    key = torch.tensor(_wrapped(seed), dtype=torch.int64)
    for word in words:
        key = fold(key, word)
    return torch.Generator().manual_seed(int(key) & (2**63 - 1))


def digest(*parts: bytes | str | Tensor) -> str:
    """Name content by its SHA-256: tensors by type, shape and bytes; each part is preceded by its length."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            solid = part.detach().cpu().contiguous()
            # One element counts as contiguous whatever its strides are, but `view` minds them: hence strides of 1.
            flat = solid.as_strided((solid.numel(),), (1,))
            body = flat.view(torch.uint8).numpy().tobytes() if solid.numel() else b""
            part = f"{solid.dtype}{tuple(solid.shape)}".encode() + body
        content = part.encode() if isinstance(part, str) else part
        sha.update(len(content).to_bytes(8, "little") + content)
    return sha.hexdigest()


def sample_key(name: str) -> int:
    """The int64 key of a sample whose hex digest is `name`."""
    return int(name[:15], 16)


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    import PIL

    from amiss._version import __version__

    return {
        "amiss": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }
