"""How a game of two networks stands: guards against a collapse and against a discriminator that has won."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.errors import DataError
from amiss.models import Adversarial
from amiss.repro import generator
from amiss.training.batches import as_pixels

__all__ = ["Game", "diversity", "game", "won"]

_CODES = 8  # stream of randomness


def diversity(images: Tensor, reference: Tensor) -> float:
    """How far apart images are, beside others: 1 for equally far, near 0 where a generator draws one image alone.

    It is the ratio of the root mean squared distances of two different images, over all pairs of a set; that is the
    ratio of the roots of the summed variances of the pixels. A generator that lost some classes may still have a
    high one: see `amiss.training.measures.classes`.

    Args:
        images: Drawn images [n, C, H, W], bytes or floats in [0, 1].
        reference: Real images [m, C, H, W].

    Raises:
        DataError: A set has fewer than two images, they differ in shape, or the real ones are all the same.
    """
    fits = images.shape[1:] == reference.shape[1:] and min(len(images), len(reference)) >= 2
    spreads = [float(as_pixels(x).double().var(0).sum()) for x in (images, reference)] if fits else [0.0, 0.0]
    if not spreads[1]:
        raise DataError(
            "The diversity of these images cannot be told.",
            slug="diversity-images",
            seen=f"{tuple(images.shape)} and {tuple(reference.shape)}",
            needed="two sets of two images or more, of one shape, the real ones not all the same",
            hint="Pass a few hundred of each.",
        )
    return float((spreads[0] / spreads[1]) ** 0.5)


def won(losses: Sequence[float], below: float = 0.05, steps: int = 200) -> int | None:
    """The step from which a discriminator's loss stayed below a bound for so many: its generator learns no more.

    Args:
        losses: Its loss after each step, a row, in nats: `History.losses["discriminator"]`. Two coins give 1.39.
        below: The bound.
        steps: How long.

    Returns:
        The first such step, from 0; None where there is none.
    """
    run = 0
    for step, loss in enumerate(losses):
        run = run + 1 if loss < below else 0
        if run == steps:
            return step - steps + 1
    return None


@dataclass(frozen=True)
class Game:
    """Where the two players stand, on images that neither has seen.

    Attributes:
        diversity: That of the drawn images beside the real ones (see `diversity`).
        caught: Share of drawn images that the discriminator calls drawn; 0.5 is a guess.
        believed: Share of real images that it calls real. Far above 1 - caught, the generator is behind.
    """

    diversity: float
    caught: float
    believed: float

    @property
    def collapsed(self) -> bool:
        """Whether the drawn images are less than half as far apart as the real ones."""
        return self.diversity < 0.5


@torch.no_grad()
def game(model: Adversarial, images: Tensor, *, seed: int = 0, batch: int = 500) -> Game:
    """Ask both players about images [n, C, H, W], bytes or floats in [0, 1], and as many drawn ones.

    Args:
        model: In eval mode.
        images: Real images that it was not trained on, two or more.
        seed: Of the codes.
        batch: Images at a time.

    Raises:
        DataError: There are fewer than two images, or they are all the same.
        ContractError: They are of another size than the model's.
    """
    parts = torch.split(images, batch)
    drawn = [model.sample(len(part), generator=generator(seed, _CODES, i)) for i, part in enumerate(parts)]
    believed = torch.cat([model.discriminate(as_pixels(part)) > 0 for part in parts])
    caught = torch.cat([model.discriminate(part) <= 0 for part in drawn])
    shares = (float(answers.double().mean()) for answers in (caught, believed))
    return Game(diversity(torch.cat(drawn), images), *shares)
