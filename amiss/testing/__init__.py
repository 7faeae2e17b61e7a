"""Worlds whose answers are known in closed form, for tests of probes: ours and yours."""

from amiss.testing.linear import LinearCodec, LinearWorld

__all__ = ["LinearCodec", "LinearWorld"]
