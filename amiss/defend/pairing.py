"""Logit pairing: what a network says of an image and of its adversary is drawn together."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.defend.adversarial import AdversarialLoss
from amiss.defend.hardening import FineTuning
from amiss.defend.retraining import Retraining
from amiss.training import Batch

__all__ = ["FORMS", "Form", "LogitPairing", "PairingLoss"]

Form = Literal["lecture", "adversarial", "clean"]
"""Which loss: see `PairingLoss`."""

FORMS: tuple[Form, ...] = ("lecture", "adversarial", "clean")


@dataclass(frozen=True)
class PairingLoss(AdversarialLoss):
    """Cross-entropy, and the squared distance of paired logits f, summed over classes and rows.

    - "lecture": L(x, y) + weight |f(x) - f(x')|^2, x' the adversary of x.
    - "adversarial": (L(x, y) + L(x', y)) / 2 + weight |f(x) - f(x')|^2, as it was published.
    - "clean": L(x, y) + weight |f(x) - f(z)|^2, where z is another image of the batch, and noise is upon both. Row i
      is paired with row i + N / 2, each pair once; adversaries have no part in it.

    Attributes:
        form: Which of them.
        noise: Standard deviation of the noise of "clean", in pixel values of [0, 1].

    References:
        Kannan, Kurakin and Goodfellow (2018), adversarial logit pairing, eq. 1 and section 3.2 (clean logit pairing).
    """

    form: Form = "lecture"
    noise: float = 0.0

    def attack(self, model: nn.Module, batch: Batch) -> Tensor:
        """The adversaries; of "clean" the images themselves under noise."""
        if self.form != "clean":
            return super().attack(model, batch)
        image = batch["image"]
        return image + self.noise * torch.randn(image.shape, generator=batch.generator()).to(image)

    @property
    def reads_images(self) -> bool:
        """Whether the images themselves go through the network."""
        return self.form != "clean"

    def total(self, clean: Tensor, made: Tensor, label: Tensor) -> Tensor:
        """The loss of logits [N, m] of images (none of them for "clean") and of what was made of them."""
        theirs = F.cross_entropy(made, label, reduction="sum")
        if self.form == "clean":
            half = len(made) // 2
            return theirs + self.weight * (made[:half] - made[half : 2 * half]).square().sum()
        own = F.cross_entropy(clean, label, reduction="sum")
        apart = self.weight * (clean - made).square().sum()
        return own + apart if self.form == "lecture" else (own + theirs) / 2 + apart


@dataclass(frozen=True)
class LogitPairing(Retraining):
    """Training that draws the logits of an image and of its adversary together: a `Defense`.

    It is known to mislead attacks of few steps. Read `robust_many` and `robust_worst`, and not `robust_few`.

    Attributes:
        form: "lecture", "adversarial" or "clean": which loss, see `PairingLoss`.
        weight: Of the pairing.
        steps: Gradients that an adversary takes.
        noise: Standard deviation of the noise of "clean", in pixel values of [0, 1].
        grow: Share of the run in which the radius grows from 0 to `eps`, in [0, 1].

    References:
        Kannan, Kurakin and Goodfellow (2018), adversarial logit pairing; Engstrom, Ilyas and Athalye (2018),
        evaluating and understanding the robustness of adversarial logit pairing.
    """

    form: Form = "lecture"
    weight: float = 0.5
    steps: int = 7
    noise: float = 0.5
    grow: float = 0.3

    criterion: ClassVar[type[FineTuning]] = PairingLoss

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        return super().ranges() | {
            "form": self.form in FORMS,
            "steps": self.steps >= 1,
            "weight": 0 < self.weight < inf,
            "noise": 0 <= self.noise < inf,
            "grow": 0 <= self.grow <= 1,
        }
