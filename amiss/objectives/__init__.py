"""What is wanted of an image, row by row."""

from amiss.objectives.accepted import Accepted, OwnRule, Rule
from amiss.objectives.answers import Hides, Says
from amiss.objectives.expectation import EOT
from amiss.objectives.features import Activate, Mimic, MimicLinear
from amiss.objectives.inversion import Invert
from amiss.objectives.labels import Avoid, Become, Confidence
from amiss.objectives.objective import Objective, Scaled, Sum

__all__ = [
    "EOT",
    "Accepted",
    "Activate",
    "Avoid",
    "Become",
    "Confidence",
    "Hides",
    "Invert",
    "Mimic",
    "MimicLinear",
    "Objective",
    "OwnRule",
    "Rule",
    "Says",
    "Scaled",
    "Sum",
]
