"""Static augmentation: adversaries that are made once, against the network as given, join the training images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.data import Images, to_bytes
from amiss.defend.adversaries import adversaries, training_attack
from amiss.defend.retraining import Retraining
from amiss.defend.workshop import Workshop

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation(Retraining):
    """Training on images and on adversaries of them, right labeled, that are made once and kept as 8-bit images.

    They fool the network as it was given. What the network becomes is attacked anew by the table, and only that tells
    what it has gained: a `Defense`.

    Attributes:
        steps: Gradients that an adversary takes.

    References:
        Szegedy et al. (2014), intriguing properties of neural networks, section 4.2 (training on a pool of them).
    """

    steps: int = 7

    def ranges(self) -> dict[str, bool]:
        """Whether each setting can mean something, by name."""
        return super().ranges() | {"steps": self.steps >= 1}

    def lessons(self, shop: Workshop, classifier: Classifier, train: Images) -> dict[str, Tensor]:
        """The images, and as many adversaries of them."""
        made = shop.tensors("adversaries", lambda: {"image": self._made(shop, classifier, train)})["image"]
        return {"image": torch.cat([train.pixels, made]), "label": train.truth.repeat(2)}

    def _made(self, shop: Workshop, classifier: Classifier, train: Images) -> Tensor:
        """An adversary of each image, as bytes."""
        probe, parts = training_attack(self.eps, self.steps, seed=self.seed, batch=self.batch), []
        for i, rows in enumerate(torch.arange(len(train)).split(self.batch)):
            shop.tell("Making adversaries", i * self.batch, len(train))
            image, label = (t.to(classifier.device) for t in (train.images(rows), train.truth[rows]))
            parts.append(to_bytes(adversaries(classifier, image, label, probe, i)).cpu())
        return torch.cat(parts)
