"""A probe over a data set, in a folder that survives whatever happens to the process."""

from amiss.study.hold import held, refuse_foreign
from amiss.study.inputs import Inputs
from amiss.study.store import CONFIG, RUN, Store
from amiss.study.study import Held, Saving, Study
from amiss.study.witness import Witness

__all__ = ["CONFIG", "RUN", "Held", "Inputs", "Saving", "Store", "Study", "Witness", "held", "refuse_foreign"]
