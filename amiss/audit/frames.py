"""What the classifier says of the images that a report shows."""

from math import isfinite

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images

__all__ = ["class_names", "number", "read_frames"]


def read_frames(classifier: Classifier, frames: Tensor, label: int) -> tuple[list[float | None], list[int]]:
    """How far a label's logit is ahead in each image, and the classifier's answer.

    Args:
        classifier: Who is asked.
        frames: uint8 [n, C, H, W].
        label: Whose logit is compared with the largest of the others.
    """
    with torch.no_grad():
        logits = classifier.outputs(frames.to(torch.float32) / 255)["answer"].cpu()
    others = logits.clone()
    others[:, label] = -torch.inf
    return [number(gap) for gap in (logits[:, label] - others.amax(1)).tolist()], logits.argmax(1).tolist()


def class_names(images: Images, classifier: Classifier) -> tuple[str, ...]:
    """Names of the classes: the classifier's own, or, where these are bare numbers, the data's."""
    own = classifier.labels or images.classes  # a classifier that was asked nothing yet may know no names
    return images.classes if own == tuple(map(str, range(len(own)))) and len(images.classes) == len(own) else own


def number(value: float) -> float | None:
    """A number that JSON has a word for: a network may answer NaN far from what it was trained on."""
    return value if isfinite(value) else None
