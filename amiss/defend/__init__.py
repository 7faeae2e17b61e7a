"""Defenses: what hardens a classifier, and what that costs; each is one object in one file and one row here."""

from amiss.defend.adversarial import AdversarialLoss, AdversarialTraining
from amiss.defend.augmentation import Augmentation
from amiss.defend.defense import Attacked, Defense
from amiss.defend.detectors import CodeDetector, Detector, LinearDetector, read_detector
from amiss.defend.hardening import FineTuning, Hardened, Row
from amiss.defend.nonsense import Archive, climb, evolve
from amiss.defend.pairing import LogitPairing, PairingLoss
from amiss.defend.robustness import Ordeal, endured
from amiss.defend.rubbish import RubbishClass
from amiss.defend.safetynet import SafetyNet
from amiss.defend.telling import rounds_svg, table_of
from amiss.defend.widening import RUBBISH, widened
from amiss.defend.workshop import Workshop

__all__ = [
    "DEFENSES",
    "RUBBISH",
    "AdversarialLoss",
    "AdversarialTraining",
    "Archive",
    "Attacked",
    "Augmentation",
    "CodeDetector",
    "Defense",
    "Detector",
    "FineTuning",
    "Hardened",
    "LinearDetector",
    "LogitPairing",
    "Ordeal",
    "PairingLoss",
    "Row",
    "RubbishClass",
    "SafetyNet",
    "Workshop",
    "climb",
    "endured",
    "evolve",
    "read_detector",
    "rounds_svg",
    "table_of",
    "widened",
]

DEFENSES: dict[str, type[Defense]] = {
    "rubbish-class": RubbishClass,
    "adversarial-training": AdversarialTraining,
    "logit-pairing": LogitPairing,
    "augmentation": Augmentation,
    "safetynet": SafetyNet,
}
"""What `amiss defend --with` knows, by name: frozen dataclasses of settings that are a `Defense`."""
