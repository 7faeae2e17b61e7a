"""What a critic of images and sentences knows: whether it takes right sentences, and rejects nearly right ones."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.data.images import Images
from amiss.data.worlds.captions import Grammar, grammar_of
from amiss.models import StackGAN
from amiss.repro import generator
from amiss.training.batches import as_pixels

__all__ = ["critic_figures", "nearly_right"]


def nearly_right(labels: Sequence[Sequence[int]], grammar: Grammar, seed: int) -> list[str]:
    """A sentence for each row of labels that is wrong in one of them alone.

    The label that is changed is drawn first, evenly among those that can be changed alone, then its value among all
    that give a sentence, then a wording.

    Args:
        labels: What the right sentences mean [n][L].
        grammar: Of the sentences.
        seed: Of the draws.
    """
    sentences = []
    for i, row in enumerate(labels):
        draw = torch.rand(3, generator=generator(seed, i)).tolist()
        near: dict[int, list[list[int]]] = {}
        for at, names in enumerate(grammar.values):
            others = [[*row[:at], value, *row[at + 1 :]] for value in range(len(names)) if value != row[at]]
            if there := [other for other in others if grammar.means(other)]:
                near[at] = there
        chosen = list(near.values())[int(draw[0] * len(near))]
        sentences.append(grammar.say(chosen[int(draw[1] * len(chosen))], draw[2]))
    return sentences


@torch.no_grad()
def critic_figures(model: StackGAN, images: Images, seed: int = 0) -> dict[str, float]:
    """Shares of real images for which the critic takes the right sentence, and rejects one that is nearly right.

    Args:
        model: In eval mode, on the CPU.
        images: With captions; those larger than the model's own images are reduced.
        seed: Of the wrong sentences.

    Returns:
        `text_understood`: the share of sentences of whose code the encoder's heads tell all labels.
        `accepts_right`: the share with a logit above 0 for the right sentence.
        `rejects_wrong`: the share with a logit below 0, and below that of the right sentence, for one that is wrong
        in a single label.

    Raises:
        DataError: The images have no captions of a drawn world.
    """
    grammar = grammar_of(images.captions)
    labels = [list(grammar.read(caption)) for caption in images.captions]
    tokens, others = model.read(images.captions), model.read(nearly_right(labels, grammar, seed))
    pixels: Tensor = as_pixels(images.pixels)
    if pixels.shape[-1] > model.side:
        pixels = F.avg_pool2d(pixels, pixels.shape[-1] // model.side)
    right, wrong = model.fits(pixels, tokens), model.fits(pixels, others)
    told = torch.stack([logits.argmax(1) for logits in model.text.told(model.text(tokens))], 1)
    return {
        "text_understood": float((told == torch.tensor(labels)).all(1).float().mean()),
        "accepts_right": float((right > 0).float().mean()),
        "rejects_wrong": float(((wrong < 0) & (wrong < right)).float().mean()),
    }
