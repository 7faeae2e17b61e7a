"""How well a language model predicts a text that it has not seen: bits a character."""

import math

import torch

from amiss.models import TextModel

__all__ = ["bits_per_character"]

_AT_ONCE = 128  # characters of each part in one pass


@torch.no_grad()
def bits_per_character(model: TextModel, text: str, *, rows: int = 64, warm: int = 200) -> float:
    """Mean of -log2 p(character | what stands before it) over a text.

    The text is cut into parts that are read side by side. Before each part but the first stand the `warm`
    characters before it, which are read and not counted: what lies farther back is forgotten there.

    Args:
        model: In eval mode.
        text: One character or more.
        rows: Parts; 1 reads the whole text from its beginning, which is exact, and slow.
        warm: Characters read before a part.

    Raises:
        ModelError: A character is unknown to the model.
        ContractError: The text is empty.

    References:
        Graves 2013, generating sequences with recurrent neural networks, section 3.1 (bits per character).
    """
    device = next(model.parameters()).device
    tokens = model.vocabulary.encode(text).to(device)
    model.check(tokens[None])
    size = math.ceil(len(tokens) / max(1, min(rows, len(tokens))))
    total = 0.0
    starts = torch.arange(0, len(tokens), size)
    # The first part has nothing before it, and the last may be shorter: each is read on its own.
    for start, end, before in _groups(starts.tolist(), size, len(tokens), warm):
        block = torch.stack([tokens[a - before : a + end] for a in start])
        states, last = model.states(len(block), None), None
        for at in range(0, block.shape[1], _AT_ONCE):
            x = block[:, at : at + _AT_ONCE]
            logits, states = model.continued(x, states, before=last)
            each = model.likelihood.log_probs(logits, x)
            counted = torch.arange(at, at + x.shape[1], device=device) >= before
            total -= float(each[:, counted].double().sum())
            last = x[:, -1]
    return total / len(tokens) / math.log(2)


def _groups(starts: list[int], size: int, length: int, warm: int) -> list[tuple[list[int], int, int]]:
    """Parts that are alike, to be read together: where they start, their characters, and those read before."""
    alike: dict[tuple[int, int], list[int]] = {}
    for start in starts:
        alike.setdefault((min(size, length - start), min(warm, start)), []).append(start)
    return [(group, end, before) for (end, before), group in alike.items()]
