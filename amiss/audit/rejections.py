"""Which rules of rejection let nonsense pass: rules fitted on some images of an audit, and its fooling images."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.analysis.rejection import (
    DETECTORS,
    Detectors,
    Figure,
    Mahalanobis,
    RelativeMahalanobis,
    accepted_share,
    fit_detectors,
    score_images,
    threshold_at,
)
from amiss.audit.desk import Desk
from amiss.audit.figures import CHEAP, percent
from amiss.audit.fooling import Fooling
from amiss.audit.imposters import last_hidden
from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.errors import DataError, ModelError
from amiss.repro import generator

__all__ = ["LEAST", "Rejected", "fit_rules", "halves", "in_words", "refused", "too_few"]

LEAST = 50
"""Images that rules are fitted on, and images that thresholds are told from: no fewer of either."""

_SOME = 500  # images a half


@dataclass(frozen=True)
class Rejected:
    """What rules of rejection make of the fooling images of an audit.

    Attributes:
        n: Different fooling images that hold in their files.
        accepted: The share of them that each rule lets pass, with Wilson's interval, by its name.
        fitted: Rightly classified images that the rules were fitted on.
        told: Others that the thresholds were told from: 95 % of such images are let pass.
        layer: Whose features the rules of features read; "answer" where there is none.
        left_out: Why a rule is not among them, by its name.
    """

    n: int
    accepted: Mapping[str, Figure]
    fitted: int
    told: int
    layer: str
    left_out: Mapping[str, str]

    @property
    def figures(self) -> dict[str, float]:
        """The shares rejected, by the names that gates use."""
        return {f"rejected.{rule.replace(' ', '_')}.fooling": 1 - one.value for rule, one in self.accepted.items()}

    @property
    def sentence(self) -> str:
        """Which rule lets the fewest pass, and which let all of them."""
        return in_words({name: one.value for name, one in self.accepted.items()}, self.n, "fooling image")


def refused(desk: Desk, images: Images, predicted: Tensor, fooling: Fooling) -> tuple[Rejected | None, str]:
    """Show the fooling images to the cheap rules.

    Args:
        desk: Where the classifier is asked.
        images: Labeled images.
        predicted: The classifier's answers [n].
        fooling: What was found.

    Returns:
        What the rules made of them, or why they were not asked; neither where nothing fools.
    """
    if not bool(fooling.verified.any()):
        return None, ""
    one, other = halves(len(images), desk.plan.seed, _SOME)
    right = one[predicted[one] == images.truth[one]]
    if why := too_few(right, other):
        return None, why
    desk.tell("Showing fooling images to rules of rejection", 0, 1)
    nonsense = to_bytes(fooling.result.images[fooling.verified]).unique(dim=0).float() / 255
    classifier, batch = desk.classifier, desk.plan.batch
    try:
        layer, found = fit_rules(classifier, images.pick(right), batch, CHEAP)
        natural, _ = score_images(classifier, found.rules, images.images(other), batch)
        scores, _ = score_images(classifier, found.rules, nonsense, batch)
        shares = {name: accepted_share(score, threshold_at(natural[name])) for name, score in scores.items()}
    except (DataError, ModelError) as error:
        return None, f"{error.what[:1].lower()}{error.what[1:].rstrip('.')}"
    return Rejected(len(nonsense), shares, len(right), len(other), layer, found.left_out), ""


def halves(n: int, seed: int, most: int) -> tuple[Tensor, Tensor]:
    """Positions of images to fit rules on, and of as many others to tell thresholds from, int64.

    Args:
        n: How many images there are.
        seed: Of the draw.
        most: Of a half.
    """
    drawn = torch.randperm(n, generator=generator(seed, 26))[: 2 * most]
    one, other = drawn.tensor_split(2)
    return one, other


def too_few(fitted: Sized, others: Sized) -> str:
    """Why these images do not suffice; empty where they do.

    Args:
        fitted: Rightly classified images to fit rules on, or their positions.
        others: Those to tell thresholds from.
    """
    if min(len(fitted), len(others)) >= LEAST:
        return ""
    return (
        f"there are {len(fitted)} rightly classified images to fit rules on and {len(others)} others to tell "
        f"thresholds from, and {LEAST} of each are needed"
    )


def fit_rules(
    classifier: Classifier, fitted: Images, batch: int, only: tuple[str, ...] = DETECTORS
) -> tuple[str, Detectors]:
    """Fit rules at the last hidden layer, without those that there are no features or too few images for.

    Args:
        classifier: Who is asked.
        fitted: Labeled images, two or more.
        batch: Images a pass.
        only: Names of the rules wanted.

    Returns:
        The layer, and the rules.

    Raises:
        ModelError: Features or logits that are not finite.
    """
    layer = last_hidden(classifier, fitted.images(slice(2)))
    hidden = None if layer == "answer" else layer
    few = len(fitted) < 2 * len(fitted.truth.unique())
    apart = [name for name in (Mahalanobis.name, RelativeMahalanobis.name) if few and name in only]
    rest = tuple(name for name in only if name not in apart)
    found = fit_detectors(classifier, hidden, fitted.images(), fitted.truth, only=rest, batch=batch)
    reading = "it reads features, and "
    left_out = {
        name: f"{reading}no hidden layer was found" if why.startswith(reading) else why
        for name, why in found.left_out.items()
    }
    left_out |= dict.fromkeys(apart, "there are fewer than two images a class to fit it on")
    return layer, Detectors(found.rules, left_out)


def in_words(shares: Mapping[str, float], n: int, what: str) -> str:
    """Which rule lets the fewest pass, and which let all of them, in one or two sentences.

    Args:
        shares: Let pass, by rule; one or more.
        n: How many images there are.
        what: One of them, without an article: "champion".
    """
    least = min(shares, key=shares.__getitem__)
    every = [name for name, share in shares.items() if share == 1]
    these = f"{n:,} {what}s that the model is sure of" if n > 1 else f"the one {what} that the model is sure of"
    if shares[least] == 1:
        return f"No rule rejects {'a single one of ' if n > 1 else ''}{these}."
    text = f"Of {these}, the rule {least} lets the fewest pass: "
    text += f"{percent(shares[least])}." if shares[least] else "none."
    if every:
        names = every[0] if len(every) == 1 else f"{', '.join(every[:-1])} and {every[-1]}"
        text += f" All of them pass {names}."
    return text
