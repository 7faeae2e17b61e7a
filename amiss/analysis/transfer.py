"""What other models say of images that were made for one: beside random noise of equal size, and beside no change."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from amiss.classifier import Classifier
from amiss.errors import ModelError
from amiss.repro import fold, uniform
from amiss.task import reaches
from amiss.trust import wilson

__all__ = ["Kept", "Tally", "Transfer", "keeps", "random_signs", "seen_at", "transfer"]

_TOP = 5


@dataclass(frozen=True)
class Tally:
    """What one model says of n images, beside what it says of the n sources that they were made from.

    Attributes:
        n: Images.
        changed: Those it names otherwise than their source.
        guide: Those it names as their guide is labeled.
        top: Those with the guide's label among its five highest.
    """

    n: int
    changed: int
    guide: int
    top: int

    @property
    def shares(self) -> dict[str, tuple[float, float, float]]:
        """Each count as a share with its 95 % interval: (share, low, high)."""
        counts = {"changed": self.changed, "guide": self.guide, "top": self.top}
        return {name: (k / self.n if self.n else 0.0, *wilson(k, self.n)) for name, k in counts.items()}


@dataclass(frozen=True)
class Transfer:
    """What one model makes of images that were made for another.

    Attributes:
        made: Of the images.
        noise: Of the sources with random signs of each image's own largest change: what any change of that size does.
        right: Sources that it names by their label as they are: what resizing to its own side leaves of its answers.
        side: The side that images were brought to; None where it was shown them as they are.
    """

    made: Tally
    noise: Tally
    right: int
    side: int | None


@dataclass(frozen=True)
class Kept:
    """What one model makes of n images, each made to be called by a label of another.

    Attributes:
        n: Images.
        first: Those it calls by that label.
        top: Those with that label among its five highest; None where it has no more than five, or tells labels alone.
        sure: Those it calls by any label with the confidence that was asked for; None where it tells labels alone.
        chance: Share that it would call by their labels if these were dealt out anew among the images.
        side: The side that images were brought to; None where it was shown them as they are.
    """

    n: int
    first: int
    top: int | None
    sure: int | None
    chance: float
    side: int | None


def random_signs(source: Tensor, made: Tensor, key: Tensor, seed: int = 0) -> Tensor:
    """The sources with every value moved up or down by chance, each image as far as its counterpart moved at most.

    Args:
        source: Images [n, C, H, W], uint8.
        made: What was made of them [n, C, H, W], uint8.
        key: Keys of the samples [n], int64: the noise of one does not depend on the others.
        seed: Of the signs.

    Returns:
        Images [n, C, H, W], uint8; values stay in 0..255, so that near an end they move less.
    """
    apart = (made.to(torch.int16) - source.to(torch.int16)).abs().flatten(1).amax(1)
    signs = (uniform(fold(fold(key, seed), 11), source.shape[1:]) < 0.5).to(torch.int16) * 2 - 1
    return (source.to(torch.int16) + apart[:, None, None, None] * signs).clamp(0, 255).to(torch.uint8)


def transfer(
    classifier: Classifier,
    source: Tensor,
    made: Tensor,
    label: Tensor,
    guide: Tensor,
    key: Tensor,
    *,
    seed: int = 0,
    batch: int = 64,
) -> Transfer:
    """Show images to a model that they were not made for, or, as the first row of a table, to the one they were.

    Images of another side than the model's own (`classifier.size`) are brought to that, bilinearly with
    antialiasing: sources, images and noise alike.

    Args:
        classifier: Who is asked.
        source: The images before they were changed [n, C, H, W], uint8.
        made: What was made of them, as their files hold it [n, C, H, W], uint8.
        label: Labels of the sources [n].
        guide: Labels of the guides, or targets [n].
        key: Keys of the samples [n].
        seed: Of the noise.
        batch: Images a pass.

    Raises:
        ModelError: The model knows fewer classes than the labels have.

    References:
        Sabour, Cao, Faghri and Fleet (2016), adversarial manipulation of deep representations, section 3 (how many
        adversaries of one network are misclassified by others); the control by noise is ours.
    """
    noisy = random_signs(source, made, key, seed)
    side = _side(classifier, source)
    before, after, beside = (_top(_logits(classifier, x, side, batch)) for x in (source, made, noisy))
    _refuse_fewer(classifier, torch.cat([label, guide]))
    right = int((before[:, 0] == label).sum())
    return Transfer(_tally(after, before, guide), _tally(beside, before, guide), right, side)


def keeps(
    classifier: Classifier, images: Tensor, label: Tensor, *, confidence: float = 0.99, batch: int = 64
) -> Kept:
    """Show images that were made from nothing to a model that they were not made for, or to the one they were.

    Images of another side than the model's own are brought to that as by `transfer`.

    Args:
        classifier: Who is asked.
        images: As their files hold them [n, C, H, W], uint8; one or more.
        label: What the model that they were made for calls each [n].
        confidence: Softmax probability that is sure, in (0, 1).
        batch: Images a pass.

    Raises:
        ModelError: The model knows fewer classes than the labels have.

    References:
        Nguyen, Yosinski and Clune (2015), deep neural networks are easily fooled (whether images that fool one
        network fool another); dealing the labels out anew is ours.
    """
    side = _side(classifier, images)
    logits = _logits(classifier, images, side, batch)
    _refuse_fewer(classifier, label)
    top = _top(logits)
    among = sure = None
    if reaches(classifier.gives, "loss"):
        sure = int((logits.double().softmax(1).amax(1) >= confidence).sum())
        among = int((top == label[:, None]).any(1).sum()) if logits.shape[1] > _TOP else None
    said, meant = (torch.bincount(part, minlength=logits.shape[1]).double() for part in (top[:, 0], label))
    chance = float((said * meant).sum()) / len(label) ** 2
    return Kept(len(label), int((top[:, 0] == label).sum()), among, sure, chance, side)


def seen_at(classifier: Classifier, side: int) -> Classifier:
    """The same classifier for images of another side, which it brings to its own as `transfer` does.

    A gradient leads through that, so that images of one side can be made for models of several.

    Args:
        classifier: Whose own side may be another.
        side: Of the images.
    """
    if classifier.size in (None, side):
        return classifier
    given: dict[str, Any] = {"labels": classifier.labels, "gives": classifier.gives, "device": classifier.device}
    return Classifier(_Brought(classifier), **given)


class _Brought(nn.Module):
    """A classifier's logits of images that are brought to its side first."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.network = classifier.network if isinstance(classifier.network, nn.Module) else None

    def forward(self, x: Tensor) -> Tensor:
        assert self.classifier.size is not None  # noqa: S101 - else nothing had to be brought anywhere
        return self.classifier.outputs(_brought(x, self.classifier.size))["answer"]


def _brought(x: Tensor, side: int) -> Tensor:
    made = functional.interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return made.clamp(0, 1)


def _side(classifier: Classifier, pixels: Tensor) -> int | None:
    """The side that images are brought to; None where they are shown as they are."""
    return None if classifier.size in (None, pixels.shape[-1]) else classifier.size


def _refuse_fewer(classifier: Classifier, label: Tensor) -> None:
    classes = len(classifier.labels or ())
    if len(label) and classes <= (most := int(label.max())):
        raise ModelError(
            "The images cannot be shown to a model of other classes.",
            slug="transfer-classes",
            seen=f"{classes} classes, and labels up to {most}",
            needed="the same classes in the same order",
            hint="Leave that model out of --transfer, or give one that was trained on the same classes.",
        )


@torch.no_grad()
def _logits(classifier: Classifier, pixels: Tensor, side: int | None, batch: int) -> Tensor:
    """What a model answers to images uint8 [n, C, H, W], brought to its side: [n, classes]."""
    found = []
    for part in pixels.split(batch):
        x = part.to(torch.float32) / 255
        if side is not None:
            x = _brought(x, side)
        found.append(classifier.outputs(x)["answer"].cpu())
    return torch.cat(found)


def _top(logits: Tensor) -> Tensor:
    """The highest labels of each image, the first first: [n, 5 or all]."""
    return logits.topk(min(_TOP, logits.shape[1]), dim=1).indices


def _tally(seen: Tensor, before: Tensor, guide: Tensor) -> Tally:
    first = seen[:, 0]
    counts = first != before[:, 0], first == guide, (seen == guide[:, None]).any(1)
    return Tally(len(seen), *(int(part.sum()) for part in counts))
