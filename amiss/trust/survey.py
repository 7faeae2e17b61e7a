"""All that can be asked about trust of a classifier and an attack: before it, its files, and after it."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from amiss.classifier import Check, Classifier
from amiss.data import Images
from amiss.errors import AmissError
from amiss.probe import Probe
from amiss.reading import Pace
from amiss.result import Result
from amiss.spaces.latent import Codec
from amiss.trust.after import after
from amiss.trust.before import before
from amiss.trust.flags import Flag, votes_for
from amiss.trust.measuring import seeded
from amiss.trust.verify import Verified, verify

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """What a survey found.

    Attributes:
        flags: One flag a kind; those after the attack are missing where it could not run.
        raised: Slug of the error that kept the attack from running, or empty.
        result: The attack's result.
        verified: What its files hold.
    """

    flags: tuple[Flag, ...]
    raised: str = ""
    result: Result | None = None
    verified: Verified | None = None

    @property
    def fired(self) -> frozenset[str]:
        """Slugs of the flags that fired."""
        return frozenset(flag.slug for flag in self.flags if flag.fired)


def survey(
    classifier: Classifier,
    images: Images,
    probe: Probe,
    *,
    accuracy: float | None = None,
    decoder: Codec | None = None,
    seed: int = 0,
) -> Survey:
    """Measure the flags before, attack, verify the attack's files, and measure the flags after.

    Args:
        classifier: Who is asked.
        images: Labeled images.
        probe: The attack.
        accuracy: The accuracy that the classifier's owner knows, in [0, 1].
        decoder: What LSE would search along.
        seed: Of every draw.
    """
    flags = before(classifier, images, accuracy=accuracy, decoder=decoder, batch=probe.batch, seed=seed)

    def checked(rows: Tensor) -> Check:
        return classifier.check(images.pixels[rows], images.truth[rows], batch=len(rows))

    with seeded(classifier.device, seed), TemporaryDirectory() as folder:
        try:
            list(Pace(probe.batch).over(torch.arange(len(images)), checked))
            result = probe.run(classifier, images.task())
            paths = [Path(folder, f"{i}.png") for i in range(len(images))]
            votes = votes_for(flags)
            verified = verify(probe, classifier, result.task, result.images, paths, result.p, votes)
        except AmissError as error:
            return Survey(flags, error.slug)
    flags += after(probe, classifier, result, verified=verified, seed=seed)
    return Survey(flags, "", result, verified)
