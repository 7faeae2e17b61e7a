"""A probe over a data set, in a folder that survives whatever happens to the process."""

from amiss.study.inputs import Inputs
from amiss.study.study import Saving, Study

__all__ = ["Inputs", "Saving", "Study"]
