"""For tests of probes, ours and yours: worlds with known answers, hostile worlds, and batteries of laws."""

from amiss.testing.batteries import (
    BatteryError,
    Verdict,
    check_constraint,
    check_objective,
    check_optimizer,
    check_probe,
    check_space,
    laws,
)
from amiss.testing.hostile import HOSTILE, Hostile, LossyCodec, World
from amiss.testing.linear import LinearCodec, LinearWorld
from amiss.testing.planted import PlantedWorld
from amiss.testing.ring import RingWorld

__all__ = [
    "HOSTILE",
    "BatteryError",
    "Hostile",
    "LinearCodec",
    "LinearWorld",
    "LossyCodec",
    "PlantedWorld",
    "RingWorld",
    "Verdict",
    "World",
    "check_constraint",
    "check_objective",
    "check_optimizer",
    "check_probe",
    "check_space",
    "laws",
]
