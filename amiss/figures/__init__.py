"""The figures of the papers, each a picture and the numbers in it, made anew by one command."""

from amiss.figures.figure import Figure, Made, make
from amiss.figures.lse import FIGURES as LSE
from amiss.figures.measure import measure
from amiss.figures.world import Effort, World

__all__ = ["MAKERS", "Effort", "Figure", "Made", "World", "make", "measure"]

MAKERS: dict[str, tuple[Figure, ...]] = {"lse": LSE}
"""What can be made: the figures of each paper."""
