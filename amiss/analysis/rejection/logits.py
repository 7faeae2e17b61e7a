"""Rules that read the logits alone: softmax, maximum, energy, and ODIN, which looks twice."""

from dataclasses import dataclass

import torch
from torch import Tensor

from amiss.classifier import Classifier
from amiss.foreign import gradient
from amiss.objectives import Rule
from amiss.objectives.objective import View

__all__ = ["ODIN", "Energy", "MaxLogit", "MaxSoftmax"]


@dataclass(frozen=True)
class MaxSoftmax(Rule):
    """MSP: the highest softmax probability, in (0, 1].

    References:
        Hendrycks and Gimpel (2017), a baseline for detecting misclassified and out-of-distribution examples,
        section 2.
    """

    name = "msp"

    def of(self, outputs: View) -> Tensor:
        """max_c p_c [N]."""
        return _logits(outputs).softmax(1).amax(1)


@dataclass(frozen=True)
class MaxLogit(Rule):
    """The highest logit.

    References:
        Hendrycks, Basart, Mazeika et al. (2022), scaling out-of-distribution detection for real-world settings,
        section 3.
    """

    name = "max logit"

    def of(self, outputs: View) -> Tensor:
        """max_c f_c [N]."""
        return _logits(outputs).amax(1)


@dataclass(frozen=True)
class Energy(Rule):
    """The negative free energy at temperature 1, the logarithm of the summed exponentials of the logits.

    Of log-probabilities it is 0 whatever the image: `fit_detectors` leaves it out where natural images tell so.

    References:
        Liu, Wang, Owens and Li (2020), energy-based out-of-distribution detection, eq. 4.
    """

    name = "energy"

    def of(self, outputs: View) -> Tensor:
        """Log sum_c exp(f_c) [N]."""
        return _logits(outputs).logsumexp(1)


@dataclass(frozen=True)
class ODIN(Rule):
    """The highest softmax probability at a high temperature, after a small step that raises it.

    The paper chooses temperature and step on nonsense of the kind that is to be found. Nobody knows that kind
    beforehand, so they stay as the paper's for natural images of 32 pixels. The step is taken in [0, 1]. A gradient
    through the score takes the step as fixed, its sign having none.

    Attributes:
        temperature: What the logits are divided by.
        step: How far each pixel moves.

    References:
        Liang, Li and Srikant (2018), enhancing the reliability of out-of-distribution image detection, eq. 1 and 2.
    """

    temperature: float = 1000.0
    step: float = 0.0014

    name = "odin"
    looks = 2
    backward = 1

    def score(self, classifier: Classifier, x: Tensor) -> Tensor:
        """max_c p_c at the temperature [N], of images moved a step."""
        with torch.enable_grad():
            seen = x.detach().clone().requires_grad_()
            # The predicted class is the first at any temperature.
            toward = gradient(self._log_p(classifier, seen), seen).sign()
        return self._log_p(classifier, x + self.step * toward).exp()

    def _log_p(self, classifier: Classifier, x: Tensor) -> Tensor:
        return (_logits(classifier.outputs(x)) / self.temperature).log_softmax(1).amax(1)


def _logits(outputs: View) -> Tensor:
    """The logits [N, m], float64: near 1 a probability in single precision has no digits left."""
    logits: Tensor = outputs["answer"]
    return logits.double()
