"""Densities that are trained for long: the best one of digits, and one of color images."""

from amiss.bench.bench import Bar, Bench
from amiss.bench.density_long_color import color
from amiss.bench.density_long_pixel import pixel

__all__ = ["BENCH"]

BENCH = Bench(
    "density-long",
    {"pixel": pixel, "color": color},
    {
        "pixel_nats": Bar("<=", 83, seeds=1),
        "own_sample_gap": Bar("<=", 3, seeds=1),
        "cifar_bits_per_dim": Bar("<=", 4.2, seeds=1),
    },
)
"""An hour or more a part; one seed."""
