"""Fooling images: what they cost, whom else they fool, what they show, and what rejects them."""

from amiss.bench.bench import Bench

__all__ = ["BENCH"]

BENCH = Bench("fooling", {}, {})
"""What nonsense a classifier is certain about."""
