"""Recipes of language models of characters."""

from typing import Any

from torch import Tensor, nn

from amiss.data.text import Text
from amiss.errors import DataError, UsageError
from amiss.models import TextModel, Vocabulary
from amiss.models.recurrent import CellName
from amiss.training.kind import Kind
from amiss.training.losses import TokenLoss
from amiss.training.measures.texts import bits_per_character
from amiss.training.preset import Preset, fast, preset_of

__all__ = ["TEXT", "text_for"]

_BATCH = 16  # rows a step
_WIDE = 128  # numbers in a state from which reduced precision gains time


def text_for(
    text: Text,
    *,
    hidden: int = 256,
    layers: int = 1,
    cell: CellName = "lstm",
    window: int = 100,
    warm: int = 20,
    dropout: float = 0.0,
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A recurrent network that predicts a text character by character.

    Args:
        text: What it learns from.
        hidden: Numbers in the state of a cell.
        layers: Layers of cells, one above the other.
        cell: Which cells: rnn, lstm, lstm-sigmoid (the book's candidate) or gru.
        window: Characters that a gradient flows through.
        warm: Characters read before each window to set the state. A text no longer than both is one row.
        dropout: Share of the states' numbers that are left out while training: for many passes over a short text.
        seed: Of weights and order.
        epochs: Passes over the text; by default what fits in a few minutes.

    Raises:
        DataError: The text has fewer than two characters.
        UsageError: A window of no characters, or less than nothing before it.
    """
    if window < 1 or warm < 0:
        raise UsageError(
            "There are no such windows of a text.",
            slug="text-window",
            seen=f"window={window}, warm={warm}",
            needed="a window of one character or more, and none or more before it",
            hint="Leave both out for windows of 100 characters with 20 before each.",
        )
    if len(text) < 2:
        raise DataError(
            "One character is too few to learn from.",
            slug="text-short",
            seen=f"{len(text)} of them",
            needed="two or more",
            hint="Give a longer text.",
        )
    if len(text) <= warm + window:  # one row from the beginning of the text to its end
        warm, window = 0, len(text)
    arguments = {
        "symbols": list(text.symbols),
        "length": 2 * window,
        "hidden": hidden,
        "cell": cell,
        "layers": layers,
        "dropout": dropout,
    }
    length: dict[str, Any] = {"epochs": epochs}
    if epochs is None:  # some 300 steps for the shortest text, and ten passes or fewer over a long one
        length = {"steps": max(300, min(6000, 20 * _windows(len(text), warm, window) // _BATCH))}
    # Small batches: at this length of training a network gains more by steps than by how exact each is.
    return preset_of(
        "text", "TextModel", arguments, TokenLoss(warm), **length, batch=_BATCH, rate=1e-2, clip=1.0, seed=seed,
        precision=fast()["precision"] if hidden >= _WIDE else "float32",
    )  # fmt: skip


def _windows(length: int, warm: int, window: int) -> int:
    """How many windows a text of so many characters has."""
    return max(1, (length - warm) // window)


def _rows(preset: Preset, text: Text) -> dict[str, Tensor]:
    """Windows [n, warm + window] of the text, each with the characters before it."""
    assert isinstance(preset.loss, TokenLoss)  # noqa: S101
    warm, window = preset.loss.warm, preset.model["arguments"]["length"] // 2
    tokens = Vocabulary(tuple(preset.model["arguments"]["symbols"])).encode(text.characters)
    size = min(warm + window, len(tokens))
    return {"tokens": tokens.unfold(0, size, window)}


def _figures(model: nn.Module, _: Preset, test: Text) -> dict[str, float]:
    """Bits a character of the text."""
    assert isinstance(model, TextModel)  # noqa: S101
    return {"bits_per_character": bits_per_character(model, test.characters)}


TEXT = Kind(
    "text", "A language model of characters: it continues a text.", text_for, _figures, bound="exact", data=_rows,
    source="text", counts="characters",
)  # fmt: skip
