"""What is minimized, by whom: a loss for each player and the parameters that each player owns."""

from amiss.training.losses.adversarial import AdversarialLoss, InversionLoss
from amiss.training.losses.classifiers import AttributesLoss, ClassifierLoss
from amiss.training.losses.labels import LabelLoss
from amiss.training.losses.likelihoods import DensityLoss, ELBOLoss, FlowLoss
from amiss.training.losses.loss import TrainingLoss
from amiss.training.losses.rate import RateLoss
from amiss.training.losses.reconstruction import DenoisingLoss, Erased, Noisy, ReconstructionLoss
from amiss.training.losses.sequences import SequenceLoss
from amiss.training.losses.stackgan import StackGANLoss
from amiss.training.losses.tokens import CaptionLoss, TokenLoss

__all__ = [
    "AdversarialLoss",
    "AttributesLoss",
    "CaptionLoss",
    "ClassifierLoss",
    "DenoisingLoss",
    "DensityLoss",
    "ELBOLoss",
    "Erased",
    "FlowLoss",
    "InversionLoss",
    "LabelLoss",
    "Noisy",
    "RateLoss",
    "ReconstructionLoss",
    "SequenceLoss",
    "StackGANLoss",
    "TokenLoss",
    "TrainingLoss",
]
