"""What every measurement of trust shares: which images, a randomness of its own, and a failure that is told."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.errors import AmissError
from amiss.reading import Pace
from amiss.repro import generator
from amiss.trust.flags import Flag, unmeasured

__all__ = ["SAMPLE", "Progress", "asked", "attempt", "grain", "near", "sample", "seeded"]

SAMPLE = 32
"""Images that a measurement looks at, at most."""

_FAR = 100.0  # behind the highest logit: a probability of exp(-100), which no one can tell from none

Progress = Callable[[str, int, int], None]
"""Told what is being measured, how many measurements are done, and of how many."""


def sample(labels: Tensor | None, n: int, seed: int, most: int = SAMPLE) -> Tensor:
    """Positions of at most `most` of n images, drawn by the seed, as many of each class as can be; in order.

    Args:
        labels: Labels [n], or None.
        n: How many there are.
        seed: Of the draw.
        most: How many are wanted.
    """
    order = torch.randperm(n, generator=generator(seed, 2))
    if labels is not None:
        taken: Counter[int] = Counter()
        turns = []  # how manieth of its class each is
        for label in labels[order].tolist():
            turns.append(taken[label])
            taken[label] += 1
        order = order[torch.tensor(turns, dtype=torch.int64).argsort(stable=True)]
    return order[:most].sort().values


def attempt(slugs: Sequence[str], measure: Callable[[], Sequence[Flag]]) -> tuple[Flag, ...]:
    """What `measure` finds; where the model fails under it, so many flags that say why nothing was measured."""
    try:
        return tuple(measure())
    except Exception as error:  # somebody else's network may raise anything
        said = error.what if isinstance(error, AmissError) else f"{type(error).__name__}: {error}"
        why = said.partition("\n")[0][:200]
        return tuple(unmeasured(slug, f"The measurement failed. {why}") for slug in slugs)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's global randomness begins at the seed, for networks that draw from it, and is afterwards as it was."""
    cuda = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def asked(classifier: Classifier, x: Tensor, pace: Pace) -> Tensor:
    """Logits [N, m] of images [N, C, H, W] in [0, 1], on the CPU."""
    with torch.no_grad():
        parts = pace.over(
            torch.arange(len(x)), lambda rows: classifier.outputs(_there(classifier, x[rows]))["answer"]
        )
        return torch.cat([part.cpu() for part in parts])


def near(logits: Tensor) -> Tensor:
    """Logits [N, m] with those that lie hopelessly far behind the highest brought nearer.

    Owners switch classes off by a logit of -1e4 or minus infinity: measured against that, all else is nothing.
    """
    return torch.maximum(logits, logits.amax(1, keepdim=True) - _FAR)


def grain(classifier: Classifier, x: Tensor) -> float:
    """The relative precision of the numbers that the network computes with; convolutions round on a GPU."""
    shown = classifier.shown(_there(classifier, x[:1]))
    precise = torch.finfo(shown.dtype).eps
    return max(precise, 2.0**-10) if shown.is_cuda and shown.dtype == torch.float32 else precise


def _there(classifier: Classifier, x: Tensor) -> Tensor:
    return x.to(classifier.device)
