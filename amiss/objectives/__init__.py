"""What is wanted of an image, row by row."""

from amiss.objectives.answers import Says
from amiss.objectives.expectation import EOT
from amiss.objectives.features import Mimic
from amiss.objectives.labels import Avoid, Become, Confidence
from amiss.objectives.objective import Objective, Scaled, Sum

__all__ = ["EOT", "Avoid", "Become", "Confidence", "Mimic", "Objective", "Says", "Scaled", "Sum"]
