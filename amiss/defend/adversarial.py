"""Adversarial training: the network learns from adversaries that are made against it, step by step, as it stands."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.classifier import Classifier
from amiss.defend.adversaries import adversaries, training_attack
from amiss.defend.hardening import FineTuning
from amiss.defend.retraining import Retraining
from amiss.training import Batch

__all__ = ["AdversarialLoss", "AdversarialTraining"]


@dataclass(frozen=True)
class AdversarialLoss(FineTuning):
    """Cross-entropy of images, and that of adversaries made against the network as it stands, in nats.

    Attributes:
        eps: L_inf radius of the adversaries.
        steps: Gradients that an adversary takes.
        weight: Of the adversaries' part.
        clean: Of the images' part; 0 learns from adversaries alone.
        grow: Share of the run in which the radius grows from 0 to `eps`.

    References:
        Goodfellow, Shlens and Szegedy (2015), explaining and harnessing adversarial examples, section 6.
    """

    eps: float = 8 / 255
    steps: int = 7
    weight: float = 1.0
    clean: float = 1.0
    grow: float = 0.0

    def losses(self, model: nn.Module, batch: Batch, turn: tuple[str, ...]) -> dict[str, Tensor]:
        """The loss summed over the rows; images and adversaries go through the network together."""
        self.hold(model)
        image, label = batch["image"], batch["label"]
        made = self.attack(model, batch)
        mean, std = (image.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        rows = torch.cat([image, made]) if self.reads_images else made
        logits = model((rows - mean) / std).float()
        return {"classifier": self.total(logits[: -len(label)], logits[-len(label) :], label)}

    @property
    def reads_images(self) -> bool:
        """Whether the images themselves go through the network."""
        return self.clean > 0

    def attack(self, model: nn.Module, batch: Batch) -> Tensor:
        """An adversary for each image of the batch [N, C, H, W]."""
        eps = self.eps * min(1.0, batch.fraction / self.grow) if self.grow else self.eps
        probe = training_attack(eps, self.steps, seed=batch.seed, batch=len(batch))
        classifier = Classifier(model, mean=self.mean, std=self.std)
        return adversaries(classifier, batch["image"], batch["label"], probe, batch.step)

    def total(self, clean: Tensor, made: Tensor, label: Tensor) -> Tensor:
        """`clean` L + `weight` L_adv, of logits [N, m] of images (or none of them) and of their adversaries."""
        total = self.weight * F.cross_entropy(made, label, reduction="sum")
        return total + self.clean * F.cross_entropy(clean, label, reduction="sum") if len(clean) else total


@dataclass(frozen=True)
class AdversarialTraining(Retraining):
    """Training on images and on adversaries made against the network as it stands: a `Defense`.

    The loss of a batch is `clean` L(x, y) + `weight` L(x', y). The adversaries x' are where a walk of sign steps ends
    that begins at a random point of the ball. With one step it is quick, and a network may learn to withstand that
    one step alone: the table shows it, where many steps leave much less than few.

    Attributes:
        steps: Gradients that an adversary takes.
        weight: Of the adversaries' part of the loss.
        clean: Of the images' own part; 0 learns from adversaries alone.
        grow: Share of the run in which the radius grows from 0 to `eps`, in [0, 1].

    References:
        Goodfellow, Shlens and Szegedy (2015), section 6 (the sum of two losses); Madry et al. (2018), towards deep
        learning models resistant to adversarial attacks, eq. 2.1 (`clean` = 0).
    """

    steps: int = 7
    weight: float = 1.0
    clean: float = 1.0
    grow: float = 0.3

    criterion: ClassVar[type[FineTuning]] = AdversarialLoss

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        return super().ranges() | {
            "steps": self.steps >= 1,
            "weight": 0 < self.weight < inf,
            "clean": 0 <= self.clean < inf,
            "grow": 0 <= self.grow <= 1,
        }
