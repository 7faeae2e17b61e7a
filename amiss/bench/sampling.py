"""Drawing pixel by pixel: what the cache saves, and whether completed and enlarged digits are what they should be."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.sampling_completion import complete
from amiss.bench.sampling_speed import speed
from amiss.bench.sampling_superres import superres

__all__ = ["BENCH"]

BENCH = Bench(
    "sampling",
    {"speed": speed, "completion": complete, "superres": superres},
    {
        "cached_sampling_speedup": Bar(">=", 150),
        "cached_equals_naive": Bar("==", 1, quick=1),
        "completion_agreement": Bar(">=", 0.6),
        "superres_mse": Bar("<=", 0.01),
        "superres_distinct": Bar(">=", 0.8),
    },
)
"""Samples of densities of digits."""
