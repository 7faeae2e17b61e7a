"""Recipes of captioners, for images with sentences of a drawn world."""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.data.images import Images
from amiss.data.worlds.captions import grammar_of, words_of
from amiss.models import Captioner, Vocabulary
from amiss.models.recurrent import CellName
from amiss.models.vocabulary import END
from amiss.training.batches import as_pixels
from amiss.training.kind import Kind, images_of
from amiss.training.losses import CaptionLoss
from amiss.training.measures.captions import sentence_figures
from amiss.training.preset import Preset, fast, preset_of, several, square

__all__ = ["CAPTIONER", "captioner_for", "plain_sentences"]


def captioner_for(
    images: Images,
    *,
    width: int = 16,
    hidden: int = 128,
    cell: CellName = "lstm",
    seed: int = 0,
    epochs: float | None = None,
) -> Preset:
    """A captioner for square images with captions of a drawn world.

    It learns the plain wording of what each caption means, so that there is one right answer for each image.

    Args:
        images: The training images, each with its caption.
        width: Channels of the encoder's first maps.
        hidden: Numbers in the state of a cell.
        cell: Which cells: rnn, lstm, lstm-sigmoid or gru.
        seed: Of weights and order.
        epochs: Passes over the images; by default 60, or 700 steps, which take some 20 seconds.

    Raises:
        DataError: The images have no captions of a known world, are not square, or there is only one.
    """
    channels, size = square(images)
    several(images)
    words = sorted({word for text in plain_sentences(images) for word in text.split()})
    length = max(len(text.split()) for text in plain_sentences(images))
    arguments = {
        "words": words, "channels": channels, "size": size, "length": length, "width": width, "hidden": hidden,
        "cell": cell,
    }  # fmt: skip
    long: dict[str, Any] = (
        {"steps": min(700, 60 * max(1, len(images) // 64))} if epochs is None else {"epochs": epochs}
    )
    return preset_of(
        "captioner",
        "Captioner",
        arguments,
        CaptionLoss(),
        **long,
        batch=64,
        rate=1e-3,
        clip=1.0,
        seed=seed,
        **fast(size),
    )


def plain_sentences(images: Images) -> list[str]:
    """For each caption the plain wording of what it means.

    Raises:
        DataError: The images have no captions of a known world.
    """
    grammar = grammar_of(images.captions)
    return [" ".join(words_of(grammar.say(grammar.read(caption)))) for caption in images.captions]


def _data(preset: Preset, images: Images) -> dict[str, Tensor]:
    """Images, and the tokens of their sentences."""
    arguments = preset.model["arguments"]
    vocabulary = Vocabulary((*arguments["words"], END), words=True)
    return images_of(preset, images) | {"tokens": vocabulary.rows(plain_sentences(images), arguments["length"])}


@torch.no_grad()
def _figures(model: nn.Module, _: Preset, test: Images) -> dict[str, float]:
    """Sentences told exactly, words told right, BLEU where there is a library for it, and nats a sentence."""
    assert isinstance(model, Captioner)  # noqa: S101
    right, said, nats = plain_sentences(test), [], 0.0
    for start in range(0, len(test), 250):
        x = as_pixels(test.pixels[start : start + 250])
        said += model.answer(x)
        nats -= float(model.log_prob(right[start : start + 250], x).double().sum())
    return {**sentence_figures(said, right), "nats": nats / len(test)}


CAPTIONER = Kind(
    "captioner", "Sentences about images, word by word.", captioner_for, _figures, bound="exact", data=_data
)
