"""Batteries: the laws of each noun and of a whole probe, to be checked on your own as on ours."""

from typing import Literal

from amiss.testing.batteries import constraints, objectives, optimizers, probes, spaces
from amiss.testing.batteries.constraints import check_constraint
from amiss.testing.batteries.objectives import check_objective
from amiss.testing.batteries.optimizers import check_optimizer
from amiss.testing.batteries.probes import check_probe
from amiss.testing.batteries.spaces import check_space
from amiss.testing.batteries.verdicts import BatteryError, Verdict, named

__all__ = [
    "BatteryError",
    "Verdict",
    "check_constraint",
    "check_objective",
    "check_optimizer",
    "check_probe",
    "check_space",
    "laws",
]

_ROOMS = {
    "space": spaces.LAWS,
    "objective": objectives.LAWS,
    "constraint": constraints.LAWS,
    "optimizer": optimizers.LAWS,
    "probe": probes.LAWS,
}


def laws(kind: Literal["space", "objective", "constraint", "optimizer", "probe"]) -> dict[str, str]:
    """The laws of a battery: their ids, each with its meaning in one line."""
    return named(_ROOMS[kind])
