"""What is minimized, by whom: a loss for each player and the parameters that each player owns."""

from amiss.training.losses.adversarial import AdversarialLoss, InversionLoss
from amiss.training.losses.classifiers import AttributesLoss, ClassifierLoss
from amiss.training.losses.likelihoods import DensityLoss, ELBOLoss, FlowLoss
from amiss.training.losses.loss import TrainingLoss

__all__ = [
    "AdversarialLoss",
    "AttributesLoss",
    "ClassifierLoss",
    "DensityLoss",
    "ELBOLoss",
    "FlowLoss",
    "InversionLoss",
    "TrainingLoss",
]
