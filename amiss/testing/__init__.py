"""Worlds whose answers are known in closed form, for tests of probes: ours and yours."""

from amiss.testing.hostile import HOSTILE, Hostile, LossyCodec, World
from amiss.testing.linear import LinearCodec, LinearWorld

__all__ = ["HOSTILE", "Hostile", "LinearCodec", "LinearWorld", "LossyCodec", "World"]
